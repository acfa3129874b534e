// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

const (
	// stageName is the argv[0] by which a process knows itself to be a second stage.
	stageName = "muster-run-second-stage"
	// stageFD is where the second stage tells its parent what went wrong; it closes when the command begins.
	stageFD = 3
	// stageFailed begins what is told by a second stage that could not become the command.
	stageFailed = "failed: "
)

// stageArgs is the argument list of a second stage.
func stageArgs(volume, path, name string, args []string) []string {
	return append([]string{stageName, volume, path, name}, args...)
}

// SecondStage returns at once in a process that is not one. Else it does not return: it mounts the volume and becomes
// the command. It is called before anything else in main, so that nothing but the command is ever seen to start. A
// process that is the deputy of a stopped one does not return from it either.
//
// A process cannot enter a user namespace once it has several threads, as every Go program has. So the program
// starts itself again, inside the namespaces.
func SecondStage() {
	if len(os.Args) == 1 && os.Args[0] == deputyName {
		_ = renewAsDeputy(os.Stdin) // nobody listens
		os.Exit(1)
	}
	if len(os.Args) < 4 || os.Args[0] != stageName {
		return
	}
	runtime.LockOSThread() // what follows belongs to a thread, up to the exec
	unix.CloseOnExec(stageFD)
	volume, path, argv := os.Args[1], os.Args[2], os.Args[3:]
	if err := mountVolume(volume, mountPath); err != nil {
		tell(err.Error())
	}
	err := giveUpRights()
	if err == nil {
		err = unix.Exec(path, argv, os.Environ())
	}
	tell(fmt.Sprintf("%srunning %q: %v", stageFailed, path, err))
	os.Exit(1)
}

// tell writes to the parent. Where that is gone there is nobody to tell, and this process about to be killed.
func tell(words string) { _, _ = unix.Write(stageFD, []byte(words)) }

// giveUpRights ends the right to mount that a user namespace's second stage was given, with the exec to come, and
// makes sure that the command dies with the thread that started it.
func giveUpRights() error {
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return fmt.Errorf("giving up rights: %w", err)
	}
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
		return fmt.Errorf("tying the command to its parent: %w", err)
	}
	return nil
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// start starts the command in a mount namespace of its own: root needs no more, others a user namespace around it,
// in which they are who they are. Where neither is allowed the command runs without, and a report says so.
//
// The calling goroutine is locked to its thread, and the command is killed when that thread ends.
func (s *session) start(ctx context.Context) (*os.Process, error) {
	var refusal error
	for _, attributes := range namespaces() {
		err := s.startStage(ctx, attributes)
		if !notAllowed(err) {
			return s.started(), err
		}
		refusal = err
	}
	s.reportAlone(refusal)
	command := s.newCommand(ctx, s.path, append([]string{s.Command}, s.Args...))
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL}
	if err := command.Start(); err != nil {
		return nil, err
	}
	s.command = command
	return s.started(), nil
}

func (s *session) started() *os.Process {
	if s.command == nil {
		return nil
	}
	return s.command.Process
}

func (s *session) reportAlone(err error) {
	s.report(fmt.Errorf("no private mount namespace (%w): the command finds its identity by its environment alone", err))
}

// namespaces lists the ways to a mount namespace of one's own, the best first.
func namespaces() []*syscall.SysProcAttr {
	uid, gid := os.Geteuid(), os.Getegid()
	asUser := &syscall.SysProcAttr{
		Pdeathsig:   unix.SIGKILL,
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: uid, HostID: uid, Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: gid, HostID: gid, Size: 1}},
		// Mounting is the second stage's right; it gives it up before the command begins.
		AmbientCaps: []uintptr{unix.CAP_SYS_ADMIN},
	}
	if uid != 0 {
		return []*syscall.SysProcAttr{asUser}
	}
	asRoot := &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL, Cloneflags: unix.CLONE_NEWNS}
	return []*syscall.SysProcAttr{asRoot, asUser}
}

// notAllowed reports whether the system refused the namespace itself (user_namespaces(7), clone(2)).
func notAllowed(err error) bool {
	for _, refusal := range []error{unix.EPERM, unix.EACCES, unix.ENOSPC, unix.EUSERS, unix.EINVAL, unix.ENOSYS} {
		if errors.Is(err, refusal) {
			return true
		}
	}
	return false
}

// startStage starts this program's second stage, which mounts the volume and becomes the command, and waits until
// it has. What it tells on its way is an error if it did not become the command, else a report.
func (s *session) startStage(ctx context.Context, attributes *syscall.SysProcAttr) error {
	telling, told, err := os.Pipe()
	if err != nil {
		return err
	}
	defer telling.Close()
	command := s.newCommand(ctx, "/proc/self/exe", stageArgs(s.folder.volume(), s.path, s.Command, s.Args))
	command.SysProcAttr = attributes
	command.ExtraFiles = []*os.File{told}
	err = command.Start()
	told.Close()
	if err != nil {
		return err
	}
	words, err := io.ReadAll(telling)
	if failed, ok := strings.CutPrefix(string(words), stageFailed); err != nil || ok {
		command.Wait()
		return errors.Join(err, errors.New(failed))
	}
	if len(words) > 0 {
		s.reportAlone(errors.New(string(words)))
	}
	s.command = command
	return nil
}

// newCommand is the command but for the process it becomes: file is executed with argv.
func (s *session) newCommand(ctx context.Context, file string, argv []string) *exec.Cmd {
	command := exec.CommandContext(ctx, file)
	command.Args = argv
	command.Env = s.environ()
	command.Stdin, command.Stdout, command.Stderr = s.Stdin, s.Stdout, s.Stderr
	command.Cancel = func() error { return command.Process.Signal(unix.SIGTERM) }
	command.WaitDelay = endTimeout
	return command
}

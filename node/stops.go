// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"errors"
	"os"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"
)

// followStops makes this process stop whenever its command does, so that a shell gets its terminal back after
// Ctrl-Z, and returns the function that waits for the end of it, which comes when the command has been waited for.
// It is for terminals: without one nobody could continue this process.
//
// A stopped process renews no Lease, so a deputy does meanwhile.
func (s *session) followStops(ctx context.Context) (wait func()) {
	terminal, err := os.Open("/dev/tty")
	if err != nil {
		return func() {}
	}
	terminal.Close()
	pid := s.command.Process.Pid
	var following sync.WaitGroup
	following.Go(func() {
		runtime.LockOSThread() // for good: the deputy, should there be one, dies with this thread
		for stopped(pid) {
			relieve, err := s.lease.deputise(ctx, s.Config)
			stopSelf()
			relieve()
			s.report(err)
		}
	})
	return following.Wait
}

// stopSelf stops this process and returns when somebody has continued it. The signal goes to the calling thread, to
// which it is delivered before the call returns; one to the process might reach another thread first and leave this
// one a while.
func stopSelf() { _ = unix.Tgkill(unix.Getpid(), unix.Gettid(), unix.SIGSTOP) }

// stopped waits for the child's next stop; false says that there will be none.
func stopped(pid int) bool {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WSTOPPED, nil)
		if !errors.Is(err, unix.EINTR) {
			return err == nil
		}
	}
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"fmt"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// endedBy is the signal that ended a run.
type endedBy syscall.Signal

func (e endedBy) Error() string { return fmt.Sprintf("ended by signal %q", syscall.Signal(e)) }

// exitCode is the one that shells give.
func (e endedBy) exitCode() int { return 128 + int(e) }

// relay hands signals to the command. Before there is one, a signal that would end the command ends the
// preparation.
type relay struct {
	abort context.CancelCauseFunc

	mu      sync.Mutex
	command *os.Process // guarded by mu
}

// run relays until ctx ends.
func (r *relay) run(ctx context.Context, signals <-chan os.Signal) {
	for {
		select {
		case <-ctx.Done():
			return
		case got := <-signals:
			if signal, ok := got.(syscall.Signal); ok {
				r.deliver(signal)
			}
		}
	}
}

// attach starts the command, unless ctx was aborted by a signal that came in time, and sends it the signals from
// then on.
func (r *relay) attach(ctx context.Context, start func() (*os.Process, error)) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	command, err := start()
	r.command = command
	return err
}

func (r *relay) deliver(signal syscall.Signal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.command == nil:
		if ends(signal) {
			r.abort(endedBy(signal))
		}
	case fromTerminal(signal) && inForeground():
		// The terminal has sent it to the command as well, which is in the same process group.
	default:
		_ = r.command.Signal(signal) // a command that has just ended needs no signal
	}
}

// ends reports whether a command that does nothing about the signal would end.
func ends(signal syscall.Signal) bool {
	switch signal {
	case unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT, unix.SIGUSR1, unix.SIGUSR2:
		return true
	}
	return false
}

// fromTerminal reports whether the signal is one that terminals send, to all of their foreground process group.
func fromTerminal(signal syscall.Signal) bool {
	switch signal {
	case unix.SIGINT, unix.SIGQUIT, unix.SIGTSTP, unix.SIGWINCH, unix.SIGTTIN, unix.SIGTTOU:
		return true
	}
	return false
}

// inForeground reports whether this process's group is the one that its terminal sends signals to. A signal of
// that kind is then taken to come from there: who means to interrupt a run from elsewhere sends SIGTERM.
func inForeground() bool {
	terminal, err := os.Open("/dev/tty")
	if err != nil {
		return false
	}
	defer terminal.Close()
	group, err := unix.IoctlGetInt(int(terminal.Fd()), unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}

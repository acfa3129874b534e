// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/muster-identity/muster/server"
)

func newDevCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "dev [-- COMMAND [ARGS...]]",
		Short: "Run a throw-away server and a shell, or a command, that talks to it",
		Long: `Run a throw-away server on a free port and a shell, or COMMAND, with KUBECONFIG
set to the server's administrator. When it exits, everything is gone. It is
what a developer uses instead of a cluster.`,
		Example: `  # A shell
  muster dev

  # One command
  muster dev -- kubectl create token default`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			interactive := len(args) == 0
			if interactive {
				args = []string{shell()}
			}
			return develop(cmd, args, interactive)
		},
	}
}

func shell() string {
	if shell := os.Getenv("SHELL"); shell != "" {
		return shell
	}
	return "/bin/sh"
}

func develop(cmd *cobra.Command, args []string, interactive bool) (err error) {
	sweep()
	dir, err := os.MkdirTemp("", devFolder)
	if err != nil {
		return fmt.Errorf("making a folder for the server: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	// Signals that end the command are for the command; muster outlives it to
	// clean up. A Ctrl-C at the terminal reaches both.
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	defer signal.Stop(signals)

	server.SilenceLibraries()
	s := &server.Server{DataDir: dir, UnsafeNoSync: true, Options: server.NewOptions()}
	s.Options.SecureServing.BindAddress = loopbackAddress()
	s.Options.SecureServing.BindPort = 0
	if err := s.Start(cmd.Context()); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if interactive {
		fmt.Fprintf(cmd.ErrOrStderr(), "muster is ready at %s; kubectl talks to it in this shell. Leave the shell to end it.\n", s.URL())
	}
	return runChild(cmd.Context(), cmd, args, append(os.Environ(), "KUBECONFIG="+s.Kubeconfig()), signals)
}

// devFolder is how the folders of throw-away servers are called.
const devFolder = "muster-dev-*"

// sweep removes the folders of throw-away servers that were killed.
func sweep() {
	left, _ := filepath.Glob(filepath.Join(os.TempDir(), devFolder)) // the pattern is good
	for _, dir := range left {
		if server.IsAbandoned(dir) {
			_ = os.RemoveAll(dir) // another user's, perhaps
		}
	}
}

// runChild runs a command on this process's own streams. A signal sent to
// muster alone is passed on; one from the terminal has reached the command
// already, which is why the interrupt and quit signals are only swallowed when
// there is a terminal.
func runChild(ctx context.Context, cmd *cobra.Command, args, env []string, signals <-chan os.Signal) error {
	// The command dies with its parent thread, so that a muster that is killed
	// takes it along.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	child := exec.CommandContext(ctx, args[0], args[1:]...)
	child.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	child.Env = env
	child.Stdin, child.Stdout, child.Stderr = os.Stdin, cmd.OutOrStdout(), cmd.ErrOrStderr()
	if err := child.Start(); err != nil {
		return fmt.Errorf("running %q: %w", args[0], errors.Unwrap(err))
	}
	ended := make(chan error, 1)
	go func() { ended <- child.Wait() }()
	for {
		select {
		case signal := <-signals:
			if !fromTerminal(signal) {
				_ = child.Process.Signal(signal) // fails only when the child has just ended
			}
		case err := <-ended:
			return exitOf(err)
		}
	}
}

func fromTerminal(signal os.Signal) bool {
	return term.IsTerminal(int(os.Stdin.Fd())) && (signal == syscall.SIGINT || signal == syscall.SIGQUIT)
}

// exitOf turns how a child ended into how muster ends: with the same code, or
// 128+n if signal n ended it, as shells do.
func exitOf(err error) error {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return err
	}
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return exitError{code: 128 + int(status.Signal())}
	}
	return exitError{code: exit.ExitCode()}
}

func loopbackAddress() net.IP { return net.IPv4(127, 0, 0, 1) }

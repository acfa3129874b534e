// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

// Command muster is the Kubernetes ServiceAccount system as one program:
// identities for everything that runs, in a cluster or on any machine.
//
// Each subcommand has a file of its own, with its help text inside. What a
// command prints on stdout is its answer; everything else goes to stderr.
// Errors read "muster: what went wrong", and the exit code is 1, or that of the
// command which muster was asked to run.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"

	"github.com/muster-identity/muster/node"
)

func main() {
	node.SecondStage()
	code := run(context.Background(), os.Args[1:], os.Stdout, os.Stderr)
	if code == interrupted {
		interruptSelf()
	}
	os.Exit(code)
}

// interrupted is the exit code of a command that an interrupt has ended.
const interrupted = 128 + int(syscall.SIGINT)

// interruptSelf ends this process as its command was ended. A shell that runs
// muster in a loop goes on after an exit code, and stops after an interrupt.
func interruptSelf() {
	signal.Reset(syscall.SIGINT)
	_ = syscall.Kill(os.Getpid(), syscall.SIGINT) // if it does not, the exit code tells
	time.Sleep(time.Second)
}

// run is muster without the process around it.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRootCommand()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	var exit exitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	for _, fault := range faults(err) {
		fmt.Fprintf(stderr, "muster: %s\n", oneLine(fault))
	}
	return exitCodeOf(err)
}

// faults are the errors that an error is made of, where there are several.
func faults(err error) []error {
	var several utilerrors.Aggregate
	if errors.As(err, &several) && several.Error() == err.Error() { // else somebody says what they have in common
		return utilerrors.Flatten(several).Errors()
	}
	return []error{err}
}

// exitCodeOf is that of shells for a command that was not found (127) or cannot
// be executed (126), and 1 for all else.
func exitCodeOf(err error) int {
	var failed *exec.Error
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return 127
	case errors.As(err, &failed):
		return 126
	}
	return 1
}

// oneLine is an error's text on one line.
func oneLine(err error) string {
	return strings.Join(strings.Fields(err.Error()), " ")
}

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "muster",
		Short: "Identities for workloads: the Kubernetes ServiceAccount system as one program",
		Long: `Muster keeps the roll of who is aboard: service accounts, the short-lived
tokens that prove them, and what they may do. It serves the Kubernetes API, so
kubectl, client-go and every library built on them work unchanged.`,
		Example: `  # A throw-away server and a shell whose kubectl talks to it
  muster dev

  # A server that stays
  muster server --data-dir /var/lib/muster

  # A process with an identity
  muster run -n dev --serviceaccount reporter -- kubectl auth whoami`,
		SilenceUsage:  true,
		SilenceErrors: true,
		// Of the libraries only what needs attention, unless a command has a flag for more.
		PersistentPreRunE: func(*cobra.Command, []string) error { return setLogLevel(0) },
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(newServerCommand(), newRunCommand(), newDevCommand(), newKeysCommand(), newTokenCommand(),
		newWhoCanCommand(), newCanCommand(), newAccessCommand(), newCheckCommand(), newVersionCommand())
	return root
}

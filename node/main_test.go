// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// helperVariable makes the test binary run its arguments as a Process and end with its exit code. It is for what a
// test cannot do to itself: be another user, have a terminal, be killed. Its value is the folder's parent.
const helperVariable = "MUSTER_NODE_TEST_HELPER"

// noNamespaces, in helperVariable's neighbour, makes the helper forbid itself new user namespaces first.
const noNamespacesVariable = "MUSTER_NODE_TEST_NO_NAMESPACES"

func TestMain(m *testing.M) {
	SecondStage()
	if dir := os.Getenv(helperVariable); dir != "" {
		os.Exit(help(dir))
	}
	os.Exit(m.Run())
}

func help(dir string) int {
	if os.Getenv(noNamespacesVariable) != "" {
		if err := os.WriteFile("/proc/sys/user/max_user_namespaces", []byte("0"), 0); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 125
		}
	}
	server := newFakeServer()
	p := server.process(dir, os.Args[1], os.Args[2:]...)
	p.Stdin, p.Stdout, p.Stderr = os.Stdin, os.Stdout, os.Stderr
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, unix.SIGTSTP, unix.SIGCONT, unix.SIGTERM, unix.SIGINT)
	p.Signals = signals
	p.Report = func(err error) { fmt.Fprintln(os.Stderr, "report:", err) }
	code, err := p.Run(context.Background())
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		return 124
	}
	if left := server.left(); left != "" {
		fmt.Fprintln(os.Stderr, "left behind:", left)
		return 123
	}
	return code
}

// helper is the command that runs argv as a Process, as the user with this uid.
func helper(t *testing.T, uid int, argv ...string) *exec.Cmd {
	t.Helper()
	// Where runs have their folders, and not t.TempDir, which is below a directory that is root's alone: a disk that is
	// busy with something else holds up a write to it for seconds.
	dir, err := os.MkdirTemp(folderParent(), "node-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chown(dir, uid, uid); err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), "/proc/self/exe", argv...)
	command.Env = append(os.Environ(), helperVariable+"="+dir)
	command.Dir = "/"
	if uid != os.Geteuid() {
		command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
	}
	return command
}

// needRoot skips a test of what only root may do.
func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, to mount and to become another user")
	}
}

// inside runs the script as a Process of the user with this uid and returns what it prints. Where the machine does not
// let that user mount privately the test is skipped.
func inside(t *testing.T, uid int, script string) string {
	t.Helper()
	command := helper(t, uid, "sh", "-c", script)
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	err := command.Run()
	if strings.Contains(stderr.String(), "no private mount namespace") {
		t.Skipf("needs private mount namespaces for uid %d: %s", uid, &stderr)
	}
	if err != nil || stderr.Len() > 0 {
		t.Fatalf("uid %d: %v\n%s\n%s", uid, err, &stdout, &stderr)
	}
	return stdout.String()
}

// exitOf is the exit code of a finished command.
func exitOf(t *testing.T, err error) int {
	t.Helper()
	if err == nil {
		return 0
	}
	exit := (*exec.ExitError)(nil)
	if !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return exit.ExitCode()
}

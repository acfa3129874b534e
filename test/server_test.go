// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package test

import (
	"bufio"
	"bytes"
	"io"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// readyTimeout bounds a start on a machine that is busy with other tests.
const readyTimeout = 30 * time.Second

// process is a muster server that a script has started.
type process struct {
	cmd    *exec.Cmd
	stderr lockedBuffer
	exited chan struct{}
}

type serverKey struct{}

// startServer runs "muster server" with a data dir of the script's own on a
// free port, and returns when it has said that it is ready:
//
//	server [FLAGS...]
//
// The last of several servers is the one that shutdown ends.
func startServer(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("usage: server [FLAGS...]")
	}
	p, line, err := launch(ts.Getenv("WORK"), append([]string{"--data-dir", ts.Getenv("DATA")}, args...)...)
	ts.Check(err)
	ts.Defer(func() { p.end(syscall.SIGKILL) })
	ts.Setenv("SERVER_PID", strconv.Itoa(p.cmd.Process.Pid))
	ts.Value(serverKey{}).(*holder).process = p
	select {
	case line := <-line:
		if !strings.Contains(line, "ready") {
			ts.Fatalf("the server did not become ready: %q\n%s", line, p.stderr.String())
		}
		ts.Setenv("URL", strings.Fields(strings.SplitN(line, " at ", 2)[1])[0])
	case <-time.After(readyTimeout):
		ts.Fatalf("the server was not ready after %s\n%s", readyTimeout, p.stderr.String())
	}
}

// launch runs "muster server" in a folder on a free port. The line that it prints when it is ready comes through the
// channel; it is empty if the server ends before.
func launch(dir string, flags ...string) (*process, <-chan string, error) {
	muster, err := filepath.Abs("../bin/muster")
	if err != nil {
		return nil, nil, err
	}
	args := append([]string{"server", "--bind-address", "127.0.0.1", "--secure-port", "0"}, flags...)
	p := &process{cmd: exec.Command(muster, args...), exited: make(chan struct{})}
	p.cmd.Dir = dir
	p.cmd.Stderr = &p.stderr
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, nil, err
	}
	ready := make(chan string, 1)
	go func() {
		defer close(p.exited)
		line, _ := bufio.NewReader(stdout).ReadString('\n')
		ready <- line
		_, _ = io.Copy(io.Discard, stdout)
		_ = p.cmd.Wait() // the exit code is in ProcessState
	}()
	return p, ready, nil
}

// run launches a server with a data dir for a test that is no script, and waits until it is ready.
func run(t *testing.T, data string, flags ...string) (*process, *rest.Config) {
	t.Helper()
	p, line, err := launch(filepath.Dir(data), append([]string{"--data-dir", data}, flags...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.end(syscall.SIGKILL) })
	select {
	case line := <-line:
		if !strings.Contains(line, "ready") {
			t.Fatalf("the server did not become ready: %q\n%s", line, p.stderr.String())
		}
	case <-time.After(readyTimeout):
		t.Fatalf("the server was not ready after %s\n%s", readyTimeout, p.stderr.String())
	}
	config, err := clientcmd.BuildConfigFromFlags("", filepath.Join(data, "admin.kubeconfig"))
	if err != nil {
		t.Fatal(err)
	}
	config.QPS = -1
	return p, config
}

// stopServer sends a signal, SIGTERM unless it is named KILL, to the server and
// waits for its end. After SIGTERM the exit code must be 0:
//
//	shutdown [KILL]
func stopServer(ts *testscript.TestScript, neg bool, args []string) {
	p := current(ts)
	if neg || p == nil {
		ts.Fatalf("usage: shutdown [KILL], after server")
	}
	if len(args) == 1 && args[0] == "KILL" {
		p.end(syscall.SIGKILL)
		return
	}
	p.end(syscall.SIGTERM)
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		ts.Fatalf("the server exited with code %d\n%s", code, p.stderr.String())
	}
}

// end sends a signal unless the process has ended, and waits for its end.
func (p *process) end(signal syscall.Signal) {
	select {
	case <-p.exited:
		return
	default:
	}
	_ = p.cmd.Process.Signal(signal) // fails only when it has just ended
	<-p.exited
}

// lockedBuffer is a buffer that is written and read at the same time.
type lockedBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

// Write appends p.
func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(p)
}

// String is what has been written so far.
func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}

// current is the last server that the script has started.
func current(ts *testscript.TestScript) *process {
	return ts.Value(serverKey{}).(*holder).process
}

// holder lets a script's commands share a server.
type holder struct{ process *process }

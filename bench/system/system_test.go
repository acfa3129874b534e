// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package system

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/muster-identity/muster/bench/load"
)

func TestProcessorTimeIsThatOfTheProcess(t *testing.T) {
	t.Parallel()
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	p := &process{name: "test", cmd: &exec.Cmd{Process: self}}
	var before, after unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &before); err != nil {
		t.Fatal(err)
	}
	got, err := p.processorTime()
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Getrusage(unix.RUSAGE_SELF, &after); err != nil {
		t.Fatal(err)
	}
	// The kernel keeps the two accounts apart, and rounds one of them.
	const rounding = 20 * time.Millisecond
	if earliest, latest := total(before)-rounding, total(after)+rounding; got < earliest || got > latest {
		t.Errorf("the processor time is %s, want it between %s and %s", got, earliest, latest)
	}
	if memory, err := p.memory(); err != nil || memory < 1<<20 {
		t.Errorf("the memory is %d bytes (error %v), want more than a MiB", memory, err)
	}
}

func total(u unix.Rusage) time.Duration { return time.Duration(u.Utime.Nano() + u.Stime.Nano()) }

func TestAProcessThatEndsTooEarlyIsQuoted(t *testing.T) {
	t.Parallel()
	p, err := start(t.TempDir(), "/bin/sh", "-c", "echo first; echo the port is taken >&2; exit 1")
	if err != nil {
		t.Fatal(err)
	}
	s := &System{URL: "https://127.0.0.1:1", server: p}
	err = s.awaitReady(t.Context(), time.Now())
	if err == nil || !strings.Contains(err.Error(), "sh ended before it was ready; it said last:\nfirst\nthe port is taken") {
		t.Errorf("got error %v, want the last words of the process", err)
	}
}

func TestAStoppedSystemHasNoProcesses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := &System{}
	for range 2 {
		p, err := start(dir, "/bin/sleep", "60")
		if err != nil {
			t.Fatal(err)
		}
		s.others = append(s.others, p)
	}
	s.server, s.others = s.others[1], s.others[:1]
	s.Stop()
	for _, p := range append(s.others, s.server) {
		if p.cmd.ProcessState == nil {
			t.Error("a process runs still")
		}
	}
}

func TestTheFloorGivesTheSameAnswerToAll(t *testing.T) {
	t.Parallel()
	want := load.Answer{Status: http.StatusCreated, Header: http.Header{"Content-Type": {"a/b"}, "Audit-Id": {"7"}}, Body: []byte("body")}
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		recorder := httptest.NewRecorder()
		always(want).ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), method, "/x", strings.NewReader("asked")))
		got := load.Answer{Status: recorder.Code, Header: recorder.Header(), Body: recorder.Body.Bytes()}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("the answer to %s (-want +got):\n%s", method, diff)
		}
	}
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// An event is one line of `go test -json`. Source: go doc test2json, go help buildjson.
type event struct {
	Action  string
	Package string
	Test    string // empty: the event concerns the package as a whole
	Output  string
}

type testID struct{ pkg, test string }

type skip struct {
	testID
	reason string
}

// A report prints events as `go test` would print them, and at the end what it skipped.
type report struct {
	out     io.Writer
	notes   []string            // told at the end, after the skips
	pending map[testID][]string // what a test or package that has not ended has written
	order   map[string][]testID // by package: the tests in pending, oldest first
	lines   []string            // the result of each package that has ended
	skips   []skip              // in the order of their ends
	failed  bool
}

func newReport(out io.Writer) *report {
	return &report{out: out, pending: map[testID][]string{}, order: map[string][]testID{}}
}

func (r *report) add(e event) {
	id := testID{e.Package, e.Test}
	switch e.Action {
	case "build-output":
		r.print(e.Output)
	case "output":
		if _, ok := r.pending[id]; !ok {
			r.order[id.pkg] = append(r.order[id.pkg], id)
		}
		r.pending[id] = append(r.pending[id], e.Output)
	case "pass", "skip", "fail":
		if e.Test == "" {
			r.endPackage(e.Action, id)
			return
		}
		r.endTest(e.Action, id)
	}
}

func (r *report) endTest(action string, id testID) {
	output := withoutProgress(r.pending[id])
	delete(r.pending, id)
	switch {
	case action == "fail" || tellsOfRace(output):
		r.print(output...)
	case action == "skip":
		r.skips = append(r.skips, skip{id, reason(output)})
	}
}

// tellsOfRace tells whether the race detector has spoken. It may do so while one test has the floor, and fail another.
func tellsOfRace(output []string) bool {
	return slices.ContainsFunc(output, func(line string) bool { return strings.Contains(line, "WARNING: DATA RACE") })
}

// endPackage prints the result of a package; of a failed one everything that is still unprinted, since a test that was
// cut short by a panic or a timeout never ends.
func (r *report) endPackage(action string, id testID) {
	output := r.pending[id]
	if action == "fail" {
		r.failed = true
		for _, test := range r.order[id.pkg] {
			if test != id {
				r.print(withoutProgress(r.pending[test])...)
			}
		}
		for _, line := range output {
			if !isResult(line) {
				r.print(line)
			}
		}
	}
	for _, line := range output {
		if isResult(line) {
			r.print(line)
			r.lines = append(r.lines, line)
		}
	}
	for _, test := range r.order[id.pkg] {
		delete(r.pending, test)
	}
	delete(r.order, id.pkg)
}

// finish lists the skips and the notes. The results come once more after them, so that the last lines of the output are
// those of `go test`, whatever stood between.
func (r *report) finish() {
	for _, s := range r.skips {
		r.print(fmt.Sprintf("--- SKIP: %s (%s)\n    %s\n", s.test, s.pkg, s.reason))
	}
	for _, note := range r.notes {
		r.print(note + "\n")
	}
	if r.failed || len(r.skips) > 0 || len(r.notes) > 0 {
		r.print(r.lines...)
	}
	if r.failed {
		r.print("FAIL\n")
	}
}

func (r *report) print(lines ...string) {
	for _, line := range lines {
		_, _ = io.WriteString(r.out, line)
	}
}

// isResult tells the line that ends a package's output from what its tests wrote.
func isResult(line string) bool {
	return strings.HasPrefix(line, "ok  \t") || strings.HasPrefix(line, "FAIL\t") || strings.HasPrefix(line, "?   \t")
}

// withoutProgress drops what go test -v alone would print.
func withoutProgress(output []string) []string {
	var kept []string
	for _, line := range output {
		if !strings.HasPrefix(line, "=== ") {
			kept = append(kept, line)
		}
	}
	return kept
}

// reason is what the test gave to Skip, and all that it logged before.
func reason(output []string) string {
	var said []string
	for _, line := range output {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "--- SKIP: ") {
			said = append(said, line)
		}
	}
	if len(said) == 0 {
		return "without a reason"
	}
	return strings.Join(said, "; ")
}

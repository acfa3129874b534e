// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

// Command report runs `go test` with the arguments it is given and prints what people know from it: a line for each
// package, failures in full. What `go test` keeps to itself, it adds at the end: every test that was skipped, and why.
// Called by scripts/test; it leaves to that script what the machine must have.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
)

func main() {
	status, err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintf(os.Stderr, "report: %v\n", err)
		os.Exit(1)
	}
	os.Exit(status)
}

// run returns the exit status of go test, or an error if it could not be run or understood.
func run(args []string) (int, error) {
	test := exec.Command("go", append([]string{"test", "-json"}, args...)...)
	test.Stderr = os.Stderr
	events, err := test.StdoutPipe()
	if err != nil {
		return 0, fmt.Errorf("reading from go test: %w", err)
	}
	if err := test.Start(); err != nil {
		return 0, fmt.Errorf("starting go test: %w", err)
	}
	report := newReport(os.Stdout)
	if !slices.Contains(args, "-race") {
		report.notes = append(report.notes, "tested without the race detector")
	}
	readErr := read(events, report)
	report.finish()
	err = test.Wait()
	if exit := new(exec.ExitError); errors.As(err, &exit) {
		return exit.ExitCode(), readErr
	}
	return 0, errors.Join(readErr, err)
}

// read passes on every event. A line that is no event comes from a program that writes past the testing package: it is
// printed as it is.
func read(events io.Reader, report *report) error {
	lines := bufio.NewReader(events)
	for {
		line, err := lines.ReadBytes('\n')
		var e event
		if json.Unmarshal(line, &e) == nil {
			report.add(e)
		} else {
			report.print(string(line))
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading from go test: %w", err)
		}
	}
}

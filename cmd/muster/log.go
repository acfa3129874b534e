// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"os"
	"strconv"

	"github.com/spf13/cobra"
	"k8s.io/klog/v2"
)

// addLogFlags adds the verbosity of the log, which goes to stderr. Without it
// only what needs attention is logged.
func addLogFlags(cmd *cobra.Command) {
	var verbosity int
	cmd.Flags().IntVarP(&verbosity, "v", "v", 0, "How much to log: 0 what needs attention, 1 each step of start and stop, 4 for debugging.")
	cmd.PreRunE = func(*cobra.Command, []string) error { return setLogLevel(verbosity) }
}

// setLogLevel sets the verbosity of the libraries' logger, of which the process
// has one.
func setLogLevel(verbosity int) error {
	flags := flag.NewFlagSet("log", flag.ContinueOnError)
	klog.InitFlags(flags)
	err := errors.Join(
		// Not straight to stderr, but to the outputs below, each line to one.
		flags.Set("logtostderr", "false"),
		flags.Set("alsologtostderr", "false"),
		flags.Set("stderrthreshold", "FATAL"),
		flags.Set("one_output", "true"),
		flags.Set("v", strconv.Itoa(verbosity)),
	)
	for _, severity := range []string{"INFO", "WARNING", "ERROR", "FATAL"} {
		output := io.Writer(uncut{os.Stderr})
		if severity == "INFO" && verbosity == 0 {
			output = io.Discard
		}
		klog.SetOutputBySeverity(severity, output)
	}
	return err
}

// uncut passes on what is logged, but not that something was cut off by its own
// caller: the libraries log that as an error where a server stops, or a client
// hangs up, while a request to the store is under way.
type uncut struct{ io.Writer }

// Write takes one line of the log.
func (u uncut) Write(line []byte) (int, error) {
	if bytes.HasSuffix(bytes.TrimRight(line, "\n\""), []byte("context canceled")) {
		return len(line), nil
	}
	return u.Writer.Write(line)
}

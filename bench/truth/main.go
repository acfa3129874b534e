// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

// Command truth holds Muster's authorization to that of Kubernetes: it starts
// kube-apiserver, with its controllers, and Muster, gives both the same random
// policies, asks both the same random questions, and reports every answer that
// is not the same. Where there is one it looks for the smallest policy that
// still shows it.
//
// What policies are made of is in policy.go, what is asked in question.go.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/muster-identity/muster/bench/system"
)

// errDiffers is the end of a run that has found differences.
var errDiffers = errors.New("the answers differ")

// options are what the command line says.
type options struct {
	binaries  system.Binaries
	seed      uint64
	policies  int
	questions int
	output    string
}

const usage = `Command truth gives kube-apiserver and Muster the same random policies, asks
both the same random questions about them, and reports where they differ.

  truth                             10,000 questions, in two minutes
  truth -seed 7 -policies 1         one policy, the first of another seed

Flags:
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return
	}
	fmt.Fprintf(os.Stderr, "truth: %v\n", err)
	os.Exit(1)
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("truth", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprint(stderr, usage)
		flags.PrintDefaults()
	}
	flags.StringVar((*string)(&o.binaries), "bin", "bin", "folder of muster, kube-apiserver, kube-controller-manager and etcd")
	flags.Uint64Var(&o.seed, "seed", 1, "what the policies and questions come from: the same for the same seed")
	flags.IntVar(&o.policies, "policies", 100, "how many policies there are, one after the other")
	flags.IntVar(&o.questions, "questions", 100, "how many questions are asked about each policy")
	flags.StringVar(&o.output, "o", "text", "output: text or json")
	if err := flags.Parse(args); err != nil {
		return options{}, err
	}
	if flags.NArg() > 0 {
		return options{}, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if o.policies < 1 || o.questions < 1 {
		return options{}, fmt.Errorf("-policies %d, -questions %d: both must be at least 1", o.policies, o.questions)
	}
	if o.output != "text" && o.output != "json" {
		return options{}, fmt.Errorf("-o %q: want text or json", o.output)
	}
	// Each program runs in a folder of its own.
	absolute, err := filepath.Abs(string(o.binaries))
	if err != nil {
		return options{}, fmt.Errorf("-bin %q: %w", o.binaries, err)
	}
	o.binaries = system.Binaries(absolute)
	return o, nil
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "truth")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	both, stop, err := start(ctx, o.binaries, dir)
	if err != nil {
		return err
	}
	defer stop()
	t := &trial{both: both, report: report{Seed: o.seed}, log: stderr}
	if err := t.run(ctx, o); err != nil {
		return err
	}
	if o.output == "json" {
		encoder := json.NewEncoder(stdout)
		encoder.SetIndent("", "  ")
		err = encoder.Encode(t.report)
	} else {
		err = t.report.write(stdout)
	}
	if err == nil && len(t.report.Differences) > 0 {
		return errDiffers
	}
	return err
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

// Command bench measures Muster beside kube-apiserver and beside the floor, a
// server that gives the same answers without thinking: with the same client,
// on the same machine, at the same time. It prints one table. What a request
// costs is the processor time of the server's process.
//
// The table's rows are in scenarios.go, what they find on a server in world.go.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/muster-identity/muster/bench/system"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

func run(args []string, stdout, stderr io.Writer) int {
	err := func() error {
		if system.IsFloor(args) {
			return system.ServeFloor(args)
		}
		return command(args, stdout, stderr)
	}()
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(stderr, "bench: interrupted")
	default:
		fmt.Fprintf(stderr, "bench: %v\n", err)
	}
	return 1
}

// command is bench without the process around it.
func command(args []string, stdout, stderr io.Writer) (err error) {
	options, err := parse(args, stderr)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()

	b := &bench{options: options, dir: dir}
	failed := b.run(ctx)
	if len(b.report.Rows) == 0 {
		return failed
	}
	if options.output == "json" {
		return errors.Join(failed, b.report.writeJSON(stdout))
	}
	return errors.Join(failed, b.report.writeTable(stdout))
}

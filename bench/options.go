// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/muster-identity/muster/bench/load"
	"github.com/muster-identity/muster/bench/system"
)

// The systems, by the names that the report and -only have for them.
const (
	muster        = "muster"
	kubeAPIServer = "kube-apiserver"
	floor         = "floor"
)

// peer is a system that is measured, and how it is started.
type peer struct {
	name  string
	start func(ctx context.Context, bin system.Binaries, dir, keyFile string) (*system.System, error)
}

func allPeers() []peer {
	return []peer{{muster, system.StartMuster}, {kubeAPIServer, system.StartKubernetes}}
}

// options are what the command line says.
type options struct {
	binaries system.Binaries
	scenario string
	wire     string
	only     string
	output   string
	requests int
	rounds   int
	quick    bool
	// profiles is the folder for profiles; empty: there are none.
	profiles string
	log      io.Writer
}

const usage = `Command bench measures Muster beside kube-apiserver and beside a server that
does nothing, with the same client on the same machine.

  bench                                  everything, in six minutes where nobody else works
  bench -quick                           the usual wire only, and less of it
  bench -only muster -scenario review    what begins with "review", without kube-apiserver

Flags:
`

func parse(args []string, stderr io.Writer) (options, error) {
	o := options{log: stderr}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprint(stderr, usage)
		flags.PrintDefaults()
	}
	flags.StringVar((*string)(&o.binaries), "bin", "bin", "folder of muster, kube-apiserver and etcd")
	flags.StringVar(&o.scenario, "scenario", "", "run the scenarios whose names begin so; several are separated by commas")
	flags.StringVar(&o.wire, "wire", "", "run over the wires whose names begin so: h2/json, h2/protobuf, h1/json, h1/protobuf")
	flags.StringVar(&o.only, "only", "", "run only this system: muster (with the floor) or kube-apiserver")
	flags.StringVar(&o.output, "o", "text", "output: text or json")
	flags.IntVar(&o.requests, "requests", 2000, "requests in a round")
	flags.IntVar(&o.rounds, "rounds", 3, "rounds; the systems are asked in turn")
	flags.BoolVar(&o.quick, "quick", false, "one round of 2000 requests over h2/json")
	flags.StringVar(&o.profiles, "profile", "", "folder into which a processor profile of each server in each row is written, after the row is measured")
	if err := flags.Parse(args); err != nil {
		return options{}, err
	}
	if flags.NArg() > 0 {
		return options{}, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	// Each program runs in a folder of its own.
	absolute, err := filepath.Abs(string(o.binaries))
	if err != nil {
		return options{}, fmt.Errorf("-bin %q: %w", o.binaries, err)
	}
	o.binaries = system.Binaries(absolute)
	if o.quick {
		o.requests, o.rounds, o.wire = 2000, 1, wires[0].Name
	}
	return o, o.validate()
}

func (o options) validate() error {
	if o.requests < 1 || o.rounds < 1 {
		return fmt.Errorf("-requests %d, -rounds %d: both must be at least 1", o.requests, o.rounds)
	}
	if info, err := os.Stat(o.profiles); o.profiles != "" && (err != nil || !info.IsDir()) {
		return fmt.Errorf("-profile %q: there is no such folder", o.profiles)
	}
	if o.output != "text" && o.output != "json" {
		return fmt.Errorf("-o %q: want text or json", o.output)
	}
	if len(o.peers()) == 0 {
		return fmt.Errorf("-only %q: want %s or %s", o.only, muster, kubeAPIServer)
	}
	if len(o.wires(false)) == 0 {
		return fmt.Errorf("-wire %q: no wire begins so", o.wire)
	}
	var chosen []scenario
	for _, course := range courses() {
		chosen = append(chosen, o.choose(course.scenarios)...)
	}
	if len(chosen) == 0 {
		return fmt.Errorf("-scenario %q: no scenario begins so", o.scenario)
	}
	if !slices.ContainsFunc(chosen, func(s scenario) bool { return len(o.wires(s.jsonOnly)) > 0 }) {
		return fmt.Errorf("-scenario %q, -wire %q: the answer has one form only, which is not that", o.scenario, o.wire)
	}
	return nil
}

// choose are the scenarios that -scenario selects.
func (o options) choose(scenarios []scenario) []scenario {
	return slices.DeleteFunc(slices.Clone(scenarios), func(s scenario) bool {
		return !slices.ContainsFunc(strings.Split(o.scenario, ","), func(prefix string) bool { return strings.HasPrefix(s.name, prefix) })
	})
}

// wires are those that -wire selects.
func (o options) wires(jsonOnly bool) []load.Wire {
	return slices.DeleteFunc(slices.Clone(wires), func(w load.Wire) bool {
		return !strings.HasPrefix(w.Name, o.wire) || jsonOnly && w.MediaType != asJSON
	})
}

// peers are those that -only leaves.
func (o options) peers() []peer {
	return slices.DeleteFunc(allPeers(), func(p peer) bool { return o.only != "" && o.only != p.name })
}

// restTime is how long a system is left alone before its memory is read.
func (o options) restTime() time.Duration {
	if o.quick {
		return time.Second
	}
	return restTime
}

// say tells who waits how far it is.
func (o options) say(format string, args ...any) { fmt.Fprintf(o.log, format+"\n", args...) }

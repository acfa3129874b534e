// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/klog/v2"

	"github.com/muster-identity/muster/server"
)

// defaultDataDir is where a server keeps its things unless it is told.
const defaultDataDir = "/var/lib/muster"

func newServerCommand() *cobra.Command {
	s := &server.Server{Options: server.NewOptions()}
	cmd := &cobra.Command{
		Use:   "server",
		Short: "Run a server",
		Long: `Run a server. On first start it makes its certificates, its token signing key
and the administrator's kubeconfig in the data dir. It prints one line when it
is ready, and stops in good order on SIGTERM or SIGINT.`,
		Example: `  # Everything in one process and one folder
  muster server --data-dir /var/lib/muster

  # Over an etcd cluster
  muster server --etcd-servers https://10.0.0.1:2379 --etcd-cafile ca.crt --etcd-certfile me.crt --etcd-keyfile me.key`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return serve(cmd, s)
		},
	}
	cmd.Flags().StringVar(&s.DataDir, "data-dir", defaultDataDir, "Folder for keys, certificates and the embedded store.")
	s.Options.AddFlags(cmd.Flags())
	addLogFlags(cmd)
	return cmd
}

// serve runs a server until it is told to stop or stops by itself.
func serve(cmd *cobra.Command, s *server.Server) error {
	ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	server.SilenceLibraries()
	collectBySize()
	if err := s.Start(ctx); err != nil {
		return err
	}
	fmt.Fprintf(cmd.OutOrStdout(), "muster is ready at %s (kubeconfig: %s)\n", s.URL(), s.Kubeconfig())
	settled, late := time.NewTimer(settleTime), time.NewTimer(lateTime)
	defer settled.Stop()
	defer late.Stop()
	var before time.Duration
	for {
		select {
		case <-settled.C:
			giveBack()
		case <-late.C:
			now := processorTime()
			if now-before > calm { // it would have to take back what it gives
				before = now
				late.Reset(time.Second)
				continue
			}
			giveBack()
		case <-ctx.Done():
			stop() // a second signal ends the process at once
			return s.Close()
		case <-s.Done():
			return s.Close()
		}
	}
}

// processorTime is how long this process has had a processor.
func processorTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0 // as if it had nothing to do
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// calm is how much of a processor a server takes in a second when nobody asks
// it anything, and more.
const calm = 100 * time.Millisecond

// giveBack gives back the memory of the start, where that can be done.
func giveBack() {
	if err := shrink(); err != nil {
		klog.V(1).InfoS("the memory of the start is kept", "reason", err)
	}
}

// settleTime is how long after it is ready a server is done with its start:
// the controllers have seen what there is.
const settleTime = 3 * time.Second

// lateTime is after how long so are the controllers that begin last, such as
// the one that reads whole pods.
const lateTime = 30 * time.Second

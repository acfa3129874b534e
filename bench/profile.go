// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/muster-identity/muster/bench/load"
)

// profileSeconds is how long a processor profile takes.
const profileSeconds = 5

// profile profiles all contenders, one after the other, and writes what it
// gets where -profile says. Nothing of it is counted: a server that is profiled
// is slower.
func (b *bench) profile(ctx context.Context, contenders []*contender, s scenario, wire load.Wire) error {
	for _, c := range contenders {
		if c.admin == nil {
			continue
		}
		profiled, err := c.profile(ctx, s, s.inRound(b.options.requests))
		if err != nil {
			return fmt.Errorf("profiling %s: %w", c.system.Name, err)
		}
		name := strings.Join([]string{s.name, strings.ReplaceAll(wire.Name, "/", "-"), c.system.Name, "pprof"}, ".")
		if err := os.WriteFile(filepath.Join(b.options.profiles, name), profiled, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// profile is the processor profile of a contender that is asked meanwhile, n
// at a time.
func (c *contender) profile(ctx context.Context, s scenario, n int) ([]byte, error) {
	var profiled []byte
	done := make(chan struct{})
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer close(done)
		var err error
		profiled, err = c.admin.Discovery().RESTClient().Get().AbsPath("/debug/pprof/profile").
			Param("seconds", strconv.Itoa(profileSeconds)).DoRaw(ctx)
		return err
	})
	group.Go(func() error {
		for {
			select {
			case <-done:
				return nil
			default:
			}
			requests, err := c.requests(n)
			if err != nil {
				return err
			}
			if _, err := c.client.Run(ctx, requests, s.status); err != nil {
				return err
			}
		}
	})
	err := group.Wait()
	return profiled, err
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

// Package load asks a server many things over few connections, and measures
// how long each answer takes.
//
// It is a closed loop: as many requests as InFlight are under way, and the next
// begins when one is answered. It knows nothing of what is asked.
package load

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// InFlight is how many requests are under way at a time.
const InFlight = 8

// Result is what a run has measured.
type Result struct {
	// Elapsed is the time from the first request to the last answer.
	Elapsed time.Duration
	// Latencies are those of all requests, in no order.
	Latencies []time.Duration
}

// Run asks everything in requests once. An answer with another status than
// wanted ends the run with an error: what is wrong costs something else.
func (c *Client) Run(ctx context.Context, requests []Request, status int) (Result, error) {
	latencies := make([]time.Duration, len(requests))
	var next atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	start := time.Now()
	for worker := range InFlight {
		group.Go(func() error {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(requests) {
					return nil
				}
				asked := time.Now()
				answer, err := c.do(ctx, worker, requests[i])
				if err != nil {
					return err
				}
				latencies[i] = time.Since(asked)
				if answer.Status != status {
					return fmt.Errorf("%s %s: status %d, want %d", requests[i].Method, requests[i].Path, answer.Status, status)
				}
			}
		})
	}
	err := group.Wait()
	return Result{Elapsed: time.Since(start), Latencies: latencies}, err
}

// Add counts another run in.
func (r *Result) Add(other Result) {
	r.Elapsed += other.Elapsed
	r.Latencies = append(r.Latencies, other.Latencies...)
}

// PerSecond is how many requests were answered in a second.
func (r Result) PerSecond() float64 {
	return float64(len(r.Latencies)) / r.Elapsed.Seconds()
}

// Percentile is the latency within which p percent of the requests were
// answered.
func (r Result) Percentile(p int) time.Duration {
	if len(r.Latencies) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(r.Latencies))
	return sorted[(len(sorted)-1)*p/100]
}

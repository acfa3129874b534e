// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package live

import (
	"context"
	"sync"
	"time"
)

// rounds does one thing for many. Whoever joins shares in a round that begins
// afterwards, never in one under way, so what a round finds out is true at some
// moment after each of its members came. One round runs at a time: all who come
// meanwhile share the next.
type rounds struct {
	run func(ctx context.Context) error
	// timeout bounds each round.
	timeout time.Duration

	// turn is held by the member that runs its round for the others.
	turn chan struct{}

	mu sync.Mutex
	// next is the round that has not begun; nil without members. Guarded by mu.
	next *round
}

type round struct {
	// ended is closed when err stands.
	ended chan struct{}
	err   error
}

func newRounds(timeout time.Duration, run func(ctx context.Context) error) *rounds {
	return &rounds{run: run, timeout: timeout, turn: make(chan struct{}, 1)}
}

// join returns when a round that began after the call has ended, or with ctx.
func (r *rounds) join(ctx context.Context) error {
	mine := r.enter()
	select {
	case <-mine.ended:
		return mine.err
	case <-ctx.Done():
		return context.Cause(ctx)
	case r.turn <- struct{}{}:
	}
	defer func() { <-r.turn }()
	select {
	case <-mine.ended: // by who had the turn before
	default:
		r.begin()
		// The other members depend on this round, whatever becomes of ctx.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.timeout)
		defer cancel()
		mine.err = r.run(ctx)
		close(mine.ended)
	}
	return mine.err
}

// enter makes the caller a member of the next round.
func (r *rounds) enter() *round {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.next == nil {
		r.next = &round{ended: make(chan struct{})}
	}
	return r.next
}

// begin closes the next round for new members. Only the holder of the turn
// calls it, and only for a round that has not ended: that is the next one.
func (r *rounds) begin() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.next = nil
}

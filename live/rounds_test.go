// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package live

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// counter counts the rounds that have begun; each takes a second.
type counter struct {
	mu    sync.Mutex
	begun int
	err   error
}

func (c *counter) run(ctx context.Context) error {
	c.mu.Lock()
	c.begun++
	err := c.err
	c.mu.Unlock()
	select {
	case <-time.After(time.Second):
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (c *counter) rounds() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.begun
}

func TestAllWhoComeDuringARoundShareTheNext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := &counter{}
		r := newRounds(time.Minute, c.run)
		began := time.Now()
		var members sync.WaitGroup
		join := func(want time.Duration) { // a round takes a second
			members.Go(func() {
				if err := r.join(t.Context()); err != nil {
					t.Error(err)
				}
				if got := time.Since(began); got != want {
					t.Errorf("a member's round has ended after %s, want %s", got, want)
				}
			})
			synctest.Wait()
		}
		join(1 * time.Second)
		for range 100 {
			join(2 * time.Second) // the first is under way: it may know too little already
		}
		time.Sleep(1500 * time.Millisecond)
		join(3 * time.Second)
		members.Wait()
		if got := c.rounds(); got != 3 {
			t.Errorf("%d rounds were run for 102 members", got)
		}
	})
}

func TestARoundDoesNotEndWithTheOneWhoRunsIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := &counter{}
		r := newRounds(time.Minute, c.run)
		ctx, cancel := context.WithCancel(t.Context())
		var members sync.WaitGroup
		members.Go(func() { _ = r.join(t.Context()) })
		synctest.Wait()
		for _, ctx := range []context.Context{ctx, t.Context()} { // either may run the second
			members.Go(func() {
				if err := r.join(ctx); err != nil && ctx.Err() == nil {
					t.Errorf("the round of others has failed: %v", err)
				}
			})
		}
		time.Sleep(1500 * time.Millisecond)
		cancel()
		members.Wait()
	})
}

func TestWhoGivesUpWaitsNoLonger(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := &counter{}
		r := newRounds(time.Minute, c.run)
		var members sync.WaitGroup
		members.Go(func() { _ = r.join(t.Context()) })
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		began := time.Now()
		if err := r.join(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Millisecond {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
		members.Wait()
	})
}

func TestARoundIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRounds(10*time.Millisecond, (&counter{}).run)
		if err := r.join(t.Context()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error: %v", err)
		}
	})
}

func TestAllMembersLearnOfAFailureAndTheNextAreNotHarmed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		away := errors.New("the store is away")
		c := &counter{err: away}
		r := newRounds(time.Minute, c.run)
		var members sync.WaitGroup
		for range 10 {
			members.Go(func() {
				if err := r.join(t.Context()); !errors.Is(err, away) {
					t.Errorf("error: %v", err)
				}
			})
		}
		members.Wait()
		c.err = nil
		if err := r.join(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

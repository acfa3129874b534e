// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

const (
	// A key set may be kept for as long as its issuer says, within bounds: what
	// has no limit is asked for again after defaultAge.
	minAge, defaultAge, maxAge = 10 * time.Second, 5 * time.Minute, 24 * time.Hour
	// missInterval is how often a token that names an unknown key makes us ask
	// again; anybody can make up such tokens.
	missInterval = 10 * time.Second
	// retryInterval is how often an issuer is asked that did not answer.
	retryInterval = time.Second
	// earlyTimeout bounds an attempt to renew keys that are still good.
	earlyTimeout = 2 * time.Second
)

// keySource keeps the keys of an issuer up to date, in the calls that ask for
// them. It has no goroutine.
//
//	fetched ......... half its age ............ its age
//	   keys are used     the next caller tries     nothing is used that is
//	   as they are       to renew them; if that    older: a key that was taken
//	                     fails, they are used      out must not live on
//
// One caller at a time fetches, under its own context; when that is cancelled,
// the next one takes over. Those who cannot go on without wait for it, the others
// do not.
type keySource struct {
	fetch func(context.Context) (fetched, error)
	now   func() time.Time

	turn  chan struct{} // of capacity one: whoever has put something in may fetch
	state atomic.Pointer[keyState]
}

// fetched is a key set as its issuer has given it.
type fetched struct {
	keys keySet
	age  time.Duration // for how long it may be kept
}

// keyState is replaced as a whole, by whoever has the turn.
type keyState struct {
	keys       keySet    // of the last attempt that succeeded
	renew, end time.Time // half the age of keys, and all of it
	tried      time.Time // when the last attempt ended
	err        error     // why the last attempt failed, or nil
}

func newKeySource(fetch func(context.Context) (fetched, error), now func() time.Time) *keySource {
	s := &keySource{fetch: fetch, now: now, turn: make(chan struct{}, 1)}
	s.state.Store(&keyState{})
	return s
}

// find returns the keys with an id: ErrUnknownKey if the issuer has none,
// ErrUnavailable if it cannot be asked.
func (s *keySource) find(ctx context.Context, id string) ([]key, error) {
	state, now := s.state.Load(), s.now()
	if len(state.keys[id]) == 0 || !now.Before(state.end) {
		return s.await(ctx, id)
	}
	if !now.Before(state.renew) {
		s.renewEarly(ctx)
		state = s.state.Load()
	}
	return state.answer(id, now)
}

// await fetches, or waits for whoever does, if there is hope that this helps.
func (s *keySource) await(ctx context.Context, id string) ([]key, error) {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return nil, unavailable(ctx.Err())
	}
	now := s.now()
	state := s.state.Load()
	if state.justTried(now) { // perhaps while this caller waited for its turn
		return state.answer(id, now)
	}
	tried := s.attempt(ctx, state, defaultTimeout)
	if tried == state {
		return nil, unavailable(ctx.Err())
	}
	return tried.answer(id, now)
}

// renewEarly fetches unless somebody else does, or has just failed.
func (s *keySource) renewEarly(ctx context.Context) {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	default:
		return
	}
	now := s.now()
	state := s.state.Load()
	if now.Before(state.renew) || (state.err != nil && state.justTried(now)) {
		return
	}
	s.attempt(ctx, state, earlyTimeout)
}

// attempt fetches once and returns the new state. An attempt that ended with its
// caller says nothing of the issuer: the old state stays, or a caller in a hurry
// would keep the others from trying.
func (s *keySource) attempt(ctx context.Context, old *keyState, limit time.Duration) *keyState {
	bounded, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	got, err := s.fetch(bounded)
	if err != nil && ctx.Err() != nil {
		return old
	}
	state := *old
	state.tried, state.err = s.now(), err
	if err == nil {
		state.keys = got.keys
		state.renew, state.end = state.tried.Add(got.age/2), state.tried.Add(got.age)
	}
	s.state.Store(&state)
	return &state
}

// justTried tells whether an attempt is too recent for another one. A clock that
// was set back does not count.
func (s *keyState) justTried(now time.Time) bool {
	interval := missInterval
	if s.err != nil || !now.Before(s.end) {
		interval = retryInterval
	}
	since := now.Sub(s.tried)
	return since >= 0 && since < interval
}

func (s *keyState) answer(id string, now time.Time) ([]key, error) {
	keys := s.keys[id]
	switch {
	case now.Before(s.end) && len(keys) > 0:
		return keys, nil
	case s.err != nil:
		return nil, unavailable(s.err)
	case !now.Before(s.end):
		return nil, unavailable(errors.New("the issuer's keys are too old"))
	}
	return nil, refuse(ErrUnknownKey, "its issuer publishes no such key")
}

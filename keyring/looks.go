// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package keyring

import (
	"context"
	"sync"
	"time"
)

// lookPause is how long looks are apart: whoever makes up key ids costs the
// source of the keys one look a second.
const lookPause = time.Second

// Looks are the looks at a Source's keys that somebody asks for. All who ask
// before one begins share it. Make them with NewLooks; methods may be called at
// the same time.
type Looks struct {
	// wake has something in it if anyone may be waiting.
	wake chan struct{}
	// ended is closed when there will be no further look.
	ended chan struct{}

	*waiting
}

type waiting struct {
	mu sync.Mutex
	// over is closed when the next look is over; nil if nobody waits for it.
	over chan struct{}
}

// NewLooks returns looks that nobody has asked for.
func NewLooks() Looks {
	return Looks{wake: make(chan struct{}, 1), ended: make(chan struct{}), waiting: &waiting{}}
}

// Ask asks for a look and returns when one that began no earlier is over, when
// there will be none, or when ctx ends.
func (l Looks) Ask(ctx context.Context) {
	select {
	case <-l.add():
	case <-l.ended:
	case <-ctx.Done():
	}
}

// Serve looks when it is due, and when somebody asks, until ctx ends; look
// returns when the next one is due. It is called once.
func (l Looks) Serve(ctx context.Context, due time.Time, look func(context.Context) (due time.Time)) {
	defer close(l.ended)
	for l.await(ctx, due) {
		answer := l.take()
		due = look(ctx)
		answer()
		if !sleep(ctx, lookPause) {
			return
		}
	}
}

func (l Looks) add() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over == nil {
		l.over = make(chan struct{})
		l.wake <- struct{}{} // has room: take has emptied it
	}
	return l.over
}

// take returns what tells all who are waiting now that their look is over.
func (l Looks) take() (answer func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	over := l.over
	if over == nil {
		return func() {}
	}
	l.over = nil
	select {
	case <-l.wake:
	default: // await has seen it
	}
	return func() { close(over) }
}

// await returns when somebody waits or the time has come; not so when ctx has
// ended.
func (l Looks) await(ctx context.Context, due time.Time) bool {
	timer := time.NewTimer(time.Until(due))
	defer timer.Stop()
	select {
	case <-l.wake:
	case <-timer.C:
	case <-ctx.Done():
		return false
	}
	return true
}

func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

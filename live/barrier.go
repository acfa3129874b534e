// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package live

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Origin is the store that a view follows, as a Barrier needs it.
type Origin interface {
	// Revision is the store's newest, read consistently: it covers every write
	// that was answered before the call, by whatever replica.
	Revision(ctx context.Context) (int64, error)
	// RequestProgress asks the store to tell the view's feeds how far they have
	// come. It may do so in vain, while a feed is behind: ask again.
	RequestProgress(ctx context.Context) error
}

const (
	// barrierTimeout bounds one round: who cannot learn the state of the store
	// in this time is told so.
	barrierTimeout = 2 * time.Second

	// firstPause and longestPause are how long the feeds may take to answer
	// before they are asked again; each pause is twice the one before.
	firstPause   = 5 * time.Millisecond
	longestPause = 100 * time.Millisecond
)

// A Barrier holds readers of a view up until it shows everything that had
// been written, by any replica, when they came. One consistent read of the
// store's revision serves all who came before it began.
type Barrier struct {
	view   *View
	origin Origin
	rounds *rounds
}

// NewBarrier makes a barrier before view, whose feeds follow origin.
func NewBarrier(view *View, origin Origin) *Barrier {
	b := &Barrier{view: view, origin: origin}
	b.rounds = newRounds(barrierTimeout, b.catchUp)
	return b
}

// Sync returns when the view shows every write that was answered before the
// call. The error says why that cannot be had now; the view may then be out of
// date. Calls may overlap.
func (b *Barrier) Sync(ctx context.Context) error {
	if err := b.rounds.join(ctx); err != nil {
		return fmt.Errorf("waiting for the state of the store: %w", err)
	}
	return nil
}

// catchUp reads the store's revision and waits until the view has it. While
// nothing that the view keeps is written, its feeds do not move by themselves,
// and only the store knows that there is nothing to come.
func (b *Barrier) catchUp(ctx context.Context) error {
	revision, err := b.origin.Revision(ctx)
	if err != nil {
		return fmt.Errorf("reading its revision: %w", err)
	}
	for pause := firstPause; b.view.observed() < revision; pause = min(2*pause, longestPause) {
		if err := b.origin.RequestProgress(ctx); err != nil {
			return fmt.Errorf("asking for progress: %w", err)
		}
		if err := b.view.await(ctx, revision, pause); err != nil {
			return fmt.Errorf("revision %d: %w", revision, err)
		}
	}
	return nil
}

// observed is the revision up to which all feeds have delivered.
func (v *View) observed() int64 {
	first, lowest := true, int64(0)
	for _, f := range v.feeds {
		if at := f.observedAt(); first || at < lowest {
			first, lowest = false, at
		}
	}
	return lowest
}

// await returns when the view has the revision or the pause is over.
func (v *View) await(ctx context.Context, revision int64, pause time.Duration) error {
	over := time.NewTimer(pause)
	defer over.Stop()
	for {
		advanced := v.advances.next() // before the look, lest one is missed between
		if v.observed() >= revision {
			return nil
		}
		select {
		case <-advanced:
		case <-over.C:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// advances tells those who wait that a feed has come further. It costs those
// who bring the news next to nothing while nobody waits.
type advances struct {
	mu sync.Mutex
	// waited is closed at the next advance; nil if nobody waits. Guarded by mu.
	waited chan struct{}
}

// next is closed at the first advance after the call.
func (a *advances) next() <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.waited == nil {
		a.waited = make(chan struct{})
	}
	return a.waited
}

func (a *advances) announce() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.waited != nil {
		close(a.waited)
		a.waited = nil
	}
}

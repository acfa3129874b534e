// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package rotation

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/muster-identity/muster/keyring"
)

// Status is the public side of a key, for those who list them.
type Status struct {
	Key   keyring.Key
	State State
	// PublishedAt is when the key came into the ledger, Since when it came into
	// its state, Until when it leaves it; zero where that is not known, or not
	// to come.
	PublishedAt, Since, Until time.Time
}

func (s Status) equal(other Status) bool {
	return s.Key.ID == other.Key.ID && s.State == other.State && s.PublishedAt.Equal(other.PublishedAt) &&
		s.Since.Equal(other.Since) && s.Until.Equal(other.Until)
}

// Edition is the public side of all keys at one revision. It never changes.
type Edition struct {
	Revision int64
	Keys     []Status

	superseded chan struct{}
	next       *Edition
}

// Superseded is closed when there is a newer edition, which Next then returns.
func (e *Edition) Superseded() <-chan struct{} { return e.superseded }

// Next is the edition after this one, once this is superseded. Who goes from one
// to the next misses none.
func (e *Edition) Next() *Edition { return e.next }

// maxEditions is how many editions are remembered for readers who come late.
const maxEditions = 32

// Editions holds the newest edition and a few before it. Its methods may be
// called at the same time.
type Editions struct {
	current atomic.Pointer[Edition]

	mu     sync.Mutex
	recent []*Edition // oldest first; the last is current
}

// Add puts out an edition. Revisions must grow.
func (e *Editions) Add(revision int64, keys []Status) {
	e.mu.Lock()
	defer e.mu.Unlock()
	edition := &Edition{Revision: revision, Keys: keys, superseded: make(chan struct{})}
	e.recent = append(e.recent, edition)
	if len(e.recent) > maxEditions {
		e.recent = append([]*Edition(nil), e.recent[1:]...)
	}
	if last := e.current.Swap(edition); last != nil {
		last.next = edition
		close(last.superseded)
	}
}

// Current is the newest edition; nil before the first.
func (e *Editions) Current() *Edition { return e.current.Load() }

// At is the edition that was in force at a revision. It is not ok if that is
// further back than is remembered.
func (e *Editions) At(revision int64) (edition *Edition, ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for i := len(e.recent) - 1; i >= 0; i-- {
		if e.recent[i].Revision <= revision {
			return e.recent[i], true
		}
	}
	return nil, false
}

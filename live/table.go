// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package live

import (
	"sync"

	"k8s.io/apimachinery/pkg/types"
)

// table keeps the objects of one kind by name.
//
// The watch of a kind delivers its events in order. So once the watch has
// delivered revision r, everything up to r is known, and a commit at or below r
// has nothing to add: it may even have been deleted since. A deletion that is
// committed before the watch tells of it leaves a tombstone, lest the watch's
// older events bring the object back to life.
type table[T any] struct {
	mu sync.RWMutex
	// Guarded by mu.
	entries map[types.NamespacedName]entry[T]
	// tombstones are the deleted entries, oldest revision first where the
	// commits came in order. Guarded by mu.
	tombstones []tombstone
	// observed is the revision up to which the watch has delivered. Guarded by mu.
	observed int64

	// changed is called for each change in force, under mu: its calls for one
	// object come in the order of the revisions. nil for none.
	changed func(value T, deleted bool)
	// moved is told the same, with what was in force before; nil where there is
	// nothing. nil for nobody.
	moved func(was, is *T)
	// advanced is called, under mu, when the watch has delivered more, and all
	// of that is in force. nil for none.
	advanced func()
}

type entry[T any] struct {
	revision int64
	deleted  bool
	// doubtful is set while nobody knows whether a failed write has taken
	// effect; the store has to be asked.
	doubtful bool
	value    T
}

type tombstone struct {
	name     types.NamespacedName
	revision int64
}

// write is one change of one object.
type write[T any] struct {
	name     types.NamespacedName
	revision int64
	deleted  bool
	value    T
}

func newTable[T any](changed func(T, bool)) *table[T] {
	return &table[T]{entries: map[types.NamespacedName]entry[T]{}, changed: changed}
}

// get returns the object that exists, beyond doubt, under a name.
func (t *table[T]) get(name types.NamespacedName) (T, bool) {
	t.mu.RLock()
	e, ok := t.entries[name]
	t.mu.RUnlock()
	return e.value, ok && !e.deleted && !e.doubtful
}

// knows tells whether there is an object under a name, be it in doubt.
func (t *table[T]) knows(name types.NamespacedName) bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	e, ok := t.entries[name]
	return ok && !e.deleted
}

// doubt makes get deny an object until confirm or a deletion tells of it.
func (t *table[T]) doubt(name types.NamespacedName) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e, ok := t.entries[name]; ok && !e.deleted {
		e.doubtful = true
		t.entries[name] = e
	}
}

// confirm takes what was just read from the store.
func (t *table[T]) confirm(w write[T]) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.entries[w.name]
	if e.doubtful && w.revision >= e.revision {
		e.doubtful = false
		t.entries[w.name] = e
		t.put(w)
	} else if w.revision > t.observed {
		t.put(w)
	}
}

// commit takes a write that the store has accepted.
func (t *table[T]) commit(w write[T]) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if w.revision > t.observed {
		t.put(w)
	}
}

// observe takes the next event of the watch.
func (t *table[T]) observe(w write[T]) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.put(w)
	t.advance(w.revision)
}

// progress notes that the watch has delivered everything up to a revision.
func (t *table[T]) progress(revision int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.advance(revision)
}

// replace takes a list of all objects as of a revision. What is not in it, and
// was not written later, is gone. A list that is older than what the watch has
// delivered tells nothing new, but of objects that may be gone since.
func (t *table[T]) replace(all []write[T], revision int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if revision < t.observed {
		return
	}
	listed := make(map[types.NamespacedName]bool, len(all))
	for _, w := range all {
		listed[w.name] = true
		t.put(w)
	}
	for name, e := range t.entries {
		if !listed[name] && !e.deleted {
			// What was written later than the list is newer to put, and stays.
			t.put(write[T]{name: name, revision: revision, deleted: true, value: e.value})
		}
	}
	t.advance(revision)
}

// put brings a write into force unless a later one of the object is.
func (t *table[T]) put(w write[T]) {
	current, known := t.entries[w.name]
	if known && !newer(w, current) {
		return
	}
	t.entries[w.name] = entry[T]{revision: w.revision, deleted: w.deleted, value: w.value, doubtful: current.doubtful && !w.deleted}
	if w.deleted {
		t.tombstones = append(t.tombstones, tombstone{w.name, w.revision})
	}
	if t.changed != nil && (known || !w.deleted) {
		t.changed(w.value, w.deleted)
	}
	if t.moved != nil {
		t.moved(existing(current.value, known && !current.deleted), existing(w.value, !w.deleted))
	}
}

func existing[T any](value T, exists bool) *T {
	if !exists {
		return nil
	}
	return &value
}

// newer tells whether w comes after the entry. A list may report as gone, at
// its own revision, what was last written at that same revision.
func newer[T any](w write[T], current entry[T]) bool {
	return w.revision > current.revision || (w.revision == current.revision && w.deleted && !current.deleted)
}

// advance forgets the tombstones that no event can contradict any more.
func (t *table[T]) advance(revision int64) {
	t.observed = max(t.observed, revision)
	kept := t.tombstones[:0]
	for _, stone := range t.tombstones {
		if stone.revision > t.observed {
			kept = append(kept, stone)
			continue
		}
		if e := t.entries[stone.name]; e.deleted && e.revision == stone.revision {
			delete(t.entries, stone.name)
		}
	}
	t.tombstones = kept
	if t.advanced != nil {
		t.advanced()
	}
}

// observedAt is the revision up to which the watch has delivered.
func (t *table[T]) observedAt() int64 {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.observed
}

// onAdvance sets who is told of each advance. It is called before the first.
func (t *table[T]) onAdvance(told func()) { t.advanced = told }

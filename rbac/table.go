// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package rbac

import (
	"hash/maphash"
	"slices"
	"sync/atomic"
)

// A table is a map for one writer at a time and any number of readers, who
// neither wait nor allocate. (sync.Map allocates to look up a key that is not a
// pointer.) A bucket is never changed, only replaced.
type table[K comparable, V any] struct {
	seed    maphash.Seed
	buckets atomic.Pointer[[]bucket[K, V]]
	// size is the number of entries; it belongs to the writer.
	size int
}

type bucket[K comparable, V any] = atomic.Pointer[[]entry[K, V]]

type entry[K comparable, V any] struct {
	key   K
	value V
}

// smallestTable is the number of buckets to begin with; a power of two.
const smallestTable = 64

func newTable[K comparable, V any]() *table[K, V] {
	t := &table[K, V]{seed: maphash.MakeSeed()}
	buckets := make([]bucket[K, V], smallestTable)
	t.buckets.Store(&buckets)
	return t
}

func (t *table[K, V]) bucketOf(buckets []bucket[K, V], key K) *bucket[K, V] {
	return &buckets[maphash.Comparable(t.seed, key)&uint64(len(buckets)-1)]
}

// get returns the value of key, or the zero value.
func (t *table[K, V]) get(key K) V {
	if entries := t.bucketOf(*t.buckets.Load(), key).Load(); entries != nil {
		for i := range *entries {
			if (*entries)[i].key == key {
				return (*entries)[i].value
			}
		}
	}
	var none V
	return none
}

// put sets the value of key.
func (t *table[K, V]) put(key K, value V) {
	entries := t.without(key)
	t.store(key, append(entries, entry[K, V]{key, value}))
	t.size++
	if t.size > len(*t.buckets.Load()) {
		t.grow()
	}
}

// remove forgets key.
func (t *table[K, V]) remove(key K) { t.store(key, t.without(key)) }

// without returns a copy of key's bucket that does not have it, with room for
// one more, and counts it out.
func (t *table[K, V]) without(key K) []entry[K, V] {
	entries := t.bucketOf(*t.buckets.Load(), key).Load()
	if entries == nil {
		return nil
	}
	rest := make([]entry[K, V], 0, len(*entries)+1)
	for _, e := range *entries {
		if e.key != key {
			rest = append(rest, e)
		}
	}
	t.size -= len(*entries) - len(rest)
	return rest
}

func (t *table[K, V]) store(key K, entries []entry[K, V]) {
	b := t.bucketOf(*t.buckets.Load(), key)
	if len(entries) == 0 {
		b.Store(nil)
		return
	}
	b.Store(&entries)
}

// grow doubles the number of buckets. Readers go on with the old ones until the
// new ones are complete.
func (t *table[K, V]) grow() {
	old := *t.buckets.Load()
	buckets := make([]bucket[K, V], 2*len(old))
	for i := range old {
		entries := old[i].Load()
		if entries == nil {
			continue
		}
		for _, e := range *entries {
			b := t.bucketOf(buckets, e.key)
			var moved []entry[K, V]
			if there := b.Load(); there != nil {
				moved = *there
			}
			moved = append(slices.Clip(moved), e)
			b.Store(&moved)
		}
	}
	t.buckets.Store(&buckets)
}

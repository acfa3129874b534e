// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package rotation_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A key that signs from one moment to the next, because the one before it was retired, may be shown to a replica whose watch
// has not told of it. The replica asks the store; a flood of ids that nobody knows costs the store one read a second.
func TestAReplicaAsksTheStoreForAKeyThatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store, c := newMemory(), &clock{}
		store.deaf = true
		here, there := open(t, store, c), open(t, store, c)
		there.ring.Follow(there.Keys)
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { there.Run(ctx) })
		defer func() {
			stop()
			running.Wait()
		}()

		lost := here.Editions().Current().Keys[0].Key.ID
		next, err := here.Rotate(ctx, false)
		if err != nil {
			t.Fatal(err)
		}
		if err := here.Retire(ctx, lost, false); err != nil {
			t.Fatal(err)
		}
		if got := there.ring.Current().Candidates(next); len(got) > 0 {
			t.Fatal("the replica knows the key already: nothing is tested")
		}
		if got := there.ring.Knowing(ctx, next).Candidates(next); len(got) != 1 {
			t.Errorf("%d keys of the id that signs", len(got))
		}
		if got := there.ring.Current().Candidates(lost); len(got) > 0 {
			t.Error("the retired key verifies")
		}

		before, began := store.read(), time.Now()
		for time.Since(began) < 10*time.Second {
			var asking sync.WaitGroup
			for range 100 {
				asking.Go(func() { there.ring.Knowing(ctx, "nobody's") })
			}
			asking.Wait()
		}
		if got := store.read() - before; got < 5 || got > 12 {
			t.Errorf("a flood of ten seconds cost the store %d reads", got)
		}
	})
}

func (m *memory) read() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.reads
}

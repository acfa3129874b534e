// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package live

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"
)

func named(name string) types.NamespacedName { return types.NamespacedName{Name: name} }

// history is what a store went through: one write per revision.
func history(r *rand.Rand, length int) []write[int] {
	exists := map[string]bool{}
	var all []write[int]
	for revision := int64(1); len(all) < length; revision++ {
		name := fmt.Sprint("o", r.IntN(3))
		deleted := exists[name] && r.IntN(3) == 0
		exists[name] = !deleted
		all = append(all, write[int]{name: named(name), revision: revision, deleted: deleted, value: int(revision)})
	}
	return all
}

// stateAt is what exists after the first n writes.
func stateAt(writes []write[int]) map[types.NamespacedName]int {
	state := map[types.NamespacedName]int{}
	for _, w := range writes {
		if w.deleted {
			delete(state, w.name)
			continue
		}
		state[w.name] = w.value
	}
	return state
}

func (t *table[T]) state() map[types.NamespacedName]T {
	state := map[types.NamespacedName]T{}
	for name := range t.entries {
		if value, ok := t.get(name); ok {
			state[name] = value
		}
	}
	return state
}

func TestCommitsAndTheWatchInAnyInterleavingLeadToTheStoresState(t *testing.T) {
	t.Parallel()
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 1))
		writes := history(r, 20)
		table := newTable[int](nil)
		// Commits of one replica come in any order and any time; the watch comes
		// in order; now and then it breaks and lists again.
		commits := r.Perm(len(writes))
		watched := 0
		for len(commits) > 0 || watched < len(writes) {
			switch {
			case len(commits) > 0 && (watched == len(writes) || r.IntN(2) == 0):
				table.commit(writes[commits[0]])
				commits = commits[1:]
			case r.IntN(8) == 0:
				watched += r.IntN(len(writes) - watched + 1)
				table.replace(listAt(writes[:watched]), int64(watched))
			default:
				table.observe(writes[watched])
				watched++
			}
		}
		if diff := cmp.Diff(stateAt(writes), table.state()); diff != "" {
			t.Fatalf("seed %d: the table differs from the store (-store +table):\n%s", seed, diff)
		}
		if len(table.tombstones) != 0 {
			t.Fatalf("seed %d: %d tombstones are left though the watch has delivered everything", seed, len(table.tombstones))
		}
	}
}

func listAt(writes []write[int]) []write[int] {
	var list []write[int]
	for name, value := range stateAt(writes) {
		list = append(list, write[int]{name: name, revision: int64(value), value: value})
	}
	return list
}

func TestACommittedWriteIsInForceAtOnce(t *testing.T) {
	t.Parallel()
	table := newTable[int](nil)
	table.commit(write[int]{name: named("a"), revision: 5, value: 1})
	if _, ok := table.get(named("a")); !ok {
		t.Error("a committed creation is not in force")
	}
	table.commit(write[int]{name: named("a"), revision: 7, deleted: true})
	if _, ok := table.get(named("a")); ok {
		t.Error("a committed deletion is not in force")
	}
	table.observe(write[int]{name: named("a"), revision: 5, value: 1})
	if _, ok := table.get(named("a")); ok {
		t.Error("an older event of the watch has brought a deleted object back")
	}
}

func TestSubscribersHearEachChangeOnce(t *testing.T) {
	t.Parallel()
	var heard []string
	table := newTable(func(value int, deleted bool) { heard = append(heard, fmt.Sprint(value, deleted)) })
	created := write[int]{name: named("a"), revision: 1, value: 1}
	deleted := write[int]{name: named("a"), revision: 2, value: 2, deleted: true}
	table.commit(created)
	table.observe(created)
	table.commit(deleted)
	table.observe(deleted)
	if diff := cmp.Diff([]string{"1 false", "2 true"}, heard); diff != "" {
		t.Errorf("changes heard (-want +got):\n%s", diff)
	}
}

func TestAListFromBeforeTheWatchBringsNothingBack(t *testing.T) {
	t.Parallel()
	table := newTable[int](nil)
	created := write[int]{name: named("a"), revision: 5, value: 1}
	table.observe(created)
	table.observe(write[int]{name: named("a"), revision: 8, deleted: true})
	table.replace([]write[int]{created}, 6)
	if _, ok := table.get(named("a")); ok {
		t.Error("a list of an older revision has brought a deleted object back")
	}
	table.observe(write[int]{name: named("b"), revision: 9, value: 2})
	table.replace(nil, 7)
	if _, ok := table.get(named("b")); !ok {
		t.Error("a list of an older revision has removed a newer object")
	}
}

func TestOfTwoEventsAtOneRevisionTheDeletionCounts(t *testing.T) {
	t.Parallel()
	written := write[int]{name: named("a"), revision: 5, value: 1}
	deleted := write[int]{name: named("a"), revision: 5, value: 1, deleted: true}
	for name, order := range map[string][]write[int]{"last": {written, deleted}, "first": {deleted, written}} {
		table := newTable[int](nil)
		for _, w := range order {
			table.commit(w)
		}
		if _, ok := table.get(named("a")); ok {
			t.Errorf("the object is there, though its deletion came %s", name)
		}
	}
}

func TestAWriteWhoseFateIsUnknownLeavesTheObjectToTheStore(t *testing.T) {
	t.Parallel()
	alive := write[int]{name: named("a"), revision: 5, value: 1}
	later := write[int]{name: named("a"), revision: 6, value: 2}
	gone := write[int]{name: named("a"), revision: 7, deleted: true}
	for name, test := range map[string]struct {
		then func(*table[int])
		want bool
	}{
		"nothing more is heard":              {func(*table[int]) {}, false},
		"the store still has it":             {func(t *table[int]) { t.confirm(alive) }, true},
		"the store has a later one":          {func(t *table[int]) { t.confirm(later) }, true},
		"only an older write is heard of":    {func(t *table[int]) { t.commit(later) }, false},
		"the watch is only at a later write": {func(t *table[int]) { t.observe(later) }, false},
		"the watch tells of the deletion":    {func(t *table[int]) { t.observe(gone) }, false},
		"read, then deleted":                 {func(t *table[int]) { t.confirm(alive); t.observe(gone) }, false},
		"deleted, then an old read arrives":  {func(t *table[int]) { t.observe(gone); t.confirm(alive) }, false},
	} {
		table := newTable[int](nil)
		table.observe(alive)
		table.doubt(named("a"))
		test.then(table)
		if _, ok := table.get(named("a")); ok != test.want {
			t.Errorf("%s: the object exists: %t, want %t", name, ok, test.want)
		}
	}
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package rbac

import (
	"math/rand/v2"
	"testing"
)

func TestATableHoldsWhatAMapHolds(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(2, 13))
	got, want := newTable[int, int](), map[int]int{}
	for range 20000 {
		key, value := random.IntN(1000), random.Int()
		if random.IntN(3) == 0 {
			got.remove(key)
			delete(want, key)
		} else {
			got.put(key, value)
			want[key] = value
		}
		if got.size != len(want) {
			t.Fatalf("size is %d, want %d", got.size, len(want))
		}
	}
	for key := range 1000 {
		if got.get(key) != want[key] {
			t.Errorf("value of %d is %d, want %d", key, got.get(key), want[key])
		}
	}
}

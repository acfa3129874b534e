// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import "testing"

func TestALargeHeapGrowsByLess(t *testing.T) {
	t.Parallel()
	const mib = 1 << 20
	for live, want := range map[uint64]int{
		0: 300, 30 * mib: 300, 64 * mib: 300, 96 * mib: 200, 192 * mib: 100, 240 * mib: 80, 600 * mib: 32, 2000 * mib: 30,
	} {
		if got := growth(live); got != want {
			t.Errorf("with %d MiB in use the heap may grow by %d %%, want %d", live/mib, got, want)
		}
	}
}

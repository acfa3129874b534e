// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

const (
	// mostGrowth is by how much, in percent, the heap may grow beyond what is in use
	// before it is collected. What a server keeps is small, as a rule, and what a
	// request leaves behind is much: with 300 instead of Go's 100 it takes about a
	// hundred megabytes more under load, and a tenth less of its processor time.
	mostGrowth = 300
	// leastGrowth is the same for a heap of any size: less would keep the processors
	// busy with it.
	leastGrowth = 30
	// spare is how much garbage, in bytes, is enough however large the heap is.
	spare = 192 << 20
)

// growth is by how much, in percent, a heap may grow of which live bytes are in use.
func growth(live uint64) int {
	if live == 0 {
		return mostGrowth
	}
	return int(max(leastGrowth, min(mostGrowth, spare*100/live)))
}

// collectBySize collects a small heap less often than Go does, and a large one more
// often, unless $GOGC says how often. It looks again after each collection.
func collectBySize() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(mostGrowth)
		afterCollection(mostGrowth)
	}
}

// afterCollection adjusts the growth, which is now as given, when the heap has been
// collected next.
func afterCollection(now int) {
	// Nobody has the marker: it is gone with the next collection. It is a pointer,
	// lest it share its memory with something that stays.
	marker := new(*int)
	runtime.AddCleanup(marker, func(now int) {
		sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
		metrics.Read(sample)
		next := growth(sample[0].Value.Uint64())
		if next != now {
			debug.SetGCPercent(next)
		}
		afterCollection(next)
	}, now)
}

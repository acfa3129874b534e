// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package mustertest

import "testing"

// BenchmarkStart is the time from nothing to a server that is ready. Its end does not count.
func BenchmarkStart(b *testing.B) {
	for b.Loop() {
		s := Start(b)
		b.StopTimer()
		if err := s.server.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

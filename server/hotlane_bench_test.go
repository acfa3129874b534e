// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"io"
	"math"
	"net/http"
	"strings"
	"testing"
)

// discarding is the shortest of response writers.
type discarding struct {
	header http.Header
	code   int
}

func (d *discarding) Header() http.Header         { return d.header }
func (d *discarding) WriteHeader(code int)        { d.code = code }
func (d *discarding) Write(p []byte) (int, error) { return len(p), nil }

// hot are the calls whose cost is watched, with the allocations that each may
// take: what it took when that was last looked at, and a tenth.
var hot = []struct {
	name   string
	allocs float64
}{
	{"review of a good token", 104},
	{"review of a bad signature", 240},
	{"access of a resource", 123}, // refused, to a caller who is told what comes nearest
	{"self review", 78},
	{"token bound to a pod", 199},
	{"the keys", 38},
}

// lap sends the same request again and again, as a connection would: what
// belongs to the connection is made once.
func (r *roads) lap(t testing.TB, handler http.Handler, c call) func() {
	t.Helper()
	template := r.request(c)
	w := &discarding{header: http.Header{}}
	return func() {
		request := *template
		request.Header = template.Header.Clone()
		request.Body = io.NopCloser(strings.NewReader(c.body))
		clear(w.header)
		handler.ServeHTTP(w, &request)
		if w.code >= http.StatusBadRequest {
			t.Fatalf("%s: %d", c.path, w.code)
		}
	}
}

func BenchmarkHotLane(b *testing.B) {
	r := openRoads(b)
	calls := r.calls(b)
	for _, h := range hot {
		lap := r.lap(b, r.Lane, calls[h.name])
		b.Run(strings.ReplaceAll(h.name, " ", "-"), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				lap()
			}
		})
	}
}

// It does not run beside others, whose allocations would count. The server's own
// work in the background counts, so the best of a few rounds does.
func TestTheHotLaneAllocatesNoMoreThanItDid(t *testing.T) {
	r := openRoads(t)
	calls := r.calls(t)
	for _, h := range hot {
		lap := r.lap(t, r.Lane, calls[h.name])
		best := math.Inf(1)
		for range 5 {
			best = min(best, testing.AllocsPerRun(20, lap))
		}
		if best > h.allocs {
			t.Errorf("%s: %v allocations, want at most %v", h.name, best, h.allocs)
		}
	}
}

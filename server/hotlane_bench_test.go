// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"io"
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

// hot are the calls whose cost is watched.
var hot = []string{"review of a good token", "review of a bad signature", "access of a resource", "self review", "token bound to a pod", "the keys"}

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
	for _, name := range hot {
		lap := r.lap(b, r.Lane, calls[name])
		b.Run(strings.ReplaceAll(name, " ", "-"), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				lap()
			}
		})
	}
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package load_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/muster-identity/muster/bench/load"
)

func TestEverythingIsAskedOnceOverTheWire(t *testing.T) {
	t.Parallel()
	for _, wire := range []load.Wire{{Name: "h2", HTTP2: true, MediaType: "a/b"}, {Name: "h1", MediaType: "c/d"}} {
		t.Run(wire.Name, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			asked := map[string]int{}
			client := clientOf(t, wire, func(w http.ResponseWriter, r *http.Request) {
				body, err := io.ReadAll(r.Body)
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				asked[strings.Join([]string{
					r.Proto, r.Method, r.URL.Path, r.Header.Get("Content-Type"), r.Header.Get("Accept"), r.Header.Get("Authorization"), string(body),
				}, " ")]++
			})
			var requests []load.Request
			for _, body := range []string{"one", "two", "three"} {
				requests = append(requests, load.Request{Method: http.MethodPost, Path: "/x", Token: "t", Body: []byte(body)})
			}
			result, err := client.Run(t.Context(), requests, http.StatusOK)
			if err != nil {
				t.Fatal(err)
			}
			protocol := map[bool]string{true: "HTTP/2.0", false: "HTTP/1.1"}[wire.HTTP2]
			want := map[string]int{}
			for _, body := range []string{"one", "two", "three"} {
				want[protocol+" POST /x "+wire.MediaType+" "+wire.MediaType+" Bearer t "+body] = 1
			}
			if diff := cmp.Diff(want, asked); diff != "" {
				t.Errorf("what the server was asked (-want +got):\n%s", diff)
			}
			if len(result.Latencies) != 3 || result.Percentile(50) <= 0 || result.PerSecond() <= 0 {
				t.Errorf("the result is %+v, want three latencies", result)
			}
		})
	}
}

func TestAWrongAnswerEndsTheRun(t *testing.T) {
	t.Parallel()
	client := clientOf(t, load.Wire{HTTP2: true}, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	_, err := client.Run(t.Context(), make([]load.Request, 100), http.StatusOK)
	if err == nil || !strings.Contains(err.Error(), "status 418, want 200") {
		t.Errorf("got error %v, want it to name both statuses", err)
	}
}

func TestPercentilesAreThoseOfAllRuns(t *testing.T) {
	t.Parallel()
	var result load.Result
	for _, first := range []int{51, 1} {
		run := load.Result{Elapsed: time.Second}
		for i := range 50 {
			run.Latencies = append(run.Latencies, time.Duration(first+i))
		}
		result.Add(run)
	}
	for percentile, want := range map[int]time.Duration{0: 1, 50: 50, 99: 99, 100: 100} {
		if got := result.Percentile(percentile); got != want {
			t.Errorf("the percentile %d is %d, want %d", percentile, got, want)
		}
	}
	if got := result.PerSecond(); got != 50 {
		t.Errorf("%f requests in a second, want 50", got)
	}
}

// clientOf is a client of a server that lives as long as the test.
func clientOf(t *testing.T, wire load.Wire, handler http.HandlerFunc) *load.Client {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	trusted := x509.NewCertPool()
	trusted.AddCert(server.Certificate())
	client := load.NewClient(server.URL, &tls.Config{RootCAs: trusted}, wire)
	t.Cleanup(client.Close)
	return client
}

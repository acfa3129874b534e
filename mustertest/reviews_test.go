// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package mustertest_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/muster-identity/muster/mustertest"
	"github.com/muster-identity/muster/server"
)

// timedReview asks for one and tells how long it took.
func timedReview(t testing.TB, client kubernetes.Interface, token string) time.Duration {
	t.Helper()
	began := time.Now()
	answer, err := client.AuthenticationV1().TokenReviews().Create(t.Context(), &authenticationv1.TokenReview{
		Spec: authenticationv1.TokenReviewSpec{Token: token},
	}, metav1.CreateOptions{})
	took := time.Since(began)
	if err != nil {
		t.Error(err)
	} else if !answer.Status.Authenticated {
		t.Errorf("a good token is refused: %s", answer.Status.Error)
	}
	return took
}

// flood sends bad tokens through connections of its own until ctx ends, and counts the answers.
func flood(ctx context.Context, t testing.TB, muster *mustertest.Server, connections int, answers *atomic.Int64) *sync.WaitGroup {
	t.Helper()
	good := muster.ServiceAccount("default", "flood").BearerToken
	var senders sync.WaitGroup
	for range connections {
		config := rest.AnonymousClientConfig(muster.Admin())
		config.NextProtos = []string{"http/1.1"}
		tls, err := rest.TLSConfigFor(config)
		if err != nil {
			t.Fatal(err)
		}
		transport := &http.Transport{TLSClientConfig: tls}
		senders.Go(func() {
			defer transport.CloseIdleConnections()
			for i := 0; ctx.Err() == nil; i++ {
				request, err := http.NewRequestWithContext(ctx, http.MethodGet, muster.URL()+"/api", nil)
				if err != nil {
					t.Error(err)
					return
				}
				// Each has another signature, which is none.
				request.Header.Set("Authorization", "Bearer "+good[:len(good)-8]+fmt.Sprintf("%07dA", i))
				response, err := transport.RoundTrip(request)
				if err != nil {
					continue // the end has come
				}
				response.Body.Close()
				if response.StatusCode != http.StatusUnauthorized {
					t.Errorf("a bad token was answered with %s", response.Status)
				}
				answers.Add(1)
			}
		})
	}
	return &senders
}

// medianReview is what a review takes.
func medianReview(t *testing.T, client kubernetes.Interface, token string) time.Duration {
	t.Helper()
	var took [101]time.Duration
	for i := range took {
		took[i] = timedReview(t, client, token)
	}
	slices.Sort(took[:])
	return took[len(took)/2]
}

// The flood gets a number of answers, whatever the machine: what they cost is a few hundredths of a core. So a review
// beside it takes no more than twice its time: on a machine that does other things meanwhile, in one try of several.
func TestAFloodOfBadTokensLeavesTheServerToOthers(t *testing.T) {
	t.Parallel()
	const connections, most, tries = 8, 100 + 8, 5 // at once, and then 100 a second
	muster := mustertest.Start(t)
	token, client := muster.ServiceAccount("default", "reporter").BearerToken, muster.Client()
	var answers atomic.Int64
	var tried []string
	began := time.Now()
	for try := range tries {
		idle := medianReview(t, client, token)
		ctx, end := context.WithCancel(t.Context())
		senders := flood(ctx, t, muster, connections, &answers)
		for answers.Load() < int64(most+try) && !t.Failed() {
			timedReview(t, client, token)
		}
		flooded := medianReview(t, client, token)
		end()
		senders.Wait()
		if flooded <= 2*idle || t.Failed() {
			tried = nil
			break
		}
		tried = append(tried, fmt.Sprintf("%s instead of %s", flooded, idle))
	}
	if tried != nil {
		t.Errorf("beside a flood reviews took %s", strings.Join(tried, ", "))
	}
	if got, limit := answers.Load(), int64(tries*connections+100+100*time.Since(began).Seconds()); got > limit {
		t.Errorf("the flood was given %d answers, want at most %d", got, limit)
	}
}

// BenchmarkTokenReview compares what a review of a known token takes:
//
//   - idle: one caller, nothing is written;
//   - written: one caller, while configmaps are written, which the live view does not keep;
//   - crowded: 64 callers at once;
//   - flooded: one caller, beside 20 connections that send bad tokens.
func BenchmarkTokenReview(b *testing.B) {
	for _, consistency := range []string{server.LocalConsistency, server.StrictConsistency} {
		muster := mustertest.Start(b, func(o *server.Options) { o.ServiceAccounts.TokenConsistency = consistency })
		token, client := muster.ServiceAccount("default", "reporter").BearerToken, muster.Client()
		measure := func(name string, callers int, beside func(ctx context.Context) *sync.WaitGroup) {
			b.Run(consistency+"/"+name, func(b *testing.B) {
				ctx, end := context.WithCancel(b.Context())
				others := beside(ctx)
				report(b, callers, func() time.Duration { return timedReview(b, client, token) })
				end()
				others.Wait()
			})
		}
		alone := func(context.Context) *sync.WaitGroup { return &sync.WaitGroup{} }
		measure("idle", 1, alone)
		measure("written", 1, func(ctx context.Context) *sync.WaitGroup { return write(ctx, b, client) })
		measure("crowded", 64, alone)
		measure("flooded", 1, func(ctx context.Context) *sync.WaitGroup { return flood(ctx, b, muster, 20, new(atomic.Int64)) })
	}
}

// report runs b.N calls by so many callers at once, and reports the median and the slowest hundredth.
func report(b *testing.B, callers int, call func() time.Duration) {
	b.Helper()
	took := make([]time.Duration, b.N)
	var next atomic.Int64
	var calling sync.WaitGroup
	b.ResetTimer()
	for range callers {
		calling.Go(func() {
			for i := next.Add(1) - 1; i < int64(b.N); i = next.Add(1) - 1 {
				took[i] = call()
			}
		})
	}
	calling.Wait()
	b.StopTimer()
	slices.Sort(took)
	b.ReportMetric(float64(took[b.N/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[b.N*99/100].Microseconds()), "p99-µs")
}

// write changes something that the live view does not keep, again and again.
func write(ctx context.Context, t testing.TB, client kubernetes.Interface) *sync.WaitGroup {
	t.Helper()
	var writing sync.WaitGroup
	writing.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			config := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("noise-", i)}}
			_, _ = client.CoreV1().ConfigMaps("default").Create(ctx, config, metav1.CreateOptions{})
		}
	})
	return &writing
}

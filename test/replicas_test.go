// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package test

import (
	"flag"
	"slices"
	"sync"
	"testing"
	"time"

	etcdtransport "go.etcd.io/etcd/client/pkg/v3/transport"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/muster-identity/muster/mustertest"
	"github.com/muster-identity/muster/server"
)

var replicaRounds = flag.Int("replicas.rounds", 10, "How many deletions TestADeletionReachesTheOtherReplicaSoon measures.")

// replicas starts two servers over one etcd that sign with one key. Both find an empty store.
func replicas(t *testing.T, configure ...func(*server.Options)) [2]*mustertest.Server {
	t.Helper()
	etcd, key := externalEtcd(t, etcdtransport.TLSInfo{}), keyFile(t, generateKey(t))
	share := func(o *server.Options) {
		o.Etcd.StorageConfig.Transport.ServerList = []string{etcd}
		o.ServiceAccounts.SigningKeyFile = key
	}
	var servers [2]*mustertest.Server
	var starting sync.WaitGroup
	for i := range servers {
		starting.Go(func() { servers[i] = mustertest.Start(t, append(configure, share)...) })
	}
	starting.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return servers
}

// quantile is the value below which a share of the durations lies.
func quantile(sorted []time.Duration, share float64) time.Duration {
	return sorted[min(len(sorted)-1, int(share*float64(len(sorted))))]
}

// promised is how soon a deletion is known everywhere, but for one in a hundred.
const promised = 20 * time.Millisecond

func TestADeletionReachesTheOtherReplicaSoon(t *testing.T) {
	t.Parallel()
	servers := replicas(t)
	one, other := servers[0].Client(), servers[1].Client()
	servers[0].Namespace("dev")
	servers[0].ServiceAccount("dev", "reporter")
	var delays, reviews []time.Duration
	for range *replicaRounds {
		pod := createPod(t, one, func(*corev1.Pod) {})
		token := requestToken(t, one, authenticationv1.TokenRequestSpec{BoundObjectRef: boundTo(pod)})
		if status := statusOf(t, other, token); !status.Authenticated {
			t.Fatalf("the other server does not accept the token: %s", status.Error)
		}
		if err := one.CoreV1().Pods("dev").Delete(t.Context(), pod.Name, *metav1.NewDeleteOptions(0)); err != nil {
			t.Fatal(err)
		}
		deleted := time.Now()
		for {
			asked := time.Now()
			good := statusOf(t, other, token).Authenticated
			reviews = append(reviews, time.Since(asked))
			if !good {
				delays = append(delays, asked.Sub(deleted))
				break
			}
		}
	}
	slices.Sort(delays)
	slices.Sort(reviews)
	review := quantile(reviews, 0.5)
	t.Logf("void on the other replica after: p50 %s, p99 %s; a review takes %s", quantile(delays, 0.5), quantile(delays, 0.99), review)
	// On a machine that is busy with other tests everything takes longer, a review as well.
	if got, limit := quantile(delays, 0.5), promised+5*review; got > limit {
		t.Errorf("half of the deletions took longer than %s to reach the other replica: %s", limit, got)
	}
}

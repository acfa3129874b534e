// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package test

import (
	"flag"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	etcdtransport "go.etcd.io/etcd/client/pkg/v3/transport"
	corev1 "k8s.io/api/core/v1"

	"github.com/muster-identity/muster/mustertest"
	"github.com/muster-identity/muster/server"
)

var (
	historyLength = flag.Int("history.length", 240, "How many operations the test of histories checks; more is a soak.")
	historySeed   = flag.Uint64("history.seed", 0, "Seed of the test of histories; 0 takes a new one.")
)

// How late the answers of etcd are at the replicas that are far from it: late enough for one to be caught unaware on a busy
// machine, and for the strict one to be right only because it asks.
const (
	farDelay    = 60 * time.Millisecond
	strictDelay = 15 * time.Millisecond
)

// The three replicas of the test.
const (
	near      = iota // beside etcd
	far              // knows of the others' deletions late
	farStrict        // so does this one, but asks before it answers
)

// Pods, secrets, service accounts and nodes are made, deleted and made again under the same names on three replicas of one
// etcd, while tokens bound to them are asked for and shown everywhere. What was answered has to be explained by each object
// being made at one moment and deleted at one moment:
//
//   - on a replica that is strict, by the moments at which it happened, wherever;
//   - on the others, by that moment for their own deletions, and a later one for those of others.
//
// That the checker finds what is wrong is shown twice: the history of a replica that is far and not strict breaks the strict
// rule, and any history breaks both if verdicts are kept.
func TestHistoriesOfTokensShowNoStaleVerdict(t *testing.T) {
	t.Parallel()
	seed := *historySeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	s := newStage(t)
	h := record(t, s, seed, *historyLength)
	h.operations = append(h.operations, s.catchUnaware(t, h)...)
	t.Logf("seed %d: %d operations on %d objects", seed, len(h.operations), h.objects())
	for _, test := range []struct {
		name    string
		history []porcupine.Operation
		want    porcupine.CheckResult
	}{
		{"own deletions", h.seenBy(own, near, far, farStrict), porcupine.Ok},
		{"all deletions, on a strict replica", h.seenBy(everywhere, farStrict), porcupine.Ok},
		{"all deletions, on a far one that is not strict", h.seenBy(everywhere, far), porcupine.Illegal},
		{"own deletions, if verdicts were kept", h.keepingVerdicts().seenBy(own, near, far, farStrict), porcupine.Illegal},
	} {
		if got := porcupine.CheckOperationsTimeout(lives, test.history, time.Minute); got != test.want {
			t.Errorf("-history.seed %d: %s: the history is %s, want %s\n%s", seed, test.name, got, test.want, contradiction(test.history))
		}
	}
}

// newStage starts the replicas.
func newStage(t *testing.T) *stage {
	t.Helper()
	etcd, key := externalEtcd(t, etcdtransport.TLSInfo{}), keyFile(t, generateKey(t))
	start := func(address, consistency string) *mustertest.Server {
		return mustertest.Start(t, func(o *server.Options) {
			o.Etcd.StorageConfig.Transport.ServerList = []string{address}
			o.ServiceAccounts.SigningKeyFile, o.ServiceAccounts.TokenConsistency = key, consistency
		})
	}
	wires := [3]*wire{near: newWire(t, etcd), far: newWire(t, etcd), farStrict: newWire(t, etcd)}
	s := &stage{wires: wires}
	var starting sync.WaitGroup
	for i, consistency := range []string{near: server.LocalConsistency, far: server.LocalConsistency, farStrict: server.StrictConsistency} {
		starting.Go(func() { s.replicas[i] = newReplica(t, start(wires[i].address, consistency)) })
	}
	starting.Wait()
	if t.Failed() {
		t.FailNow()
	}
	wires[far].delay.Store(int64(farDelay))
	wires[farStrict].delay.Store(int64(strictDelay))
	s.replicas[near].server.Namespace("dev")
	s.replicas[near].server.ServiceAccount("dev", "keeper")
	for kind := range kinds {
		for _, name := range []string{"a", "b"} {
			s.slots = append(s.slots, &slot{kind: kind, name: name})
		}
	}
	return s
}

// unaware is for how long the far replica is told nothing, so that it is sure to be caught.
const unaware = 2 * time.Second

// catchUnaware deletes an object and asks the replica that cannot know yet, after all that h tells of.
func (s *stage) catchUnaware(t *testing.T, h history) []operation {
	t.Helper()
	w := &worker{t: t, stage: s, id: workers, began: h.began, random: rand.New(rand.NewPCG(0, 0))}
	late := &slot{kind: corev1.SchemeGroupVersion.WithResource("pods"), name: "late"}
	w.make(late, near)
	if t.Failed() || len(late.bound) == 0 {
		t.Fatal("there is no token to catch the far replica with")
	}
	shown := late.bound[0]
	w.review(far, shown)
	s.wires[far].delay.Store(int64(unaware))
	w.end(late, near, shown.object)
	w.review(far, shown)
	return w.operations
}

// workers is how many act at the same time.
const workers = 12

// record lets the workers act, and tells what they saw.
func record(t *testing.T, s *stage, seed uint64, length int) history {
	t.Helper()
	began := time.Now()
	var all [workers][]operation
	var acting sync.WaitGroup
	for i := range workers {
		acting.Go(func() {
			w := &worker{t: t, stage: s, id: i, began: began, random: rand.New(rand.NewPCG(seed, uint64(i)))}
			for len(w.operations) < length/workers && !t.Failed() {
				w.act()
			}
			all[i] = w.operations
		})
	}
	acting.Wait()
	if t.Failed() {
		t.Fatalf("-history.seed %d: a request went wrong", seed)
	}
	h := history{began: began}
	for _, operations := range all {
		h.operations = append(h.operations, operations...)
	}
	return h
}

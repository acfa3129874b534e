// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package live

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// etcd is an origin whose news take a while.
type etcd struct {
	view *View
	// latency is that of every answer and every event.
	latency time.Duration

	mu sync.Mutex
	// Guarded by mu.
	revision        int64
	reads, requests int
	deaf            int // so many requests for progress go unanswered
	err             error
	news            sync.WaitGroup
}

func (e *etcd) Revision(context.Context) (int64, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.reads++
	revision, err := e.revision, e.err
	e.mu.Unlock()
	time.Sleep(e.latency)
	e.mu.Lock()
	return revision, err
}

func (e *etcd) RequestProgress(context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.requests++
	if e.deaf--; e.deaf >= 0 {
		return nil
	}
	e.tell(e.revision, func(f feed, revision int64) { f.progress(revision) })
	return nil
}

// tell has all feeds hear something after a while.
func (e *etcd) tell(revision int64, hear func(f feed, revision int64)) {
	e.news.Go(func() {
		time.Sleep(e.latency)
		for _, f := range e.view.feeds {
			hear(f, revision)
		}
	})
}

// deletePod is what another replica does.
func (e *etcd) deletePod(name string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.revision++
	revision := e.revision
	e.news.Go(func() {
		time.Sleep(e.latency)
		e.view.feeds[pods].observeObject(&corev1.Pod{ObjectMeta: metaAt(revision, name)}, true)
	})
}

// writeElsewhere is a write that the view does not keep, and never hears of.
func (e *etcd) writeElsewhere() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.revision++
}

// beforeABarrier runs a test with a view that shows the pod "a" and has seen all of the store.
func beforeABarrier(t *testing.T, latency time.Duration, test func(t *testing.T, e *etcd, b *Barrier)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		e := &etcd{view: New(newShelf(), nil), latency: latency, revision: 7}
		e.view.feeds[pods].observeObject(&corev1.Pod{ObjectMeta: metaAt(5, "a")}, false)
		for _, f := range e.view.feeds {
			f.progress(7)
		}
		test(t, e, NewBarrier(e.view, e))
		e.news.Wait()
	})
}

func (v *View) shows(name string) bool {
	_, ok := v.pods.get(types.NamespacedName{Namespace: metaAt(0, name).Namespace, Name: name})
	return ok
}

func TestBehindABarrierTheViewShowsWhatOthersDid(t *testing.T) {
	t.Parallel()
	beforeABarrier(t, 10*time.Millisecond, func(t *testing.T, e *etcd, b *Barrier) {
		e.deletePod("a")
		if !e.view.shows("a") {
			t.Fatal("the view knows of the deletion at once: this test shows nothing")
		}
		if err := b.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		if e.view.shows("a") {
			t.Error("the view still shows a pod whose deletion was answered before")
		}
	})
}

func TestABarrierAsksForProgressOnlyWhereThereMayBeNews(t *testing.T) {
	t.Parallel()
	beforeABarrier(t, 0, func(t *testing.T, e *etcd, b *Barrier) {
		for range 3 {
			if err := b.Sync(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if e.reads != 3 || e.requests != 0 {
			t.Errorf("nothing was written: %d reads, %d requests for progress", e.reads, e.requests)
		}
		e.writeElsewhere()
		for range 3 {
			if err := b.Sync(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if e.reads != 6 || e.requests != 1 {
			t.Errorf("something was written elsewhere: %d reads, %d requests for progress", e.reads, e.requests)
		}
	})
}

func TestABarrierAsksAgainWhileAFeedIsBehind(t *testing.T) {
	t.Parallel()
	beforeABarrier(t, time.Millisecond, func(t *testing.T, e *etcd, b *Barrier) {
		e.writeElsewhere()
		e.deaf = 3
		if err := b.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		if e.requests != 4 {
			t.Errorf("%d requests for progress", e.requests)
		}
	})
}

func TestABarrierReadsTheRevisionOnceForAllInFlight(t *testing.T) {
	t.Parallel()
	beforeABarrier(t, time.Millisecond, func(t *testing.T, e *etcd, b *Barrier) {
		var reviews sync.WaitGroup
		for range 1000 {
			reviews.Go(func() {
				if err := b.Sync(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		reviews.Wait()
		if e.reads > 2 {
			t.Errorf("%d reads of the revision for reviews that all came at once", e.reads)
		}
	})
}

func TestABarrierFailsWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	const prefix = "waiting for the state of the store: "
	for name, test := range map[string]struct {
		spoil func(*etcd)
		want  string
	}{
		"the store is away":     {func(e *etcd) { e.err = errors.New("etcd is away") }, prefix + "reading its revision: etcd is away"},
		"the feeds are cut off": {func(e *etcd) { e.writeElsewhere(); e.deaf = 1 << 30 }, prefix + "revision 8: context deadline exceeded"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			beforeABarrier(t, 0, func(t *testing.T, e *etcd, b *Barrier) {
				test.spoil(e)
				began := time.Now()
				err := b.Sync(t.Context())
				if err == nil || err.Error() != test.want {
					t.Errorf("error: %v, want %s", err, test.want)
				}
				if took := time.Since(began); took > barrierTimeout {
					t.Errorf("it took %s", took)
				}
			})
		})
	}
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// leaseRenewed is a lease of ten seconds that was renewed at t by the clock of its
// holder.
func leaseRenewed(t time.Time) *coordinationv1.Lease {
	return &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "dev", Name: "run", UID: "lease-1", Labels: map[string]string{RunLabel: RunLabelValue},
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "Pod", Name: "run", UID: "pod-1"}},
		},
		Spec: coordinationv1.LeaseSpec{LeaseDurationSeconds: new(int32(10)), RenewTime: &metav1.MicroTime{Time: t}},
	}
}

func runPod() *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Namespace: "dev", Name: "run", UID: "pod-1",
		Labels: map[string]string{RunLabel: RunLabelValue}, Annotations: map[string]string{LeaseAnnotation: "run"},
	}}
}

func TestAPodLapsesByTheControllersClock(t *testing.T) {
	t.Parallel()
	type look struct {
		after time.Duration // since noon, by the controller's clock
		lease *coordinationv1.Lease
		pod   types.UID
		want  time.Duration
	}
	yesterday := noon.Add(-24 * time.Hour)
	recreated := leaseRenewed(yesterday)
	recreated.UID = "lease-2"
	touched := leaseRenewed(yesterday)
	touched.ResourceVersion = "77"
	longer := leaseRenewed(yesterday)
	longer.Spec.LeaseDurationSeconds = new(int32(3600))
	tests := map[string][]look{
		"a holder whose clock is wrong gets its full time": {
			{0, leaseRenewed(yesterday), "pod-1", 10 * time.Second},
			{9 * time.Second, leaseRenewed(yesterday), "pod-1", time.Second},
			{10 * time.Second, leaseRenewed(yesterday), "pod-1", 0},
		},
		"a renewal counts from when it is seen": {
			{0, leaseRenewed(yesterday), "pod-1", 10 * time.Second},
			{8 * time.Second, leaseRenewed(yesterday.Add(time.Second)), "pod-1", 10 * time.Second},
			{18 * time.Second, leaseRenewed(yesterday.Add(time.Second)), "pod-1", 0},
		},
		"a lease that was made again counts as renewed": {
			{0, leaseRenewed(yesterday), "pod-1", 10 * time.Second},
			{9 * time.Second, recreated, "pod-1", 10 * time.Second},
		},
		"a change that renews nothing does not count": {
			{0, leaseRenewed(yesterday), "pod-1", 10 * time.Second},
			{9 * time.Second, touched, "pod-1", time.Second},
		},
		"a longer duration counts from the last renewal": {
			{0, leaseRenewed(yesterday), "pod-1", 10 * time.Second},
			{9 * time.Second, longer, "pod-1", 3591 * time.Second},
		},
		"a pod waits fifteen seconds for its first lease": {
			{0, nil, "pod-1", 15 * time.Second},
			{14 * time.Second, nil, "pod-1", time.Second},
			{15 * time.Second, nil, "pod-1", 0},
		},
		"and fifteen from when its lease is missed": {
			{0, leaseRenewed(yesterday), "pod-1", 10 * time.Second},
			{9 * time.Second, nil, "pod-1", 15 * time.Second},
			{24 * time.Second, nil, "pod-1", 0},
		},
		"another pod of the name starts anew": {
			{0, nil, "pod-1", 15 * time.Second},
			{14 * time.Second, nil, "pod-2", 15 * time.Second},
		},
	}
	for name, looks := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var seen observation
			for _, look := range looks {
				now := noon.Add(look.after)
				seen = observe(seen, look.pod, look.lease, now)
				if got := seen.remains(now); got != look.want {
					t.Errorf("after %s: %s remain, want %s", look.after, got, look.want)
				}
			}
		})
	}
}

func TestADeletionsGraceLimitsTheLifeOfAPod(t *testing.T) {
	t.Parallel()
	end := metav1.NewTime(noon.Add(5 * time.Second))
	for _, test := range []struct {
		remains  time.Duration
		deletion *metav1.Time
		want     time.Duration
	}{
		{10 * time.Second, nil, 10 * time.Second},
		{10 * time.Second, &end, 5 * time.Second},
		{3 * time.Second, &end, 3 * time.Second},
	} {
		if got := allowance(test.remains, test.deletion, noon); got != test.want {
			t.Errorf("allowance(%s, %v): got %s, want %s", test.remains, test.deletion, got, test.want)
		}
	}
}

// lapsing is a controller over a store, with a clock and a record of deletions.
type lapsing struct {
	*lapsedPods
	store   client.WithWatch
	clock   time.Time
	deleted []client.DeleteOptions
}

func newLapsing(objects ...client.Object) *lapsing {
	l := &lapsing{clock: noon, store: fakeStore(objects...)}
	recording := interceptor.NewClient(l.store, interceptor.Funcs{
		Delete: func(ctx context.Context, c client.WithWatch, object client.Object, options ...client.DeleteOption) error {
			l.deleted = append(l.deleted, *(&client.DeleteOptions{}).ApplyOptions(options))
			return c.Delete(ctx, object, options...)
		},
	})
	l.lapsedPods = newLapsedPods(recording, recording)
	l.now = func() time.Time { return l.clock }
	return l
}

func TestAPodIsEndedOnlyWhenItsLeaseLapses(t *testing.T) {
	t.Parallel()
	l := newLapsing(runPod(), leaseRenewed(noon))
	key := types.NamespacedName{Namespace: "dev", Name: "run"}
	if wait := reconciled(t, l, key); wait != 10*time.Second {
		t.Errorf("first look: wait %s, want 10s", wait)
	}
	l.clock = noon.Add(5 * time.Second)
	renewed := &coordinationv1.Lease{}
	if err := l.store.Get(t.Context(), key, renewed); err != nil {
		t.Fatal(err)
	}
	renewed.Spec.RenewTime = &metav1.MicroTime{Time: noon.Add(5 * time.Second)}
	if err := l.store.Update(t.Context(), renewed); err != nil {
		t.Fatal(err)
	}
	if wait := reconciled(t, l, key); wait != 10*time.Second {
		t.Errorf("after the renewal: wait %s, want 10s", wait)
	}
	l.clock = noon.Add(15 * time.Second)
	reconciled(t, l, key)
	want := []client.DeleteOptions{{GracePeriodSeconds: new(int64(0)), Preconditions: &metav1.Preconditions{UID: new(types.UID("pod-1"))}}}
	if diff := cmp.Diff(want, l.deleted); diff != "" {
		t.Errorf("deletions differ (-want +got):\n%s", diff)
	}
	reconciled(t, l, key)
	if len(l.deleted) != 1 || len(l.seen) != 0 {
		t.Errorf("after the end: %d deletions, %d observations; want 1 and 0", len(l.deleted), len(l.seen))
	}
}

func TestALateCacheEndsNoPod(t *testing.T) {
	t.Parallel()
	key := types.NamespacedName{Namespace: "dev", Name: "run"}
	l := newLapsing(runPod(), leaseRenewed(noon))
	reconciled(t, l, key)
	// The cache still shows the lease of noon, the store a later one.
	l.direct = fakeStore(leaseRenewed(noon.Add(8 * time.Second)))
	l.clock = noon.Add(12 * time.Second)
	if wait := reconciled(t, l, key); wait != 10*time.Second || len(l.deleted) != 0 {
		t.Errorf("wait %s and %d deletions, want 10s and none", wait, len(l.deleted))
	}
}

func TestALeaseWithoutItsLabelIsFoundInTheStore(t *testing.T) {
	t.Parallel()
	key := types.NamespacedName{Namespace: "dev", Name: "run"}
	l := newLapsing(runPod())
	l.direct = fakeStore(leaseRenewed(noon))
	if wait := reconciled(t, l, key); wait != 10*time.Second {
		t.Errorf("wait %s, want the 10s of the lease", wait)
	}
	l.clock = noon.Add(10 * time.Second)
	reconciled(t, l, key)
	if len(l.deleted) != 1 {
		t.Errorf("%d deletions, want 1", len(l.deleted))
	}
}

func TestAPodWithoutTheAnnotationIsLeftAlone(t *testing.T) {
	t.Parallel()
	pod := runPod()
	pod.Annotations = nil
	l := newLapsing(pod)
	key := client.ObjectKeyFromObject(pod)
	for range 2 {
		if wait := reconciled(t, l, key); wait != 0 || len(l.deleted) != 0 {
			t.Errorf("wait %s and %d deletions, want none", wait, len(l.deleted))
		}
		l.clock = l.clock.Add(time.Hour)
	}
}

func TestAPodEndsWhenTheGraceOfItsDeletionIsOver(t *testing.T) {
	t.Parallel()
	pod := runPod()
	pod.Finalizers = []string{"test/hold"}
	pod.DeletionTimestamp = &metav1.Time{Time: noon.Add(4 * time.Second)}
	l := newLapsing(pod, leaseRenewed(noon))
	key := client.ObjectKeyFromObject(pod)
	if wait := reconciled(t, l, key); wait != 4*time.Second {
		t.Errorf("wait %s, want the 4s of the grace", wait)
	}
	l.clock = noon.Add(4 * time.Second)
	reconciled(t, l, key)
	if len(l.deleted) != 1 {
		t.Errorf("%d deletions, want 1", len(l.deleted))
	}
}

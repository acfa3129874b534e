// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

var trackingName = types.NamespacedName{Namespace: "kube-system", Name: "kube-apiserver-legacy-service-account-token-tracking"}

func trackingOf(data map[string]string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: trackingName.Namespace, Name: trackingName.Name}, Data: data}
}

func TestTheStartOfTrackingIsKept(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 1, 23, 30, 0, 0, time.FixedZone("", -2*60*60)) // the 2nd in UTC
	for name, test := range map[string]struct {
		there []client.Object
		want  string
	}{
		"missing":       {nil, "2026-11-02"},
		"as it was":     {[]client.Object{trackingOf(map[string]string{"since": "2025-01-31"})}, "2025-01-31"},
		"no day at all": {[]client.Object{trackingOf(nil)}, "2026-11-02"},
		"an odd day":    {[]client.Object{trackingOf(map[string]string{"since": "2025-02-30"})}, "2026-11-02"},
		"words":         {[]client.Object{trackingOf(map[string]string{"since": "yesterday", "x": "y"})}, "2026-11-02"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := fakeStore(test.there...)
			l := &legacyTokenTracking{client: store, now: func() time.Time { return now }}
			if _, err := l.Reconcile(t.Context(), reconcile.Request{NamespacedName: trackingName}); err != nil {
				t.Fatal(err)
			}
			got := &corev1.ConfigMap{}
			if err := store.Get(t.Context(), trackingName, got); err != nil {
				t.Fatal(err)
			}
			if got.Data["since"] != test.want {
				t.Errorf("since %q, want %q", got.Data["since"], test.want)
			}
		})
	}
}

func TestTheStartOfTrackingIsMadeAtMostOnceInHalfAnHour(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	store := fakeStore()
	l := &legacyTokenTracking{client: store, now: func() time.Time { return now }}
	request := reconcile.Request{NamespacedName: trackingName}
	made := func() (bool, time.Duration) {
		t.Helper()
		result, err := l.Reconcile(t.Context(), request)
		if err != nil {
			t.Fatal(err)
		}
		return client.IgnoreNotFound(store.Get(t.Context(), trackingName, &corev1.ConfigMap{})) == nil &&
			store.Delete(t.Context(), trackingOf(nil)) == nil, result.RequeueAfter
	}
	if ok, _ := made(); !ok {
		t.Fatal("not made at first")
	}
	now = now.Add(10 * time.Minute)
	if ok, later := made(); ok || later != 20*time.Minute {
		t.Errorf("removed after 10 minutes: made again: %v, or in %s", ok, later)
	}
	now = now.Add(20 * time.Minute)
	if ok, _ := made(); !ok {
		t.Error("not made again after half an hour")
	}
}

func TestAUseIsWrittenUntilItIsWritten(t *testing.T) {
	t.Parallel()
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "dev", Name: "old", UID: "1", Labels: map[string]string{"a": "b"}}}
	var patches atomic.Int32
	store := interceptor.NewClient(fakeStore(secret), interceptor.Funcs{
		Patch: func(ctx context.Context, c client.WithWatch, obj client.Object, patch client.Patch, opts ...client.PatchOption) error {
			if patches.Add(1) <= 2 {
				return errors.New("the store is away")
			}
			return c.Patch(ctx, obj, patch, opts...)
		},
	})
	uses := NewLegacyTokenUses()
	uses.client = store
	for range 5 { // one write is enough
		uses.Note(LegacyTokenUse{Namespace: "dev", Name: "old", UID: "1", Day: "2026-11-01"})
	}
	uses.Note(LegacyTokenUse{Namespace: "dev", Name: "gone", UID: "2", Day: "2026-11-01"})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		uses.write(ctx)
	}()
	read := func() map[string]string {
		got := &corev1.Secret{}
		if err := store.Get(t.Context(), client.ObjectKeyFromObject(secret), got); err != nil {
			t.Fatal(err)
		}
		return got.Labels
	}
	eventually(t, "the secret is marked", func() bool { return read()[lastUsedLabel] == "2026-11-01" })
	if read()["a"] != "b" {
		t.Error("another label is gone")
	}
	stop()
	<-ended
	if n := patches.Load(); n > 4 {
		t.Errorf("%d writes for two uses, of which one failed twice at most", n)
	}
}

func TestAUseThatIsNotedIsWrittenBeforeTheEnd(t *testing.T) {
	t.Parallel()
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "dev", Name: "old", UID: "1"}}
	store := fakeStore(secret)
	uses := NewLegacyTokenUses()
	uses.client = store
	uses.Note(LegacyTokenUse{Namespace: "dev", Name: "old", UID: "1", Day: "2026-11-01"})
	ctx, stop := context.WithCancel(t.Context())
	stop()
	uses.write(ctx)
	got := &corev1.Secret{}
	if err := store.Get(t.Context(), client.ObjectKeyFromObject(secret), got); err != nil || got.Labels[lastUsedLabel] != "2026-11-01" {
		t.Errorf("labels %v, error %v", got.Labels, err)
	}
}

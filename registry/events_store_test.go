// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
)

func TestEventsOfOneGroupAreThoseOfTheOther(t *testing.T) {
	t.Parallel()
	env := serviceEnvironment(t, Services{EventTTL: time.Minute}, events(), eventsV1())
	ctx := genericapirequest.WithNamespace(t.Context(), "dev")
	stores := map[string]*named{}
	for name, resource := range map[string]Resource{"core": events(), "v1": eventsV1()} {
		made, err := resource.Storage(env)
		if err != nil {
			t.Fatal(err)
		}
		stores[name] = made["events"].(*named)
		t.Cleanup(stores[name].Destroy)
		if ttl, err := stores[name].TTLFunc(nil, 0, false); err != nil || ttl != 60 {
			t.Errorf("%s keeps events for %d s (%v), want 60", name, ttl, err)
		}
	}
	create := func(store *named, event *corev1.Event) error {
		_, err := store.Create(ctx, event, rest.ValidateAllObjectFunc, &metav1.CreateOptions{})
		return err
	}
	if err := create(stores["v1"], eventFull()); !apierrors.IsInvalid(err) {
		t.Errorf("events.k8s.io/v1 takes an event with the fields of old ones: %v", err)
	}
	if err := create(stores["core"], eventFull()); err != nil {
		t.Errorf("core/v1 refuses the same: %v", err)
	}
	fresh := eventNew()
	fresh.Name = "fresh"
	if err := create(stores["v1"], fresh); err != nil {
		t.Fatal(err)
	}
	got, err := stores["core"].Get(ctx, "fresh", &metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(fresh.Message, got.(*corev1.Event).Message); diff != "" {
		t.Errorf("message (-want +got):\n%s", diff)
	}
	// The rules for new events do not stand in the way of old ones' labels.
	old, err := stores["v1"].Get(ctx, "e", &metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	old.(*corev1.Event).Labels = map[string]string{"seen": "yes"}
	info := rest.DefaultUpdatedObjectInfo(old)
	if _, _, err := stores["v1"].Update(ctx, "e", info, rest.ValidateAllObjectFunc, rest.ValidateAllObjectUpdateFunc, false, &metav1.UpdateOptions{}); err != nil {
		t.Errorf("labelling an old event through events.k8s.io/v1: %v", err)
	}
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	metadatafake "k8s.io/client-go/metadata/fake"
	clienttesting "k8s.io/client-go/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
)

var (
	podsResource       = corev1.SchemeGroupVersion.WithResource("pods")
	configMapsResource = corev1.SchemeGroupVersion.WithResource("configmaps")
	secretsResource    = corev1.SchemeGroupVersion.WithResource("secrets")
)

// thing is an object of a namespace, of which only the metadata matters.
func thing(kind, name string, change ...func(*metav1.PartialObjectMetadata)) *metav1.PartialObjectMetadata {
	made := metadataOf(corev1.SchemeGroupVersion.WithKind(kind))
	made.Namespace, made.Name = "leaving", name
	for _, f := range change {
		f(made)
	}
	return made
}

func held(object *metav1.PartialObjectMetadata) { object.Finalizers = []string{"test/hold"} }

func graceUntil(end time.Time) func(*metav1.PartialObjectMetadata) {
	return func(object *metav1.PartialObjectMetadata) { object.DeletionTimestamp = &metav1.Time{Time: end} }
}

// house is a store with one namespace that ends, and what is in it.
type house struct {
	*namespaceDeletion
	store    client.WithWatch
	contents *metadatafake.FakeMetadataClient
	things   []*metav1.PartialObjectMetadata
	// deleted are the resources whose collection was deleted, in order.
	deleted []string
	// finalized is what the finalizers were set to last; nil if they were not.
	finalized []corev1.FinalizerName
	// reports counts the writes of the status.
	reports int
}

func newHouse(t *testing.T, namespace *corev1.Namespace, things ...*metav1.PartialObjectMetadata) *house {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := metav1.AddMetaToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	h := &house{store: fakeStore(namespace), contents: metadatafake.NewSimpleMetadataClient(scheme), things: things}
	for _, thing := range things {
		if err := h.contents.Tracker().Add(thing); err != nil {
			t.Fatal(err)
		}
	}
	h.contents.PrependReactor("delete-collection", "*", h.deleteCollection)
	counting := interceptor.NewClient(h.store, interceptor.Funcs{
		SubResourceUpdate: func(ctx context.Context, c client.Client, sub string, object client.Object, options ...client.SubResourceUpdateOption) error {
			if sub == "finalize" {
				h.finalized = append([]corev1.FinalizerName{}, object.(*corev1.Namespace).Spec.Finalizers...)
				return c.Update(ctx, object)
			}
			h.reports++
			return c.SubResource(sub).Update(ctx, object, options...)
		},
	})
	h.namespaceDeletion = newNamespaceDeletion(counting, h.contents, []schema.GroupVersionResource{configMapsResource, podsResource, secretsResource})
	h.now = func() time.Time { return noon.Add(time.Second) }
	return h
}

// deleteCollection removes what nothing holds. The fake client is locked while it
// asks, so the store behind it is changed.
func (h *house) deleteCollection(action clienttesting.Action) (bool, runtime.Object, error) {
	resource, tracker := action.GetResource(), h.contents.Tracker()
	h.deleted = append(h.deleted, resource.Resource)
	for _, item := range h.things {
		if !strings.EqualFold(item.Kind+"s", resource.Resource) || len(item.Finalizers) > 0 || item.DeletionTimestamp != nil {
			continue
		}
		if err := tracker.Delete(resource, item.Namespace, item.Name); err != nil {
			return true, nil, err
		}
	}
	return true, nil, nil
}

// conditions are those of the stored namespace, as "type: status reason message".
func (h *house) conditions(t *testing.T) []string {
	t.Helper()
	namespace := &corev1.Namespace{}
	if err := h.store.Get(t.Context(), named("leaving"), namespace); err != nil {
		t.Fatal(err)
	}
	if namespace.Status.Phase != corev1.NamespaceTerminating {
		t.Errorf("the phase is %q, want Terminating", namespace.Status.Phase)
	}
	var lines []string
	for _, c := range namespace.Status.Conditions {
		lines = append(lines, strings.Join([]string{string(c.Type) + ":", string(c.Status), c.Reason, c.Message}, " "))
	}
	return lines
}

// alone is a namespace that nothing but its content keeps.
func alone() *corev1.Namespace {
	namespace := endingNS("leaving")
	namespace.Spec.Finalizers = []corev1.FinalizerName{corev1.FinalizerKubernetes}
	return namespace
}

func TestAnEndingNamespaceIsEmptiedAndLetGo(t *testing.T) {
	t.Parallel()
	h := newHouse(t, alone(), thing("ConfigMap", "c"), thing("Pod", "p"), thing("Secret", "s"), thing("Secret", "s2"))
	if wait := reconciled(t, h, named("leaving")); wait != 0 {
		t.Errorf("looked at again after %s, want never", wait)
	}
	if diff := cmp.Diff([]string{"pods", "configmaps", "secrets"}, h.deleted); diff != "" {
		t.Errorf("deletions differ (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]corev1.FinalizerName{}, h.finalized); diff != "" {
		t.Errorf("finalizers differ (-want +got):\n%s", diff)
	}
}

func TestWhatIsNotThereIsNotDeleted(t *testing.T) {
	t.Parallel()
	h := newHouse(t, alone())
	reconciled(t, h, named("leaving"))
	if len(h.deleted) != 0 || h.finalized == nil {
		t.Errorf("deleted %v, finalizers %v; want nothing deleted and none left", h.deleted, h.finalized)
	}
}

func TestWhileAPodRemainsNothingElseIsDeleted(t *testing.T) {
	t.Parallel()
	h := newHouse(t, alone(), thing("ConfigMap", "c"), thing("Pod", "p", graceUntil(noon.Add(30*time.Second))), thing("Pod", "q", held))
	if wait := reconciled(t, h, named("leaving")); wait != 250*time.Millisecond {
		t.Errorf("looked at again after %s, want 250ms", wait)
	}
	if diff := cmp.Diff([]string{"pods"}, h.deleted); diff != "" || h.finalized != nil {
		t.Errorf("finalizers %v; deletions differ (-want +got):\n%s", h.finalized, diff)
	}
	want := []string{
		"NamespaceDeletionDiscoveryFailure: False ResourcesDiscovered Every served resource is known",
		"NamespaceDeletionGroupVersionParsingFailure: False ParsedGroupVersions Every served group and version is known",
		"NamespaceDeletionContentFailure: False ContentDeleted Everything was deleted, though some may wait for finalizers",
		"NamespaceContentRemaining: True SomeResourcesRemain Still in the namespace: pods (2)",
		"NamespaceFinalizersRemaining: True SomeFinalizersRemain Finalizers that objects wait for: test/hold (1)",
	}
	if diff := cmp.Diff(want, h.conditions(t)); diff != "" {
		t.Errorf("conditions differ (-want +got):\n%s", diff)
	}
	reports := h.reports
	reconciled(t, h, named("leaving"))
	if h.reports != reports {
		t.Error("the status was written although nothing changed")
	}
}

func TestWhatRemainsWithoutReasonIsAFailure(t *testing.T) {
	t.Parallel()
	h := newHouse(t, alone(), thing("Pod", "p", graceUntil(noon)), thing("Secret", "s"))
	reconciled(t, h, named("leaving"))
	want := "NamespaceDeletionContentFailure: True ContentDeletionFailed Some content could not be deleted: deleting pods: 1 of them remain for no known reason"
	if got := h.conditions(t); !slices.Contains(got, want) || h.finalized != nil {
		t.Errorf("finalizers %v; got %v, want among them %s", h.finalized, got, want)
	}
}

func TestAFailureOfOneResourceDoesNotKeepTheOthers(t *testing.T) {
	t.Parallel()
	h := newHouse(t, alone(), thing("ConfigMap", "c"), thing("Secret", "s"))
	h.contents.PrependReactor("list", "configmaps", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, errors.New("the store is away")
	})
	if wait := reconciled(t, h, named("leaving")); wait == 0 {
		t.Error("never looked at again")
	}
	if diff := cmp.Diff([]string{"secrets"}, h.deleted); diff != "" || h.finalized != nil {
		t.Errorf("finalizers %v; deletions differ (-want +got):\n%s", h.finalized, diff)
	}
	want := "NamespaceDeletionContentFailure: True ContentDeletionFailed Some content could not be deleted: deleting configmaps: the store is away"
	if got := h.conditions(t); !slices.Contains(got, want) {
		t.Errorf("got %v, want among them %s", got, want)
	}
}

func TestTheFinalizersOfOthersStay(t *testing.T) {
	t.Parallel()
	namespace := alone()
	namespace.Spec.Finalizers = []corev1.FinalizerName{"example.com/wait", corev1.FinalizerKubernetes}
	h := newHouse(t, namespace)
	if wait := reconciled(t, h, named("leaving")); wait != 0 {
		t.Errorf("looked at again after %s, want never", wait)
	}
	if diff := cmp.Diff([]corev1.FinalizerName{"example.com/wait"}, h.finalized); diff != "" {
		t.Errorf("finalizers differ (-want +got):\n%s", diff)
	}
	if got := h.conditions(t); len(got) != 5 {
		t.Errorf("a namespace that stays tells %v, want five conditions", got)
	}
}

func TestANamespaceThatDoesNotEndIsNotTouched(t *testing.T) {
	t.Parallel()
	inert := endingNS("inert")
	inert.Spec.Finalizers = nil
	for _, namespace := range []*corev1.Namespace{activeNS("leaving"), inert} {
		h := newHouse(t, namespace, thing("Secret", "s"))
		for _, name := range []types.NamespacedName{client.ObjectKeyFromObject(namespace), named("nowhere")} {
			reconciled(t, h, name)
		}
		if len(h.deleted) != 0 || h.finalized != nil || h.reports != 0 {
			t.Errorf("%s: deleted %v, finalizers %v, %d reports", namespace.Name, h.deleted, h.finalized, h.reports)
		}
	}
}

func TestANamespaceIsLookedAtInProportionToItsAge(t *testing.T) {
	t.Parallel()
	for age, want := range map[time.Duration]time.Duration{
		-time.Second:     250 * time.Millisecond,
		0:                250 * time.Millisecond,
		8 * time.Second:  2 * time.Second,
		24 * time.Hour:   30 * time.Second,
		60 * time.Second: 15 * time.Second,
	} {
		if got := recheck(age); got != want {
			t.Errorf("at the age of %s: got %s, want %s", age, got, want)
		}
	}
}

func TestConditionsKeepTheTimeOfTheirTransition(t *testing.T) {
	t.Parallel()
	status := corev1.NamespaceStatus{Conditions: []corev1.NamespaceCondition{{Type: "Other", Status: "True"}}}
	later := func(seconds int) time.Time { return noon.Add(time.Duration(seconds) * time.Second) }
	steps := []struct {
		condition corev1.NamespaceCondition
		changed   bool
		since     time.Time
	}{
		{wrong("Kind", "Reason", "two left"), true, later(0)},
		{wrong("Kind", "Reason", "two left"), false, later(0)},
		{wrong("Kind", "Reason", "one left"), true, later(0)},
		{fine("Kind", "Gone", "none left"), true, later(3)},
	}
	for i, step := range steps {
		changed := setConditions(&status, []corev1.NamespaceCondition{step.condition}, later(i))
		got := status.Conditions[1]
		if changed != step.changed || !got.LastTransitionTime.Time.Equal(step.since) || got.Message != step.condition.Message {
			t.Errorf("step %d: changed %v, %+v", i, changed, got)
		}
	}
	if len(status.Conditions) != 2 || status.Conditions[0].Type != "Other" {
		t.Errorf("the conditions of others: %+v", status.Conditions)
	}
}

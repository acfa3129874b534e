// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"testing"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

func TestALeaseGoesWithThePodThatOwnsIt(t *testing.T) {
	t.Parallel()
	successor := runPod()
	successor.UID = "pod-2"
	tests := map[string]struct {
		owners        []metav1.OwnerReference
		cached, store *corev1.Pod
		stays         bool
	}{
		"the pod is there":                    {leaseRenewed(noon).OwnerReferences, runPod(), runPod(), true},
		"the cache does not know the pod yet": {leaseRenewed(noon).OwnerReferences, nil, runPod(), true},
		"the pod is gone":                     {leaseRenewed(noon).OwnerReferences, nil, nil, false},
		"another pod has its name":            {leaseRenewed(noon).OwnerReferences, successor, successor, false},
		"no pod owns it":                      {nil, nil, nil, true},
		"something else owns it":              {[]metav1.OwnerReference{{APIVersion: "v1", Kind: "ConfigMap", Name: "run", UID: "x"}}, nil, nil, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lease := leaseRenewed(noon)
			lease.OwnerReferences = test.owners
			cached := []client.Object{lease}
			if test.cached != nil {
				cached = append(cached, test.cached)
			}
			var stored []client.Object
			if test.store != nil {
				stored = append(stored, test.store)
			}
			store := fakeStore(cached...)
			key := types.NamespacedName{Namespace: "dev", Name: "run"}
			reconciled(t, newOrphanedLeases(store, fakeStore(stored...)), key)
			err := store.Get(t.Context(), key, &coordinationv1.Lease{})
			if stays := err == nil; stays != test.stays || client.IgnoreNotFound(err) != nil {
				t.Errorf("stays %v (%v), want %v", stays, err, test.stays)
			}
			if !test.stays && !apierrors.IsNotFound(err) {
				t.Errorf("got %v, want not found", err)
			}
		})
	}
}

func TestTheEndOfAPodAsksForItsLease(t *testing.T) {
	t.Parallel()
	requests := leaseOf(t.Context(), runPod())
	if len(requests) != 1 || requests[0].String() != "dev/run" {
		t.Errorf("got %v, want dev/run", requests)
	}
	if requests := leaseOf(t.Context(), &corev1.Pod{}); len(requests) != 0 {
		t.Errorf("a pod without lease: got %v, want none", requests)
	}
	if requests := ownerPods(t.Context(), leaseRenewed(noon)); len(requests) != 1 || requests[0].String() != "dev/run" {
		t.Errorf("the owners of a lease: got %v, want dev/run", requests)
	}
}

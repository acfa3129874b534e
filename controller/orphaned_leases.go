// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// orphanedLeases deletes the marked leases whose pod is gone: the little that is
// needed here of what a garbage collector does.
type orphanedLeases struct {
	client client.Client
	direct client.Reader
}

func newOrphanedLeases(c client.Client, direct client.Reader) *orphanedLeases {
	return &orphanedLeases{client: c, direct: direct}
}

func (o *orphanedLeases) register(m manager.Manager) error {
	return watching(m, "orphaned-leases", 1).
		For(&coordinationv1.Lease{}).
		WatchesMetadata(&corev1.Pod{}, handler.EnqueueRequestsFromMapFunc(leaseOf), builder.WithPredicates(onlyDeletes())).
		Complete(ordinary(o))
}

// Reconcile deletes the lease if none of the pods that own it exists. A lease that
// no pod owns is left to whoever made it.
func (o *orphanedLeases) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	lease := &coordinationv1.Lease{}
	if err := o.client.Get(ctx, request.NamespacedName, lease); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	owned := false
	for _, owner := range lease.OwnerReferences {
		if !isPod(owner) {
			return reconcile.Result{}, nil
		}
		owned = true
		exists, err := o.exists(ctx, lease.Namespace, owner)
		if err != nil || exists {
			return reconcile.Result{}, err
		}
	}
	if !owned {
		return reconcile.Result{}, nil
	}
	err := o.client.Delete(ctx, lease, client.Preconditions{UID: &lease.UID})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return reconcile.Result{}, fmt.Errorf("deleting lease %q: %w", request.NamespacedName, err)
	}
	return reconcile.Result{}, nil
}

// exists tells whether the very pod that owns a lease is there. The cache may say
// yes; a no is the store's to say.
func (o *orphanedLeases) exists(ctx context.Context, namespace string, owner metav1.OwnerReference) (bool, error) {
	name := types.NamespacedName{Namespace: namespace, Name: owner.Name}
	for _, reader := range []client.Reader{o.client, o.direct} {
		pod := metadataOf(podKind)
		err := reader.Get(ctx, name, pod)
		if client.IgnoreNotFound(err) != nil {
			return false, fmt.Errorf("looking up pod %q: %w", name, err)
		}
		if err == nil && pod.UID == owner.UID {
			return true, nil
		}
	}
	return false, nil
}

// leaseOf makes a request of the lease that a pod lived by.
func leaseOf(_ context.Context, pod client.Object) []reconcile.Request {
	name := pod.GetAnnotations()[LeaseAnnotation]
	if name == "" {
		return nil
	}
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: pod.GetNamespace(), Name: name}}}
}

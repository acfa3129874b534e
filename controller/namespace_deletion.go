// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// landing is how long a namespace is left alone after its deletion was asked for,
// so that writes which were admitted just before have landed and are found.
const landing = 50 * time.Millisecond

// namespaceDeletion empties the namespaces that are about to end and lets them go
// (Kubernetes: pkg/controller/namespace/deletion). For each of them:
//
//  1. The phase becomes Terminating, if it is not yet.
//  2. Pods are deleted, with their grace. While one remains, nothing else is
//     touched: what runs may still need its account, secrets and config maps.
//  3. Everything else is deleted.
//  4. What remains, and why, is written into the conditions of the status, and the
//     namespace is looked at again later.
//  5. When nothing remains, the finalizer "kubernetes" is taken away. If it was
//     the last one, the namespace is gone.
//
// A crash after any step is followed by the same steps from the first one: each
// finds its work done or does it.
type namespaceDeletion struct {
	// client reads and writes without a cache: what a decision here misses would
	// be left behind for good.
	client   client.Client
	contents namespaceContents
	now      func() time.Time
}

func newNamespaceDeletion(direct client.Client, contents metadata.Interface, namespaced []schema.GroupVersionResource) *namespaceDeletion {
	return &namespaceDeletion{
		client:   direct,
		contents: newNamespaceContents(contents, namespaced),
		now:      time.Now,
	}
}

func (n *namespaceDeletion) register(m manager.Manager) error {
	later := func(object client.Object, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) {
		if !object.GetDeletionTimestamp().IsZero() {
			queue.AddAfter(reconcile.Request{NamespacedName: client.ObjectKeyFromObject(object)}, landing)
		}
	}
	return watching(m, "namespace-deletion", 4).
		Watches(&corev1.Namespace{}, handler.Funcs{
			CreateFunc: func(_ context.Context, e event.CreateEvent, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) {
				later(e.Object, queue)
			},
			UpdateFunc: func(_ context.Context, e event.UpdateEvent, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) {
				later(e.ObjectNew, queue)
			},
		}, builder.OnlyMetadata).
		Complete(ordinary(n))
}

// Reconcile makes one pass over a namespace.
func (n *namespaceDeletion) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	namespace := &corev1.Namespace{}
	if err := n.client.Get(ctx, request.NamespacedName, namespace); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	if namespace.DeletionTimestamp.IsZero() || len(namespace.Spec.Finalizers) == 0 {
		return reconcile.Result{}, nil
	}
	if err := n.pass(ctx, namespace); client.IgnoreNotFound(err) != nil {
		return reconcile.Result{}, fmt.Errorf("ending namespace %q: %w", namespace.Name, err)
	}
	if !slices.Contains(namespace.Spec.Finalizers, corev1.FinalizerKubernetes) {
		return reconcile.Result{}, nil
	}
	return reconcile.Result{RequeueAfter: recheck(n.now().Sub(namespace.DeletionTimestamp.Time))}, nil
}

// pass does the numbered steps once, as far as they go. The namespace is left as
// it was last stored.
func (n *namespaceDeletion) pass(ctx context.Context, namespace *corev1.Namespace) error {
	if namespace.Status.Phase != corev1.NamespaceTerminating {
		namespace.Status.Phase = corev1.NamespaceTerminating
		if err := n.client.Status().Update(ctx, namespace); err != nil {
			return err
		}
	}
	left := n.contents.clear(ctx, namespace.Name, n.now())
	for _, err := range left.failures {
		// The conditions tell the namespace's owner, the log its keeper; neither
		// keeps the other resources from being deleted.
		log.FromContext(ctx).Error(err, "Content of a namespace could not be deleted")
	}
	if err := n.report(ctx, namespace, left); err != nil || !left.nothing() {
		return err
	}
	namespace.Spec.Finalizers = slices.DeleteFunc(namespace.Spec.Finalizers, func(f corev1.FinalizerName) bool {
		return f == corev1.FinalizerKubernetes
	})
	return n.client.SubResource("finalize").Update(ctx, namespace)
}

// report writes the conditions that changed. A namespace that ends with this very
// pass has nobody to read them.
func (n *namespaceDeletion) report(ctx context.Context, namespace *corev1.Namespace, left leftovers) error {
	held := len(namespace.Finalizers) > 0 || len(namespace.Spec.Finalizers) > 1
	if left.nothing() && !held {
		return nil
	}
	if !setConditions(&namespace.Status, left.conditions(), n.now()) {
		return nil
	}
	return n.client.Status().Update(ctx, namespace)
}

// recheck is when to look again at a namespace that has been ending for age: soon
// at first, and never much later than needed in proportion.
func recheck(age time.Duration) time.Duration {
	return min(max(age/4, 250*time.Millisecond), 30*time.Second)
}

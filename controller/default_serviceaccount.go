// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"

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

// defaultAccount is the service account that every namespace has.
const defaultAccount = "default"

// NamespaceStarter gives a namespace what it has from its first moment: the
// service account of the pods that name none.
type NamespaceStarter struct {
	// Create stores a service account; an AlreadyExists error is fine.
	Create func(ctx context.Context, account *corev1.ServiceAccount) error
}

// Start makes the default account of a namespace that exists. To find it there
// already is a success; so is to find the namespace about to end or gone.
func (s NamespaceStarter) Start(ctx context.Context, namespace *corev1.Namespace) error {
	err := s.Create(ctx, &corev1.ServiceAccount{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace.Name, Name: defaultAccount},
	})
	if err == nil || apierrors.IsAlreadyExists(err) || namespaceEnds(err) {
		return nil
	}
	return fmt.Errorf("creating the default service account of namespace %q: %w", namespace.Name, err)
}

// namespaceEnds tells whether a creation failed because its namespace is gone or
// about to be.
func namespaceEnds(err error) bool {
	return apierrors.IsNotFound(err) || apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause)
}

// defaultServiceAccounts keeps the default account of each namespace. Its
// requests are names of namespaces (Kubernetes:
// pkg/controller/serviceaccount/serviceaccounts_controller.go).
type defaultServiceAccounts struct {
	cached  client.Reader
	starter NamespaceStarter
}

func newDefaultServiceAccounts(c client.Client) *defaultServiceAccounts {
	create := func(ctx context.Context, account *corev1.ServiceAccount) error { return c.Create(ctx, account) }
	return &defaultServiceAccounts{cached: c, starter: NamespaceStarter{Create: create}}
}

func (d *defaultServiceAccounts) register(m manager.Manager) error {
	return watching(m, "default-serviceaccount", bulkWorkers).
		For(&corev1.Namespace{}, builder.OnlyMetadata).
		WatchesMetadata(&corev1.ServiceAccount{}, handler.EnqueueRequestsFromMapFunc(namespaceOf), builder.WithPredicates(onlyDeletes())).
		Complete(ordinary(d))
}

// Reconcile makes the account where it is missing. A new one has a new UID: the
// tokens of the old one stay void.
func (d *defaultServiceAccounts) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	namespace, err := activeNamespace(ctx, d.cached, request.Name)
	if namespace == nil || err != nil {
		return reconcile.Result{}, err
	}
	account := metadataOf(serviceAccountKind)
	err = d.cached.Get(ctx, types.NamespacedName{Namespace: namespace.Name, Name: defaultAccount}, account)
	if !apierrors.IsNotFound(err) {
		return reconcile.Result{}, err
	}
	return reconcile.Result{}, d.starter.Start(ctx, namespace)
}

// activeNamespace finds a namespace that exists and is not about to end; nil if
// there is none. Only its metadata is filled.
func activeNamespace(ctx context.Context, cached client.Reader, name string) (*corev1.Namespace, error) {
	namespace := metadataOf(namespaceKind)
	err := cached.Get(ctx, types.NamespacedName{Name: name}, namespace)
	if err != nil || !namespace.DeletionTimestamp.IsZero() {
		return nil, client.IgnoreNotFound(err)
	}
	return &corev1.Namespace{ObjectMeta: namespace.ObjectMeta}, nil
}

// namespaceOf makes a request of the namespace of an object.
func namespaceOf(_ context.Context, object client.Object) []reconcile.Request {
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Name: object.GetNamespace()}}}
}

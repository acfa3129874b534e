// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// systemNamespaceNames are the namespaces that every server has (Kubernetes:
// pkg/controlplane/controller/systemnamespaces).
func systemNamespaceNames() []string {
	return []string{metav1.NamespaceDefault, metav1.NamespaceSystem, metav1.NamespacePublic, corev1.NamespaceNodeLease}
}

// EnsureSystemNamespaces makes the namespaces that every server has, all at once,
// where they are missing. The server calls it before it says that it is ready.
func EnsureSystemNamespaces(ctx context.Context, c client.Client) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, name := range systemNamespaceNames() {
		group.Go(func() error { return createNamespace(ctx, c, name) })
	}
	return group.Wait()
}

func createNamespace(ctx context.Context, c client.Writer, name string) error {
	err := c.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("creating namespace %q: %w", name, err)
	}
	return nil
}

// systemNamespaces makes again what is missing of them. The requests are their
// names.
type systemNamespaces struct {
	client client.Client
}

func newSystemNamespaces(c client.Client) *systemNamespaces {
	return &systemNamespaces{client: c}
}

func (s *systemNamespaces) register(m manager.Manager) error {
	system := predicate.NewPredicateFuncs(func(object client.Object) bool {
		return slices.Contains(systemNamespaceNames(), object.GetName())
	})
	var all []types.NamespacedName
	for _, name := range systemNamespaceNames() {
		all = append(all, types.NamespacedName{Name: name})
	}
	return watching(m, "system-namespaces", 1).
		WatchesMetadata(&corev1.Namespace{}, &handler.EnqueueRequestForObject{}, builder.WithPredicates(system, onlyDeletes())).
		WatchesRawSource(atStart(all...)).
		Complete(ordinary(s))
}

// Reconcile makes the namespace if it is gone. One that is about to end comes
// again when it has ended.
func (s *systemNamespaces) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	err := s.client.Get(ctx, request.NamespacedName, metadataOf(namespaceKind))
	if !apierrors.IsNotFound(err) {
		return reconcile.Result{}, err
	}
	return reconcile.Result{}, createNamespace(ctx, s.client, request.Name)
}

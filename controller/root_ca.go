// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"
	"maps"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

const (
	// rootCAConfigMap is where pods find the CA of the server.
	rootCAConfigMap = "kube-root-ca.crt"
	rootCAKey       = corev1.ServiceAccountRootCAKey

	descriptionAnnotation = "kubernetes.io/description"
	rootCADescription     = "The CA certificates by which a client inside recognises this API server. They are kept up to date here and vouch for nothing else."
)

// rootCA keeps the CA bundle in every namespace. Its requests are names of
// namespaces (Kubernetes: pkg/controller/certificates/rootcacertpublisher).
type rootCA struct {
	client client.Client
	bundle *rootBundle
	counts *syncs
}

func newRootCA(c client.Client, bundle *rootBundle, counts *syncs) *rootCA {
	return &rootCA{client: c, bundle: bundle, counts: counts}
}

func (r *rootCA) register(m manager.Manager) error {
	return watching(m, "root-ca", bulkWorkers).
		For(&corev1.Namespace{}, builder.OnlyMetadata).
		Watches(&corev1.ConfigMap{}, handler.EnqueueRequestsFromMapFunc(namespaceOf)).
		Watches(&certificatesv1.ClusterTrustBundle{}, handler.EnqueueRequestsFromMapFunc(r.renewed)).
		Complete(ordinary(r.counts.of(r)))
}

// renewed asks for all namespaces when the bundle has changed.
func (r *rootCA) renewed(ctx context.Context, _ client.Object) []reconcile.Request {
	changed, err := r.bundle.renew(ctx, r.client)
	if err != nil {
		log.FromContext(ctx).Error(err, "Putting the CA bundle together")
	}
	if !changed {
		return nil
	}
	namespaces := &metav1.PartialObjectMetadataList{}
	namespaces.SetGroupVersionKind(namespaceKind.GroupVersion().WithKind("NamespaceList"))
	if err := r.client.List(ctx, namespaces, client.UnsafeDisableDeepCopy); err != nil {
		return nil // the cache is synced before events are delivered; it ends with ctx
	}
	requests := make([]reconcile.Request, len(namespaces.Items))
	for i := range namespaces.Items {
		requests[i].Name = namespaces.Items[i].Name
	}
	return requests
}

// Reconcile publishes the bundle, or restores what somebody made of it.
func (r *rootCA) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	namespace, err := activeNamespace(ctx, r.client, request.Name)
	if namespace == nil || err != nil {
		return reconcile.Result{}, err
	}
	bundle, err := r.bundle.known(ctx, r.client)
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("putting the CA bundle together: %w", err)
	}
	data := map[string]string{rootCAKey: string(bundle)}
	found := &corev1.ConfigMap{}
	err = r.client.Get(ctx, types.NamespacedName{Namespace: namespace.Name, Name: rootCAConfigMap}, found)
	switch {
	case apierrors.IsNotFound(err):
		err = r.publish(ctx, namespace.Name, data)
	case err == nil && !published(found, data):
		err = r.restore(ctx, found, data)
	}
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("publishing the CA bundle in namespace %q: %w", namespace.Name, err)
	}
	return reconcile.Result{}, nil
}

func (r *rootCA) publish(ctx context.Context, namespace string, data map[string]string) error {
	err := r.client.Create(ctx, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: rootCAConfigMap,
			Annotations: map[string]string{descriptionAnnotation: rootCADescription},
		},
		Data: data,
	})
	// If it exists, its event will come.
	if apierrors.IsAlreadyExists(err) || namespaceEnds(err) {
		return nil
	}
	return err
}

// published tells whether a config map needs no change. A description in other
// words is left to whoever wrote it.
func published(found *corev1.ConfigMap, data map[string]string) bool {
	return maps.Equal(found.Data, data) && len(found.BinaryData) == 0 && found.Annotations[descriptionAnnotation] != ""
}

// restore puts the bundle back and leaves nothing beside it. A config map that
// was made immutable with other contents is removed, to be published anew.
func (r *rootCA) restore(ctx context.Context, found *corev1.ConfigMap, data map[string]string) error {
	found.Data, found.BinaryData = data, nil
	metav1.SetMetaDataAnnotation(&found.ObjectMeta, descriptionAnnotation, rootCADescription)
	err := r.client.Update(ctx, found)
	if apierrors.IsInvalid(err) {
		err = r.client.Delete(ctx, found, client.Preconditions{UID: &found.UID})
	}
	return client.IgnoreNotFound(err)
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"
)

const (
	// trackingConfigMap, in kube-system, tells under trackingKey since which day
	// the uses of tokens of Secrets have been noted on them: before, a Secret
	// without a mark may have been in use all the same.
	trackingConfigMap = "kube-apiserver-legacy-service-account-token-tracking"
	trackingKey       = "since"
	// trackingPause is the least time between two creations: replicas with and
	// without this controller shall not fight over it.
	trackingPause = 30 * time.Minute
)

// legacyTokenTracking keeps that config map (Kubernetes:
// pkg/controlplane/controller/legacytokentracking).
type legacyTokenTracking struct {
	client client.Client
	// config is for a watch of the one config map.
	config *rest.Config
	now    func() time.Time
	// notBefore is when the next creation may be. It belongs to the one worker.
	notBefore time.Time
}

func newLegacyTokenTracking(c client.Client, config *rest.Config, now func() time.Time) *legacyTokenTracking {
	return &legacyTokenTracking{client: c, config: config, now: now}
}

func (l *legacyTokenTracking) register(m manager.Manager) error {
	one, err := ownCache(m, l.config, &corev1.ConfigMap{}, cache.ByObject{
		Namespaces: map[string]cache.Config{metav1.NamespaceSystem: {}},
		Field:      fields.OneTermEqualSelector(metav1.ObjectNameField, trackingConfigMap),
	})
	if err != nil {
		return err
	}
	return watching(m, "legacy-token-tracking", 1).
		WatchesRawSource(source.Kind(one, &corev1.ConfigMap{}, &handler.TypedEnqueueRequestForObject[*corev1.ConfigMap]{})).
		WatchesRawSource(atStart(types.NamespacedName{Namespace: metav1.NamespaceSystem, Name: trackingConfigMap})).
		Complete(ordinary(l))
}

// Reconcile makes the config map if it is missing, and sets its day if it has
// none.
func (l *legacyTokenTracking) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	tracking := &corev1.ConfigMap{}
	err := l.client.Get(ctx, request.NamespacedName, tracking)
	if apierrors.IsNotFound(err) {
		return l.create(ctx, request.NamespacedName)
	}
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("reading config map %q: %w", request.NamespacedName, err)
	}
	if _, err := time.Parse(time.DateOnly, tracking.Data[trackingKey]); err == nil {
		return reconcile.Result{}, nil
	}
	if tracking.Data == nil {
		tracking.Data = map[string]string{}
	}
	tracking.Data[trackingKey] = l.today()
	if err := client.IgnoreNotFound(l.client.Update(ctx, tracking)); err != nil {
		return reconcile.Result{}, fmt.Errorf("dating config map %q: %w", request.NamespacedName, err)
	}
	return reconcile.Result{}, nil
}

func (l *legacyTokenTracking) create(ctx context.Context, name types.NamespacedName) (reconcile.Result, error) {
	if pause := l.notBefore.Sub(l.now()); pause > 0 {
		return reconcile.Result{RequeueAfter: pause}, nil
	}
	err := l.client.Create(ctx, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: name.Namespace, Name: name.Name},
		Data:       map[string]string{trackingKey: l.today()},
	})
	switch {
	case err == nil:
		l.notBefore = l.now().Add(trackingPause)
	case apierrors.IsNotFound(err): // the namespace is not there yet
		return reconcile.Result{RequeueAfter: conflictPause}, nil
	case !apierrors.IsAlreadyExists(err):
		return reconcile.Result{}, fmt.Errorf("creating config map %q: %w", name, err)
	}
	return reconcile.Result{}, nil
}

func (l *legacyTokenTracking) today() string { return l.now().UTC().Format(time.DateOnly) }

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
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"
)

const (
	// bootstrapTokenType is that of Secrets by which a machine makes itself known
	// at first, and expirationKey when they cease to be good for that.
	bootstrapTokenType = "bootstrap.kubernetes.io/token"
	expirationKey      = "expiration"
	// bootstrapPeriod is after how long at most a token is looked at again: a timer
	// does not notice that the clock was set.
	bootstrapPeriod = time.Hour
)

// bootstrapTokens deletes bootstrap tokens that have expired (Kubernetes:
// pkg/controller/bootstrap/tokencleaner.go).
type bootstrapTokens struct {
	client client.Client
	// config is for a watch of these Secrets.
	config *rest.Config
	now    func() time.Time
}

func newBootstrapTokens(direct client.Client, config *rest.Config, now func() time.Time) *bootstrapTokens {
	return &bootstrapTokens{client: direct, config: config, now: now}
}

func (b *bootstrapTokens) register(m manager.Manager) error {
	own, err := ownCache(m, b.config, &corev1.Secret{}, cache.ByObject{
		Namespaces: map[string]cache.Config{metav1.NamespaceSystem: {}},
		Field:      fields.OneTermEqualSelector("type", bootstrapTokenType),
		// No secret is kept in memory: Reconcile reads the one it looks at.
		Transform: func(object any) (any, error) {
			if secret, ok := object.(*corev1.Secret); ok {
				secret.Data = nil
			}
			return object, nil
		},
	})
	if err != nil {
		return err
	}
	return watching(m, "bootstrap-tokens", 1).
		WatchesRawSource(source.Kind(own, &corev1.Secret{}, &handler.TypedEnqueueRequestForObject[*corev1.Secret]{})).
		Complete(ordinary(b))
}

// Reconcile deletes a token whose time is up, or comes back when it is.
func (b *bootstrapTokens) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	secret := &corev1.Secret{}
	if err := b.client.Get(ctx, request.NamespacedName, secret); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	remains, ends := bootstrapRemains(secret, b.now())
	if !ends || !secret.DeletionTimestamp.IsZero() {
		return reconcile.Result{}, nil
	}
	if remains > 0 {
		return reconcile.Result{RequeueAfter: min(remains, bootstrapPeriod)}, nil
	}
	log.FromContext(ctx).Info("Deleting a bootstrap token that has expired", "secret", klog.KObj(secret))
	err := b.client.Delete(ctx, secret, client.Preconditions{UID: &secret.UID})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return reconcile.Result{}, fmt.Errorf("deleting secret %q: %w", request.NamespacedName, err)
	}
	return reconcile.Result{}, nil
}

// bootstrapRemains is how long a bootstrap token is still good. One without a time
// does not end; one whose time cannot be read has ended.
func bootstrapRemains(secret *corev1.Secret, now time.Time) (remains time.Duration, ends bool) {
	text := string(secret.Data[expirationKey])
	if text == "" || string(secret.Type) != bootstrapTokenType {
		return 0, false
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return 0, true
	}
	return at.Sub(now), true
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	identityv1 "github.com/muster-identity/muster/identity/v1"
	"github.com/muster-identity/muster/token"
)

const (
	// revocationGrace is how long a revocation outlives the last token it covers:
	// the leeway that the token itself has, and as much for the clocks of two
	// servers of one store.
	revocationGrace = 2 * token.Leeway
	// revocationPeriod is after how long at most a revocation is looked at again:
	// a timer does not notice that the clock was set.
	revocationPeriod = 24 * time.Hour
)

// expiredRevocations deletes the revocations of tokens that have all expired.
//
// A token that is kept in a Secret never expires: the revocation of an account
// stays for as long as there is a Secret for one.
type expiredRevocations struct {
	client client.Client
	// direct reads without a cache: nothing else here needs one of Secrets.
	direct client.Reader
	now    func() time.Time
}

func newExpiredRevocations(c client.Client, direct client.Reader) *expiredRevocations {
	return &expiredRevocations{client: c, direct: direct, now: time.Now}
}

func (e *expiredRevocations) register(m manager.Manager) error {
	return watching(m, "expired-revocations", 1).
		For(&identityv1.TokenRevocation{}).
		Complete(ordinary(e))
}

// Reconcile deletes a revocation whose time is up, or comes back when it is.
func (e *expiredRevocations) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	revocation := &identityv1.TokenRevocation{}
	if err := e.client.Get(ctx, request.NamespacedName, revocation); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	remains, ends := revocationRemains(revocation.Spec.ExpirationTimestamp, e.now())
	if !ends || !revocation.DeletionTimestamp.IsZero() {
		return reconcile.Result{}, nil
	}
	if remains > 0 {
		return reconcile.Result{RequeueAfter: min(remains, revocationPeriod)}, nil
	}
	if lasting, err := e.lasting(ctx, revocation.Spec.ServiceAccount); err != nil || lasting {
		return reconcile.Result{RequeueAfter: revocationPeriod}, err
	}
	log.FromContext(ctx).Info("Deleting a revocation of tokens that have all expired", "tokenRevocation", revocation.Name)
	// The spec never changes, so the cache is no older than the store but for
	// another object of the name, which the UID tells.
	err := e.client.Delete(ctx, revocation, client.Preconditions{UID: &revocation.UID})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return reconcile.Result{}, fmt.Errorf("deleting token revocation %q: %w", revocation.Name, err)
	}
	return reconcile.Result{}, nil
}

// lasting tells whether tokens of the account can be kept in Secrets.
func (e *expiredRevocations) lasting(ctx context.Context, account *identityv1.RevokedServiceAccount) (bool, error) {
	if account == nil {
		return false, nil
	}
	secrets := &corev1.SecretList{}
	if err := e.direct.List(ctx, secrets, client.InNamespace(account.Namespace)); err != nil {
		return false, fmt.Errorf("looking for tokens of %s/%s in secrets: %w", account.Namespace, account.Name, err)
	}
	return slices.ContainsFunc(secrets.Items, func(s corev1.Secret) bool {
		return s.Type == corev1.SecretTypeServiceAccountToken && s.Annotations[corev1.ServiceAccountNameKey] == account.Name
	}), nil
}

// revocationRemains is how long a revocation that expires at a time is still
// needed; zero or less means that it is not. One without a time does not end.
func revocationRemains(at *metav1.Time, now time.Time) (remains time.Duration, ends bool) {
	if at == nil {
		return 0, false
	}
	return at.Add(revocationGrace).Sub(now), true
}

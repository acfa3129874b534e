// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	runtimecontroller "sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// LegacyToken is what the token of a Secret says.
type LegacyToken struct {
	Namespace, Secret, Account string
	AccountUID                 types.UID
}

// tokenStep asks to look at a Secret. Account is set if the Secret was deleted: it
// is the account that may still list it.
type tokenStep struct {
	types.NamespacedName
	Account string
}

// legacyTokens fills the Secrets for tokens of accounts that somebody makes; it
// makes none itself. Each goes with its account (Kubernetes:
// pkg/controller/serviceaccount/tokens_controller.go).
type legacyTokens struct {
	cached client.Reader
	// client reads and writes without a cache.
	client client.Client
	bundle *rootBundle
	sign   func(context.Context, LegacyToken) (string, error)
}

func newLegacyTokens(cached client.Reader, direct client.Client, bundle *rootBundle, sign func(context.Context, LegacyToken) (string, error)) *legacyTokens {
	return &legacyTokens{cached: cached, client: direct, bundle: bundle, sign: sign}
}

func (l *legacyTokens) register(m manager.Manager) error {
	if l.sign == nil {
		return nil
	}
	return builder.TypedControllerManagedBy[tokenStep](m).Named("legacy-tokens").
		WithOptions(runtimecontroller.TypedOptions[tokenStep]{MaxConcurrentReconciles: bulkWorkers}).
		Watches(&corev1.Secret{}, handler.TypedFuncs[client.Object, tokenStep]{
			CreateFunc: func(_ context.Context, e event.CreateEvent, queue workqueue.TypedRateLimitingInterface[tokenStep]) {
				queue.Add(tokenStep{NamespacedName: client.ObjectKeyFromObject(e.Object)})
			},
			UpdateFunc: func(_ context.Context, e event.UpdateEvent, queue workqueue.TypedRateLimitingInterface[tokenStep]) {
				queue.Add(tokenStep{NamespacedName: client.ObjectKeyFromObject(e.ObjectNew)})
			},
			DeleteFunc: func(_ context.Context, e event.DeleteEvent, queue workqueue.TypedRateLimitingInterface[tokenStep]) {
				queue.Add(tokenStep{client.ObjectKeyFromObject(e.Object), e.Object.GetAnnotations()[corev1.ServiceAccountNameKey]})
			},
		}).
		WatchesMetadata(&corev1.ServiceAccount{}, handler.TypedFuncs[client.Object, tokenStep]{
			DeleteFunc: func(ctx context.Context, e event.DeleteEvent, queue workqueue.TypedRateLimitingInterface[tokenStep]) {
				l.secretsOf(ctx, e.Object, queue)
			},
		}).
		Watches(&certificatesv1.ClusterTrustBundle{}, handler.TypedFuncs[client.Object, tokenStep]{
			CreateFunc: func(ctx context.Context, _ event.CreateEvent, queue workqueue.TypedRateLimitingInterface[tokenStep]) {
				l.renewed(ctx, queue)
			},
			UpdateFunc: func(ctx context.Context, _ event.UpdateEvent, queue workqueue.TypedRateLimitingInterface[tokenStep]) {
				l.renewed(ctx, queue)
			},
			DeleteFunc: func(ctx context.Context, _ event.DeleteEvent, queue workqueue.TypedRateLimitingInterface[tokenStep]) {
				l.renewed(ctx, queue)
			},
		}).
		Complete(ordinary(l))
}

// renewed asks for all Secrets when the CA bundle has changed.
func (l *legacyTokens) renewed(ctx context.Context, queue workqueue.TypedRateLimitingInterface[tokenStep]) {
	changed, err := l.bundle.renew(ctx, l.cached)
	if err != nil {
		log.FromContext(ctx).Error(err, "Putting the CA bundle together")
	}
	secrets := &corev1.SecretList{}
	if !changed || l.cached.List(ctx, secrets, client.UnsafeDisableDeepCopy) != nil {
		return
	}
	for i := range secrets.Items {
		queue.Add(tokenStep{NamespacedName: client.ObjectKeyFromObject(&secrets.Items[i])})
	}
}

// secretsOf asks for all Secrets of an account that is gone.
func (l *legacyTokens) secretsOf(ctx context.Context, account client.Object, queue workqueue.TypedRateLimitingInterface[tokenStep]) {
	secrets := &corev1.SecretList{}
	// The cache is synced before events are delivered; it ends with ctx.
	if err := l.cached.List(ctx, secrets, client.InNamespace(account.GetNamespace()), client.UnsafeDisableDeepCopy); err != nil {
		return
	}
	for i := range secrets.Items {
		if secrets.Items[i].Annotations[corev1.ServiceAccountNameKey] == account.GetName() {
			queue.Add(tokenStep{NamespacedName: client.ObjectKeyFromObject(&secrets.Items[i])})
		}
	}
}

// Reconcile makes one step for a Secret: it is filled, or goes, or is struck off
// the list of its account.
func (l *legacyTokens) Reconcile(ctx context.Context, step tokenStep) (reconcile.Result, error) {
	secret := &corev1.Secret{}
	err := l.cached.Get(ctx, step.NamespacedName, secret)
	if apierrors.IsNotFound(err) {
		return reconcile.Result{}, l.strike(ctx, step)
	}
	if err != nil || !secret.DeletionTimestamp.IsZero() {
		return reconcile.Result{}, err
	}
	if _, err := l.bundle.known(ctx, l.cached); err != nil {
		return reconcile.Result{}, fmt.Errorf("putting the CA bundle together: %w", err)
	}
	account, err := l.account(ctx, secret)
	switch {
	case err != nil:
		return reconcile.Result{}, err
	case account == nil:
		return reconcile.Result{}, l.remove(ctx, secret)
	case l.filled(secret):
		return reconcile.Result{}, nil
	}
	return reconcile.Result{}, l.fill(ctx, step.NamespacedName, account)
}

// account finds whom a Secret is for; nil if there is nobody. The store has the
// last word before a Secret goes.
func (l *legacyTokens) account(ctx context.Context, secret *corev1.Secret) (*metav1.PartialObjectMetadata, error) {
	name := types.NamespacedName{Namespace: secret.Namespace, Name: secret.Annotations[corev1.ServiceAccountNameKey]}
	uid := types.UID(secret.Annotations[corev1.ServiceAccountUIDKey])
	for _, reader := range []client.Reader{l.cached, l.client} {
		account := metadataOf(serviceAccountKind)
		err := reader.Get(ctx, name, account)
		if err == nil && (uid == "" || uid == account.UID) {
			return account, nil
		}
		if client.IgnoreNotFound(err) != nil {
			return nil, fmt.Errorf("looking up service account %q: %w", name, err)
		}
	}
	return nil, nil
}

// filled tells whether a Secret, as it is cached, needs nothing.
func (l *legacyTokens) filled(secret *corev1.Secret) bool {
	return len(secret.Data[corev1.ServiceAccountTokenKey]) > 0 &&
		len(secret.Data[corev1.ServiceAccountNamespaceKey]) > 0 &&
		bytes.Equal(secret.Data[corev1.ServiceAccountRootCAKey], l.bundle.last())
}

// fill puts into a Secret what it lacks. A token that is there stays.
func (l *legacyTokens) fill(ctx context.Context, name types.NamespacedName, account *metav1.PartialObjectMetadata) error {
	secret := &corev1.Secret{}
	if err := l.client.Get(ctx, name, secret); err != nil {
		return client.IgnoreNotFound(err)
	}
	uid := secret.Annotations[corev1.ServiceAccountUIDKey]
	if l.filled(secret) || secret.Annotations[corev1.ServiceAccountNameKey] != account.Name || uid != "" && uid != string(account.UID) {
		return nil // its event comes
	}
	if secret.Data == nil {
		secret.Data = map[string][]byte{}
	}
	secret.Data[corev1.ServiceAccountRootCAKey] = l.bundle.last()
	if len(secret.Data[corev1.ServiceAccountNamespaceKey]) == 0 {
		secret.Data[corev1.ServiceAccountNamespaceKey] = []byte(secret.Namespace)
	}
	if len(secret.Data[corev1.ServiceAccountTokenKey]) == 0 {
		token, err := l.sign(ctx, LegacyToken{Namespace: secret.Namespace, Secret: secret.Name, Account: account.Name, AccountUID: account.UID})
		if err != nil {
			return fmt.Errorf("signing the token of secret %q: %w", name, err)
		}
		secret.Data[corev1.ServiceAccountTokenKey] = []byte(token)
	}
	metav1.SetMetaDataAnnotation(&secret.ObjectMeta, corev1.ServiceAccountUIDKey, string(account.UID))
	err := l.client.Update(ctx, secret)
	if apierrors.IsInvalid(err) {
		// One that was made immutable stays as it is until somebody makes another.
		return reconcile.TerminalError(fmt.Errorf("filling secret %q: %w", name, err))
	}
	return client.IgnoreNotFound(err)
}

func (l *legacyTokens) remove(ctx context.Context, secret *corev1.Secret) error {
	log.FromContext(ctx).Info("Deleting the token of a service account that is gone", "secret", klog.KObj(secret))
	err := l.client.Delete(ctx, secret, client.Preconditions{UID: &secret.UID})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("deleting secret %q: %w", client.ObjectKeyFromObject(secret), err)
	}
	return nil
}

// strike takes a Secret that was deleted off the list of its account.
func (l *legacyTokens) strike(ctx context.Context, step tokenStep) error {
	if step.Account == "" {
		return nil
	}
	account := &corev1.ServiceAccount{}
	err := l.client.Get(ctx, types.NamespacedName{Namespace: step.Namespace, Name: step.Account}, account)
	if err != nil {
		return client.IgnoreNotFound(err)
	}
	listed := func(s corev1.ObjectReference) bool { return s.Name == step.Name }
	if !slices.ContainsFunc(account.Secrets, listed) {
		return nil
	}
	account.Secrets = slices.DeleteFunc(account.Secrets, listed)
	return client.IgnoreNotFound(l.client.Update(ctx, account))
}

// withoutToken keeps of a Secret for a token what fill looks at: not the token,
// but whether there is one.
func withoutToken() func(any) (any, error) {
	there, bundle := []byte("there"), &shared[[]byte]{}
	return func(object any) (any, error) {
		secret, ok := object.(*corev1.Secret)
		if !ok {
			return object, nil
		}
		kept := map[string][]byte{}
		for _, key := range []string{corev1.ServiceAccountTokenKey, corev1.ServiceAccountNamespaceKey} {
			if len(secret.Data[key]) > 0 {
				kept[key] = there
			}
		}
		if rootCA := secret.Data[corev1.ServiceAccountRootCAKey]; len(rootCA) > 0 {
			kept[corev1.ServiceAccountRootCAKey] = bundle.of(rootCA)
		}
		secret.Data, secret.ManagedFields, secret.Labels = kept, nil, nil
		secret.Annotations = map[string]string{
			corev1.ServiceAccountNameKey: secret.Annotations[corev1.ServiceAccountNameKey],
			corev1.ServiceAccountUIDKey:  secret.Annotations[corev1.ServiceAccountUIDKey],
		}
		return secret, nil
	}
}

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
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"
)

const (
	// invalidSinceLabel of a Secret is the day since which its token is refused.
	invalidSinceLabel = "kubernetes.io/legacy-token-invalid-since"
	// cleaningPeriod is how often the Secrets are looked through.
	cleaningPeriod = 24 * time.Hour
	// clockPeriod is how often it is asked what time it is: a timer does not notice
	// that the clock was set, or stood still with the machine.
	clockPeriod = time.Second
	// cleanerPage is how many objects are read at once.
	cleanerPage = 500
)

// legacyTokenCleaner deletes the Secrets that Kubernetes once made for each account
// by itself and whose tokens nobody uses, in two stages a period apart: first the
// token is refused, then its Secret is deleted (Kubernetes:
// pkg/controller/serviceaccount/legacy_serviceaccount_token_cleaner.go). Secrets
// that somebody made by hand are not listed by their account, and stay.
type legacyTokenCleaner struct {
	client client.Client
	period time.Duration
	now    func() time.Time
}

func newLegacyTokenCleaner(direct client.Client, period time.Duration, now func() time.Time) *legacyTokenCleaner {
	return &legacyTokenCleaner{client: direct, period: period, now: now}
}

func (l *legacyTokenCleaner) register(m manager.Manager) error {
	if l.period <= 0 {
		return nil
	}
	return m.Add(manager.RunnableFunc(func(ctx context.Context) error {
		every(ctx, l.now, cleaningPeriod, func() {
			if err := l.clean(ctx); err != nil && ctx.Err() == nil {
				log.FromContext(ctx).Error(err, "Cleaning up the tokens of Secrets")
			}
		})
		return nil
	}))
}

// every calls step at once and then once in each period by the clock now, which
// may be set at any moment, until ctx ends.
func every(ctx context.Context, now func() time.Time, period time.Duration, step func()) {
	for ctx.Err() == nil {
		next := now().Add(period) // before the step, whose time may be another when it ends
		step()
		for ctx.Err() == nil && now().Before(next) {
			pause(ctx, clockPeriod)
		}
	}
}

// clean looks through all Secrets for tokens once.
func (l *legacyTokenCleaner) clean(ctx context.Context) error {
	now := l.now().UTC()
	since, err := l.trackedSince(ctx)
	if err != nil || now.Before(since.Add(l.period)) {
		return err
	}
	mounted := map[string]sets.Set[string]{}
	return l.each(ctx, func(secret *corev1.Secret) error {
		stage := stageOf(secret, now, l.period)
		if stage == stageNone {
			return nil
		}
		listed, err := l.listed(ctx, secret)
		if err != nil || !listed {
			return err
		}
		used, err := l.mounted(ctx, secret.Namespace, mounted)
		if err != nil || used.Has(secret.Name) {
			return err
		}
		return l.take(ctx, stage, secret, now)
	})
}

// cleaningStage is what becomes of a Secret.
type cleaningStage int

const (
	stageNone cleaningStage = iota
	stageInvalid
	stageDelete
)

// stageOf tells what a Secret is ripe for at the time now, going by itself alone.
// Its labels are days, which compare as their texts do.
func stageOf(secret *corev1.Secret, now time.Time, period time.Duration) cleaningStage {
	before := now.Add(-period)
	day := before.Format(time.DateOnly)
	if secret.Type != corev1.SecretTypeServiceAccountToken || !secret.DeletionTimestamp.IsZero() || !secret.CreationTimestamp.Time.Before(before) {
		return stageNone
	}
	if used, ok := secret.Labels[lastUsedLabel]; ok && (!isDay(used) || used >= day) {
		return stageNone
	}
	switch invalid := secret.Labels[invalidSinceLabel]; {
	case !isDay(invalid):
		return stageInvalid
	case invalid >= day:
		return stageNone
	}
	return stageDelete
}

func isDay(text string) bool {
	_, err := time.Parse(time.DateOnly, text)
	return err == nil
}

// take makes a step of the two. A Secret that has changed meanwhile is left for
// the next time.
func (l *legacyTokenCleaner) take(ctx context.Context, stage cleaningStage, secret *corev1.Secret, now time.Time) error {
	var err error
	if stage == stageInvalid {
		log.FromContext(ctx).Info("Marking an unused token as invalid", "secret", klog.KObj(secret))
		marked := secret.DeepCopy()
		metav1.SetMetaDataLabel(&marked.ObjectMeta, invalidSinceLabel, now.Format(time.DateOnly))
		err = l.client.Patch(ctx, marked, client.MergeFromWithOptions(secret, client.MergeFromWithOptimisticLock{}))
	} else {
		log.FromContext(ctx).Info("Deleting an unused token", "secret", klog.KObj(secret))
		err = l.client.Delete(ctx, secret, client.Preconditions{UID: &secret.UID, ResourceVersion: &secret.ResourceVersion})
	}
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("cleaning up secret %q: %w", client.ObjectKeyFromObject(secret), err)
	}
	return nil
}

// trackedSince is the first moment from which on all uses are noted.
func (l *legacyTokenCleaner) trackedSince(ctx context.Context) (time.Time, error) {
	tracking := &corev1.ConfigMap{}
	name := types.NamespacedName{Namespace: metav1.NamespaceSystem, Name: trackingConfigMap}
	if err := l.client.Get(ctx, name, tracking); err != nil {
		if apierrors.IsNotFound(err) {
			return l.now(), nil // not yet
		}
		return time.Time{}, fmt.Errorf("reading since when uses of tokens are noted: %w", err)
	}
	day, err := time.Parse(time.DateOnly, tracking.Data[trackingKey])
	if err != nil {
		return time.Time{}, fmt.Errorf("reading since when uses of tokens are noted: %w", err)
	}
	return day.AddDate(0, 0, 1), nil
}

// each calls f with every Secret for a token. It returns the first error, and goes
// on.
func (l *legacyTokenCleaner) each(ctx context.Context, f func(*corev1.Secret) error) error {
	var first error
	secrets := &corev1.SecretList{}
	for {
		err := l.client.List(ctx, secrets, client.Limit(cleanerPage), client.Continue(secrets.Continue),
			client.MatchingFields{"type": string(corev1.SecretTypeServiceAccountToken)})
		if err != nil {
			return fmt.Errorf("listing secrets: %w", err)
		}
		for i := range secrets.Items {
			if err := f(&secrets.Items[i]); err != nil && first == nil {
				first = err
			}
		}
		if secrets.Continue == "" {
			return first
		}
	}
}

// listed tells whether the account of a Secret lists it.
func (l *legacyTokenCleaner) listed(ctx context.Context, secret *corev1.Secret) (bool, error) {
	account := &corev1.ServiceAccount{}
	name := types.NamespacedName{Namespace: secret.Namespace, Name: secret.Annotations[corev1.ServiceAccountNameKey]}
	if err := l.client.Get(ctx, name, account); err != nil {
		return false, client.IgnoreNotFound(err)
	}
	if uid := secret.Annotations[corev1.ServiceAccountUIDKey]; uid != "" && uid != string(account.UID) {
		return false, nil
	}
	return slices.ContainsFunc(account.Secrets, func(s corev1.ObjectReference) bool { return s.Name == secret.Name }), nil
}

// mounted are the names of the Secrets that pods of a namespace use.
func (l *legacyTokenCleaner) mounted(ctx context.Context, namespace string, known map[string]sets.Set[string]) (sets.Set[string], error) {
	if names, ok := known[namespace]; ok {
		return names, nil
	}
	names := sets.New[string]()
	pods := &corev1.PodList{}
	for {
		err := l.client.List(ctx, pods, client.InNamespace(namespace), client.Limit(cleanerPage), client.Continue(pods.Continue))
		if err != nil {
			return nil, fmt.Errorf("looking for secrets that pods use: %w", err)
		}
		for i := range pods.Items {
			names.Insert(secretsOfPod(&pods.Items[i].Spec)...)
		}
		if pods.Continue == "" {
			known[namespace] = names
			return names, nil
		}
	}
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	identityv1 "github.com/muster-identity/muster/identity/v1"
)

func TestARevocationGoesWhenTheLastTokenItCoversHasExpired(t *testing.T) {
	t.Parallel()
	at := func(d time.Duration) *metav1.Time { return &metav1.Time{Time: noon.Add(d)} }
	held := metav1.ObjectMeta{DeletionTimestamp: at(0), Finalizers: []string{"example.com/held"}}
	tests := map[string]struct {
		meta  metav1.ObjectMeta
		ends  *metav1.Time
		stays bool
		after time.Duration
	}{
		"it has no end":                           {metav1.ObjectMeta{}, nil, true, 0},
		"its end is far away":                     {metav1.ObjectMeta{}, at(90 * 24 * time.Hour), true, 24 * time.Hour},
		"its end is near":                         {metav1.ObjectMeta{}, at(time.Minute), true, 3 * time.Minute},
		"a token may be good by a late clock":     {metav1.ObjectMeta{}, at(-time.Minute), true, time.Minute},
		"no clock finds a token good":             {metav1.ObjectMeta{}, at(-2 * time.Minute), false, 0},
		"its end was long ago":                    {metav1.ObjectMeta{}, at(-time.Hour), false, 0},
		"it is being deleted, somebody has to go": {held, at(-time.Hour), true, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			revocation := &identityv1.TokenRevocation{ObjectMeta: test.meta, Spec: identityv1.TokenRevocationSpec{ExpirationTimestamp: test.ends}}
			revocation.Name, revocation.UID = "r", "r-uid"
			store := fakeStore(revocation)
			controller := newExpiredRevocations(store, store)
			controller.now = func() time.Time { return noon }
			if after := reconciled(t, controller, named("r")); after != test.after {
				t.Errorf("comes back after %s, want %s", after, test.after)
			}
			err := store.Get(t.Context(), named("r"), &identityv1.TokenRevocation{})
			if stays := err == nil; stays != test.stays || client.IgnoreNotFound(err) != nil {
				t.Errorf("stays %v (%v), want %v", stays, err, test.stays)
			}
			if after := reconciled(t, controller, named("other")); after != 0 {
				t.Errorf("one that is not there comes back after %s", after)
			}
		})
	}
}

func TestARevocationOfAnAccountStaysWhileASecretMayHoldItsToken(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		secret *corev1.Secret
		stays  bool
	}{
		"of the account":             {tokenSecret("dev", "reporter", corev1.SecretTypeServiceAccountToken), true},
		"of another account":         {tokenSecret("dev", "other", corev1.SecretTypeServiceAccountToken), false},
		"of the same name elsewhere": {tokenSecret("prod", "reporter", corev1.SecretTypeServiceAccountToken), false},
		"of another type":            {tokenSecret("dev", "reporter", corev1.SecretTypeOpaque), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := fakeStore(test.secret, &identityv1.TokenRevocation{
				ObjectMeta: metav1.ObjectMeta{Name: "r", UID: "r-uid"},
				Spec: identityv1.TokenRevocationSpec{
					ServiceAccount:      &identityv1.RevokedServiceAccount{Namespace: "dev", Name: "reporter"},
					ExpirationTimestamp: &metav1.Time{Time: noon.Add(-time.Hour)},
				},
			})
			controller := newExpiredRevocations(store, store)
			controller.now = func() time.Time { return noon }
			reconciled(t, controller, named("r"))
			err := store.Get(t.Context(), named("r"), &identityv1.TokenRevocation{})
			if stays := err == nil; stays != test.stays || client.IgnoreNotFound(err) != nil {
				t.Errorf("stays %v (%v), want %v", stays, err, test.stays)
			}
		})
	}
}

func tokenSecret(namespace, account string, kind corev1.SecretType) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "s", Annotations: map[string]string{corev1.ServiceAccountNameKey: account}},
		Type:       kind,
	}
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

func TestBootstrapTokensThatHaveExpiredGo(t *testing.T) {
	t.Parallel()
	at := func(after time.Duration) string { return noon.Add(after).Format(time.RFC3339) }
	for name, test := range map[string]struct {
		kind, expiration string
		gone             bool
		again            time.Duration
	}{
		"expired":         {bootstrapTokenType, at(-time.Second), true, 0},
		"just now":        {bootstrapTokenType, at(0), true, 0},
		"soon":            {bootstrapTokenType, at(time.Minute), false, time.Minute},
		"much later":      {bootstrapTokenType, at(1000 * time.Hour), false, bootstrapPeriod},
		"never":           {bootstrapTokenType, "", false, 0},
		"at no time":      {bootstrapTokenType, "tomorrow", true, 0},
		"no token at all": {string(corev1.SecretTypeOpaque), at(-time.Hour), false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			secret := &corev1.Secret{
				ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "bootstrap-token-abcdef"},
				Type:       corev1.SecretType(test.kind), Data: map[string][]byte{expirationKey: []byte(test.expiration)},
			}
			store := fakeStore(secret)
			key := types.NamespacedName{Namespace: secret.Namespace, Name: secret.Name}
			again := reconciled(t, newBootstrapTokens(store, nil, func() time.Time { return noon }), key)
			err := store.Get(t.Context(), key, &corev1.Secret{})
			if gone := err != nil && client.IgnoreNotFound(err) == nil; gone != test.gone || again != test.again {
				t.Errorf("gone: %t, looked at again after %s; want %t and %s", gone, again, test.gone, test.again)
			}
		})
	}
}

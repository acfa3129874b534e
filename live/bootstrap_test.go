// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package live

import (
	"crypto/sha256"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

func TestOfABootstrapTokenOnlyTheDigestOfItsSecretPartIsKept(t *testing.T) {
	t.Parallel()
	secret := &corev1.Secret{
		ObjectMeta: metaAt(7, "x"), Type: "bootstrap.kubernetes.io/token",
		Data: map[string][]byte{"token-id": []byte("abcdef"), "token-secret": []byte("0123456789abcdef"), "description": []byte("for the deck")},
	}
	want := &BootstrapToken{Digest: sha256.Sum256([]byte("0123456789abcdef")), Data: map[string][]byte{"token-id": []byte("abcdef")}}
	got := secretOf(secret).Bootstrap
	secret.Data["token-id"][0] = 'x' // its owner may change it
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what is kept (-want +got):\n%s", diff)
	}
	secret.Type = corev1.SecretTypeOpaque
	if got := secretOf(secret).Bootstrap; got != nil {
		t.Errorf("of another type %v is kept", got)
	}
}

func TestASecretThatNobodyHasHeardOfCostsNoRead(t *testing.T) {
	t.Parallel()
	store := newShelf()
	view := New(store, nil)
	secret := &corev1.Secret{ObjectMeta: metaAt(7, "x")}
	store.put(secrets, secret)
	steps := []struct {
		name   string
		before func()
		found  bool
		reads  int
	}{
		{"unheard of", func() {}, false, 0},
		{"written", func() { view.Commit(secrets, secret, false) }, true, 0},
		{"in doubt", func() { view.Doubt(secrets, "shop", "x") }, true, 1},
		{"deleted", func() { view.Commit(secrets, &corev1.Secret{ObjectMeta: metaAt(8, "x")}, true) }, false, 1},
		{"deleted and in doubt", func() { view.Doubt(secrets, "shop", "x") }, false, 1},
	}
	for _, step := range steps {
		step.before()
		_, err := view.KnownSecret(t.Context(), "shop", "x")
		if found := err == nil; found != step.found || (!found && !apierrors.IsNotFound(err)) || store.reads != step.reads {
			t.Errorf("%s: error %v after %d reads, want found %v after %d", step.name, err, store.reads, step.found, step.reads)
		}
	}
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package tokens

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	kubernetes "k8s.io/kubernetes/pkg/serviceaccount"

	"github.com/muster-identity/muster/keyring"
)

// TestThePublishedDocumentsAreThoseOfKubernetes is of the two by which others check tokens, byte for byte.
func TestThePublishedDocumentsAreThoseOfKubernetes(t *testing.T) {
	const keysAt = "https://keys.example/openid/v1/jwks"
	var all []keyring.Key
	var public []any
	for _, algorithm := range keyring.Algorithms() {
		key := newKey(t, algorithm)
		all, public = append(all, key.signer.Keys()...), append(public, key.private.Public())
	}
	getter, err := kubernetes.StaticPublicKeysGetter(public)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := kubernetes.NewOpenIDMetadataProvider(api, keysAt, "", getter)
	if err != nil {
		t.Fatal(err)
	}
	ours, err := keyring.NewMetadata(api, keysAt, all)
	if err != nil {
		t.Fatal(err)
	}
	configuration, _ := theirs.GetConfigJSON()
	if diff := cmp.Diff(string(configuration), string(ours.Configuration)); diff != "" {
		t.Errorf("the configuration (-Kubernetes +Muster):\n%s", diff)
	}
	keySet, _ := theirs.GetKeysetJSON()
	if diff := cmp.Diff(string(keySet), string(ours.KeySet)); diff != "" {
		t.Errorf("the keys (-Kubernetes +Muster):\n%s", diff)
	}
}

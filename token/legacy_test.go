// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package token_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/muster-identity/muster/token"
)

const legacyPayload = `{"iss":"kubernetes/serviceaccount","kubernetes.io/serviceaccount/namespace":"shop",` +
	`"kubernetes.io/serviceaccount/secret.name":"seal","kubernetes.io/serviceaccount/service-account.name":"cart",` +
	`"kubernetes.io/serviceaccount/service-account.uid":"cart-uid","sub":"system:serviceaccount:shop:cart"}`

func TestATokenOfASecretHasTheLayoutOfKubernetes(t *testing.T) {
	t.Parallel()
	want := &token.Claims{
		Issuer: token.LegacyIssuer, Subject: "system:serviceaccount:shop:cart",
		Kubernetes: token.Kubernetes{
			Namespace: "shop", ServiceAccount: token.Ref{Name: "cart", UID: "cart-uid"}, Secret: &token.Ref{Name: "seal"},
		},
	}
	got, err := token.DecodeLegacy([]byte(legacyPayload))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("claims differ (-want +got):\n%s", diff)
	}
	encoded, err := got.EncodeLegacy()
	if err != nil || string(encoded) != legacyPayload {
		t.Errorf("encoded as %s, error %v", encoded, err)
	}
	if extra := got.User().GetExtra(); extra != nil {
		t.Errorf("extra %v: such a token has none", extra)
	}
}

func FuzzDecodeLegacy(f *testing.F) {
	f.Add([]byte(legacyPayload))
	f.Add([]byte(`{"iss":"kubernetes/serviceaccount","aud":["x"],"kubernetes.io":{"namespace":"shop"}}`))
	f.Add([]byte(`{"sub":"a","sub":"b"}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		c, err := token.DecodeLegacy(payload)
		if err != nil {
			if c != nil {
				t.Fatal("refused claims are not nil")
			}
			return
		}
		encoded, err := c.EncodeLegacy()
		if err != nil {
			t.Fatal(err)
		}
		again, err := token.DecodeLegacy(encoded)
		if err != nil {
			t.Fatalf("%s: %v", encoded, err)
		}
		if diff := cmp.Diff(normal(*c), normal(*again)); diff != "" {
			t.Errorf("meaning changed (-before +after):\n%s", diff)
		}
	})
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"testing"

	"github.com/go-jose/go-jose/v4"
)

// What a service pays for each call, with the keys at hand.
func BenchmarkOIDC(b *testing.B) {
	v, _ := oidc(b, newIssuer(b, allKeys()))
	for _, alg := range []struct {
		name jose.SignatureAlgorithm
		kid  string
	}{{jose.ES256, "k1"}, {jose.RS256, "rsa"}} {
		b.Run(string(alg.name), func(b *testing.B) {
			token := sign(b, alg.name, signingKeys()[alg.name], alg.kid, goodClaims(), nil)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Verify(b.Context(), token); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("another issuer", func(b *testing.B) {
		token := sign(b, jose.ES256, signingKeys()[jose.ES256], "k1", goodClaims().with("iss", "https://other.example"), nil)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := v.Verify(b.Context(), token); err == nil {
				b.Fatal("accepted")
			}
		}
	})
}

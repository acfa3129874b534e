// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package token_test

import (
	"crypto"
	"crypto/ecdsa"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/muster-identity/muster/es256"
	"github.com/muster-identity/muster/token"
)

// What a plain header spares may not change what is accepted: go-jose, which knows no plain headers, is asked as well.
func TestATokenWithAPlainHeaderIsVerifiedAsAnyOther(t *testing.T) {
	t.Parallel()
	allowed := []jose.SignatureAlgorithm{jose.RS256, jose.ES256, jose.ES384, jose.ES512}
	var compacts []string
	for _, algorithm := range allowed {
		good := sign(t, algorithm, keys()[algorithm], "k-1_2", payload(t), nil)
		parts := strings.Split(good, ".")
		compacts = append(compacts, good, parts[0]+"."+parts[1]+".", good[:len(good)-4], parts[0]+"."+b64(`{"iss":"x"}`)+"."+parts[2])
		for _, other := range []string{"RS256", "ES256", "ES384", "ES512", "RS512", "PS256", "HS256", "none", ""} {
			for _, header := range []string{
				`{"alg":"` + other + `","kid":"k-1_2"}`, `{"alg":"` + other + `","kid":"k-1_2","kid":"x"}`, ` {"alg":"` + other + `","kid":"k-1_2"}`,
				`{"alg":"` + other + `","kid":"k\"1"}`, `{"alg":"` + other + `","kid":""}`, `{"alg":"` + other + `","kid":"k","crit":["x"],"x":1}`,
			} {
				compacts = append(compacts, b64(header)+"."+parts[1]+"."+parts[2])
			}
		}
	}
	for _, compact := range compacts {
		for _, private := range keys() {
			public := private.(interface{ Public() crypto.PublicKey }).Public()
			want := false
			if jws, err := jose.ParseSignedCompact(compact, allowed); err == nil {
				_, err = jws.Verify(public)
				want = err == nil
			}
			got := false
			if u, err := token.Parse(compact); err == nil {
				_, err = u.Payload([]crypto.PublicKey{public})
				got = err == nil
			}
			if fast, err := es256.New(asECDSA(public)); err == nil {
				u, err := token.Parse(compact)
				if err == nil {
					_, err = u.Payload([]crypto.PublicKey{fast})
				}
				if (err == nil) != want {
					t.Errorf("header %s: accepted %v by the faster way, by go-jose %v", strings.Split(compact, ".")[0], err == nil, want)
				}
			}
			if got != want {
				t.Errorf("header %s with a %T: accepted %v, by go-jose %v", strings.Split(compact, ".")[0], public, got, want)
			}
		}
	}
}

func asECDSA(public crypto.PublicKey) *ecdsa.PublicKey {
	if key, ok := public.(*ecdsa.PublicKey); ok {
		return key
	}
	return &ecdsa.PublicKey{}
}

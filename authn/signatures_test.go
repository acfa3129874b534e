// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package authn

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"k8s.io/apiserver/pkg/authentication/authenticator"

	"github.com/muster-identity/muster/keyring"
	"github.com/muster-identity/muster/token"
)

func ringOf(t testing.TB) *keyring.Ring {
	t.Helper()
	private, err := keyring.Generate(keyring.DefaultAlgorithm)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := keyring.NewLocalSigner(private)
	if err != nil {
		t.Fatal(err)
	}
	ring, err := keyring.NewRing(signer)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func TestASignatureIsKnownWithItsRingOnly(t *testing.T) {
	t.Parallel()
	mine, others := ringOf(t), ringOf(t)
	s, claims := newSignatures(), &token.Claims{}
	s.add(digestOf("a"), mine, claims)
	for name, test := range map[string]struct {
		compact string
		ring    *keyring.Ring
		want    bool
	}{
		"the same":      {"a", mine, true},
		"another token": {"b", mine, false},
		"another ring":  {"a", others, false},
	} {
		if got, ok := s.get(digestOf(test.compact), test.ring); ok != test.want || ok && got != claims {
			t.Errorf("%s: known: %v, want %v", name, ok, test.want)
		}
	}
	s.add(digestOf("a"), others, claims)
	if _, ok := s.get(digestOf("a"), mine); ok {
		t.Error("a token is known with a ring that it was not verified with last")
	}
}

func TestTheNumberOfKnownSignaturesIsBounded(t *testing.T) {
	t.Parallel()
	s, ring := newSignatures(), ringOf(t)
	for i := range 2 * maxSignatures {
		s.add(digestOf(fmt.Sprint(i)), ring, &token.Claims{})
	}
	if got := s.len(); got > maxSignatures || got < maxSignatures*9/10 {
		t.Errorf("%d signatures are kept, want about %d and no more", got, maxSignatures)
	}
}

func (s *signatures) len() int {
	n := 0
	for _, stripe := range s {
		n += stripe.Len()
	}
	return n
}

func TestOnlyVerifiedTokensOfUsualSizeAreKept(t *testing.T) {
	t.Parallel()
	ring := ringOf(t)
	s := NewServiceAccounts(ServiceAccounts{
		Issuers: []string{"https://muster.example"}, Keys: keyring.New(ring),
		APIAudiences: authenticator.Audiences{"https://muster.example"}, Now: time.Now,
	})
	sign := func(audience string) string {
		claims := token.Grant{Issuer: "https://muster.example", IssuedAt: time.Now(), Audiences: []string{audience}}.Claims()
		payload, err := claims.Encode()
		if err != nil {
			t.Fatal(err)
		}
		compact, err := ring.Sign(t.Context(), payload)
		if err != nil {
			t.Fatal(err)
		}
		return compact
	}
	usual, huge := sign("a"), sign(strings.Repeat("a", maxKeptToken))
	for _, compact := range []string{"", "a.b.c", usual[:len(usual)-4] + "AAAA", huge} {
		_, _, _ = s.verify(compact)
	}
	if got := s.verified.len(); got != 0 {
		t.Errorf("%d signatures are kept of tokens that are forged, or huge", got)
	}
	for range 2 {
		for _, compact := range []string{usual, huge} {
			if claims, ours, err := s.verify(compact); claims == nil || !ours || err != nil {
				t.Errorf("a good token of %d bytes is refused: %v", len(compact), err)
			}
		}
	}
	if got := s.verified.len(); got != 1 {
		t.Errorf("%d signatures are kept, want that of the usual token", got)
	}
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package authn

import (
	"fmt"
	"runtime"
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

// seenOf is the kept form of a token with the text of name.
func seenOf(name string, ring *keyring.Ring, claims token.Claims) *seen {
	return newSeen(digestOf(name), ring, &claims, false)
}

func TestASignatureIsKnownWithItsRingOnly(t *testing.T) {
	t.Parallel()
	mine, others := ringOf(t), ringOf(t)
	s := newSignatures(maxBytes)
	first := seenOf("a", mine, token.Claims{})
	s.add(first)
	for name, test := range map[string]struct {
		compact string
		ring    *keyring.Ring
		want    bool
	}{
		"the same":      {"a", mine, true},
		"another token": {"b", mine, false},
		"another ring":  {"a", others, false},
	} {
		if got, ok := s.get(digestOf(test.compact), test.ring); ok != test.want || ok && got != first {
			t.Errorf("%s: known: %v, want %v", name, ok, test.want)
		}
	}
	s.add(seenOf("a", others, token.Claims{}))
	if _, ok := s.get(digestOf("a"), mine); ok {
		t.Error("a token is known with a ring that it was not verified with last")
	}
	if len(s.kept) != 1 {
		t.Errorf("%d entries of one token", len(s.kept))
	}
}

// podClaims are the claims of a pod's token as a decoder leaves them: each text
// in memory of its own.
func podClaims(namespace string, account, pod int) token.Claims {
	own := strings.Clone
	return token.Claims{
		Audience: []string{own("https://kubernetes.default.svc.cluster.local")}, Issuer: own("https://kubernetes.default.svc.cluster.local"),
		ID: fmt.Sprintf("2c5f2f7a-52d1-4c5e-9d0a-%012d", pod), Subject: fmt.Sprintf("system:serviceaccount:%s:account-%d", namespace, account),
		Expiry: 1, IssuedAt: 1, NotBefore: 1,
		Kubernetes: token.Kubernetes{
			Namespace:      own(namespace),
			ServiceAccount: token.Ref{Name: fmt.Sprint("account-", account), UID: fmt.Sprintf("6b3d2f7a-52d1-4c5e-9d0a-%012d", account)},
			Pod:            &token.Ref{Name: fmt.Sprintf("deployment-5d89c7b8f-%06d", pod), UID: fmt.Sprintf("91be2f7a-52d1-4c5e-9d0a-%012d", pod)},
			Node:           &token.Ref{Name: fmt.Sprint("node-", pod%1000), UID: fmt.Sprintf("0c3d2f7a-52d1-4c5e-9d0a-%012d", pod%1000)},
		},
	}
}

func heapBytes() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestVerdictsFitTheirRoom measures the heap, so it does not run beside others.
func TestVerdictsFitTheirRoom(t *testing.T) {
	const bound = 60 << 20
	ring := ringOf(t)
	for name, test := range map[string]struct {
		tokens, want int
		claims       func(i int) token.Claims
	}{
		"100,000 pods of 1,000 accounts in 100 namespaces": {100_000, 100_000, func(i int) token.Claims {
			return podClaims(fmt.Sprint("team-", i%100), i%1000, i)
		}},
		"an account and a namespace for each": {38_000, 30_000, func(i int) token.Claims {
			return podClaims(fmt.Sprint("team-", i), i, i)
		}},
		"long audiences": {26_000, 10_000, func(i int) token.Claims {
			c := podClaims("team", i%10, i)
			c.Audience = []string{fmt.Sprint(strings.Repeat("a", 2000), i)}
			return c
		}},
	} {
		before := heapBytes()
		s := newSignatures(maxBytes)
		for i := range test.tokens {
			s.add(seenOf(fmt.Sprint(i), ring, test.claims(i)))
		}
		took := heapBytes() - before
		t.Logf("%s: %d kept in %.1f MiB, %.1f MiB by own account", name, len(s.kept), float64(took)/(1<<20), float64(s.bytes)/(1<<20))
		if took > bound {
			t.Errorf("%s: %d bytes, want at most %d", name, took, bound)
		}
		if len(s.kept) < test.want {
			t.Errorf("%s: %d are kept, want %d", name, len(s.kept), test.want)
		}
		if float64(took) > 1.02*float64(s.bytes) {
			t.Errorf("%s: %d bytes are taken, but only %d accounted for", name, took, s.bytes)
		}
		runtime.KeepAlive(s)
	}
}

func TestAFloodOfNewTokensPushesOutTheFloodersOwn(t *testing.T) {
	t.Parallel()
	ring := ringOf(t)
	const room, working, namespaces = 4 << 20, 200, 10
	s := newSignatures(room)
	name := func(namespace, i int) string { return fmt.Sprint("good ", namespace, " ", i) }
	for i := range working {
		for n := range namespaces {
			s.add(seenOf(name(n, i), ring, podClaims(fmt.Sprint("team-", n), i%5, i)))
		}
	}
	for i := range 10_000 {
		flood := fmt.Sprint("flood ", i)
		s.add(seenOf(flood, ring, podClaims("flooder", i%50, i)))
		s.get(digestOf(flood), ring) // used again, which does not help it
	}
	for n := range namespaces {
		for i := range working {
			if _, ok := s.get(digestOf(name(n, i)), ring); !ok {
				t.Fatalf("namespace %d has lost its token %d to the flood", n, i)
			}
		}
	}
	if s.bytes > room {
		t.Errorf("%d bytes are kept, want at most %d", s.bytes, room)
	}
	if kept := len(s.kept); kept < working*namespaces+1000 {
		t.Errorf("only %d tokens are kept: the flooder has no room either", kept)
	}
}

func TestATokenInUseOutlivesThoseThatAreNot(t *testing.T) {
	t.Parallel()
	ring := ringOf(t)
	s := newSignatures(1 << 20)
	for i := range 100 {
		s.add(seenOf(fmt.Sprint("used ", i), ring, podClaims("team", 1, i)))
	}
	for i := range 8_000 {
		s.add(seenOf(fmt.Sprint("once ", i), ring, podClaims("team", 1, i)))
		if _, ok := s.get(digestOf(fmt.Sprint("used ", i%100)), ring); !ok {
			t.Fatalf("after %d others, a token in use is gone", i)
		}
	}
}

func TestWhatIsForgottenLeavesNothing(t *testing.T) {
	t.Parallel()
	ring := ringOf(t)
	s := newSignatures(200 << 10)
	for i := range 5000 {
		s.add(seenOf(fmt.Sprint(i), ring, podClaims(fmt.Sprint("team-", i%7), i, i)))
	}
	for _, known := range s.kept {
		s.remove(known)
	}
	if s.bytes != 0 || len(s.kept)+len(s.nodes)+len(s.tenants)+len(s.largest) != 0 {
		t.Errorf("left: %d bytes, %d tokens, %d nodes, %d namespaces", s.bytes, len(s.kept), len(s.nodes), len(s.tenants))
	}
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
		_, _, _ = s.verify(t.Context(), compact)
	}
	if got := len(s.verified.kept); got != 0 {
		t.Errorf("%d signatures are kept of tokens that are forged, or huge", got)
	}
	for range 2 {
		for _, compact := range []string{usual, huge} {
			if known, ours, err := s.verify(t.Context(), compact); known == nil || !ours || err != nil {
				t.Errorf("a good token of %d bytes is refused: %v", len(compact), err)
			}
		}
	}
	if got := len(s.verified.kept); got != 1 {
		t.Errorf("%d signatures are kept, want that of the usual token", got)
	}
}

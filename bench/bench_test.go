// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"math/big"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/muster-identity/muster/bench/system"
)

func TestMintedTokensAreNewAndSigned(t *testing.T) {
	t.Parallel()
	m := newTestMinter(t)
	seen := map[string]bool{}
	for range 10 {
		token, err := m.token()
		if err != nil {
			t.Fatal(err)
		}
		if seen[token] || !signed(t, &m.key.PublicKey, token) {
			t.Errorf("a minted token is an old one, or not signed")
		}
		seen[token] = true
		forged, err := m.forged()
		if err != nil {
			t.Fatal(err)
		}
		if seen[forged] || signed(t, &m.key.PublicKey, forged) {
			t.Errorf("a forged token is an old one, or signed")
		}
		seen[forged] = true
	}
}

func newTestMinter(t *testing.T) *minter {
	t.Helper()
	key, err := system.WriteES256Key(filepath.Join(t.TempDir(), "key"))
	if err != nil {
		t.Fatal(err)
	}
	like := "e30." + base64.RawURLEncoding.EncodeToString([]byte(`{"iss":"i","jti":"0","sub":"s"}`)) + ".AAAA"
	m, err := newMinter(key, like)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func signed(t *testing.T, key *ecdsa.PublicKey, token string) bool {
	t.Helper()
	parts := strings.Split(token, ".")
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil || len(signature) != 2*coordinate {
		t.Fatalf("the signature has %d bytes (error %v), want 64", len(signature), err)
	}
	digest := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	r, s := new(big.Int).SetBytes(signature[:coordinate]), new(big.Int).SetBytes(signature[coordinate:])
	return ecdsa.Verify(key, digest[:], r, s)
}

func TestEveryScenarioGoesOverItsWires(t *testing.T) {
	t.Parallel()
	w := &world{
		pods:        []*corev1.Pod{{ObjectMeta: metav1.ObjectMeta{Name: "p", UID: "u"}}},
		callerToken: "caller", knownTokens: []string{"one", "two"}, minter: newTestMinter(t), bindings: 2,
	}
	names := map[string]bool{}
	for _, course := range courses() {
		for _, s := range course.scenarios {
			if names[s.name] {
				t.Errorf("two scenarios are named %q", s.name)
			}
			names[s.name] = true
			for _, wire := range (options{}).wires(s.jsonOnly) {
				requests, err := w.requests(s, wire, 2)
				if err != nil {
					t.Fatalf("%s over %s: %v", s.name, wire.Name, err)
				}
				if requests[0].Token != "caller" || strings.HasPrefix(s.name, "review") && bytes.Equal(requests[0].Body, requests[1].Body) {
					t.Errorf("%s over %s: the requests are alike, or not the caller's", s.name, wire.Name)
				}
			}
		}
	}
}

func TestMusterIsHeldToItsTarget(t *testing.T) {
	t.Parallel()
	peer := figures{Microseconds: 300}
	bare := figures{Microseconds: 30}
	ours := figures{Microseconds: 100}
	for _, test := range []struct {
		bound bound
		want  string
	}{
		{newBound(kubeAPIServer, ours, peer, 0), "1/3.0\t"},
		{newBound(kubeAPIServer, ours, peer, 100), "1/3.0\tat most 100 us: met"},
		{newBound(kubeAPIServer, ours, peer, 99.9), "1/3.0\tat most 100 us: MISSED"},
		{newBound(floor, ours, bare, 0), "3.33 x\t"},
		{newBound(floor, ours, bare, 51), "3.33 x\tat most 51 us: MISSED"},
	} {
		r := row{Bounds: []bound{test.bound}}
		if got := r.verdict(test.bound.Against); got != test.want {
			t.Errorf("the verdict on %+v is %q, want %q", test.bound, got, test.want)
		}
	}
}

func TestOptionsThatSelectNothingAreTurnedAway(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"-scenario", "none"}, `-scenario "none": no scenario begins so`},
		{[]string{"-scenario", "jwks", "-wire", "h2/protobuf"}, `-scenario "jwks", -wire "h2/protobuf": the answer has one form only, which is not that`},
		{[]string{"-wire", "h3"}, `-wire "h3": no wire begins so`},
		{[]string{"-only", "etcd"}, `-only "etcd": want muster or kube-apiserver`},
		{[]string{"-requests", "0"}, "-requests 0, -rounds 3: both must be at least 1"},
		{[]string{"-profile", "/none"}, `-profile "/none": there is no such folder`},
		{[]string{"-o", "yaml"}, `-o "yaml": want text or json`},
		{[]string{"more"}, `unexpected argument "more"`},
	} {
		_, err := parse(test.args, io.Discard)
		if err == nil || err.Error() != test.want {
			t.Errorf("%q: got error %v, want %q", test.args, err, test.want)
		}
	}
	chosen, err := parse([]string{"-scenario", "review-new,get", "-quick", "-only", "muster"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, course := range courses() {
		for _, s := range chosen.choose(course.scenarios) {
			got = append(got, s.name)
		}
	}
	if diff := cmp.Diff([]string{"get", "review-new"}, got); diff != "" {
		t.Errorf("scenarios (-want +got):\n%s", diff)
	}
}

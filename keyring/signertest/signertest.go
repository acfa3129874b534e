// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

// Package signertest is what every keyring.Signer does, as one suite: it runs
// against keys in files and against external signers. It knows neither.
package signertest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/muster-identity/muster/keyring"
)

// Run holds a signer to its contract. open returns one that is ready; it is
// called once for each test, and ends what it begins with the test.
func Run(t *testing.T, open func(t *testing.T) keyring.Signer) {
	tests := map[string]func(*testing.T, keyring.Signer){
		"what it signs is a compact JWS of the payload, byte for byte": signsThePayload,
		"the header names a published key and its algorithm alone":     namesItsKey,
		"its keys are fit to verify, each by its own id":               hasGoodKeys,
		"many may call at the same time":                               overlaps,
		"another key does not verify":                                  isBoundToItsKey,
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
}

// payloads are of all lengths modulo three, and not all JSON: a signer knows
// nothing of what it signs.
func payloads() []string {
	return []string{`{}`, `{"sub":"a"}`, `{"sub": "ä\u0000"}`, "\x00\xff", strings.Repeat("x", 4096)}
}

func signsThePayload(t *testing.T, s keyring.Signer) {
	for _, payload := range payloads() {
		compact := sign(t, s, payload)
		if got := verify(t, s, compact); got != payload {
			t.Errorf("signed %.40q, and %.40q is verified", payload, got)
		}
		if parts := strings.Split(compact, "."); len(parts) != 3 || parts[1] != base64.RawURLEncoding.EncodeToString([]byte(payload)) {
			t.Errorf("of the payload %.40q came no compact JWS", payload)
		}
	}
}

func namesItsKey(t *testing.T, s keyring.Signer) {
	encoded, _, _ := strings.Cut(sign(t, s, `{}`), ".")
	raw, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
	if err != nil {
		t.Fatalf("the header: %v", err)
	}
	header := map[string]string{}
	if err := json.Unmarshal(raw, &header); err != nil {
		t.Fatalf("the header: %v", err)
	}
	index := slices.IndexFunc(s.Keys(), func(k keyring.Key) bool { return k.ID == header["kid"] })
	if index < 0 {
		t.Fatalf("the header names key %q, which is none of the signer's", header["kid"])
	}
	if key := s.Keys()[index]; key.Unpublished || string(key.Algorithm) != header["alg"] {
		t.Errorf("the header names %s and %q, which is for %s, unpublished: %v", header["alg"], key.ID, key.Algorithm, key.Unpublished)
	}
	if typ, ok := header["typ"]; ok && typ != "JWT" {
		t.Errorf("the header has the type %q", typ)
	}
	for name := range header {
		if !slices.Contains([]string{"alg", "kid", "typ"}, name) {
			t.Errorf("the header has a field %q", name)
		}
	}
}

func hasGoodKeys(t *testing.T, s keyring.Signer) {
	if len(s.Keys()) == 0 {
		t.Fatal("it has none")
	}
	ring, err := keyring.NewRing(s)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range s.Keys() {
		if known, ok := ring.Key(key.ID); !ok || !known.Equal(key) {
			t.Errorf("the id %q leads to another key", key.ID)
		}
		fresh, err := keyring.NewKey(key.Public)
		if err != nil || fresh.Algorithm != key.Algorithm {
			t.Errorf("key %q is for %s: %v", key.ID, key.Algorithm, err)
		}
	}
}

func overlaps(t *testing.T, s keyring.Signer) {
	var callers sync.WaitGroup
	for i := range 8 {
		callers.Go(func() {
			payload := fmt.Sprintf(`{"n":%d}`, i)
			compact, err := s.Sign(t.Context(), []byte(payload))
			if err != nil {
				t.Errorf("call %d: %v", i, err)
				return
			}
			if _, body, _ := strings.Cut(compact, "."); !strings.HasPrefix(body, base64.RawURLEncoding.EncodeToString([]byte(payload))+".") {
				t.Errorf("call %d was answered with another's token", i)
			}
		})
	}
	callers.Wait()
}

func isBoundToItsKey(t *testing.T, s keyring.Signer) {
	private, err := keyring.Generate(keyring.DefaultAlgorithm)
	if err != nil {
		t.Fatal(err)
	}
	jws, err := jose.ParseSignedCompact(sign(t, s, `{}`), algorithms())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := jws.Verify(private.Public()); err == nil {
		t.Error("a stranger's key verifies")
	}
}

func sign(t *testing.T, s keyring.Signer, payload string) string {
	t.Helper()
	compact, err := s.Sign(t.Context(), []byte(payload))
	if err != nil {
		t.Fatalf("signing %.40q: %v", payload, err)
	}
	return compact
}

// verify returns the payload that the key which the header names has signed.
func verify(t *testing.T, s keyring.Signer, compact string) string {
	t.Helper()
	jws, err := jose.ParseSignedCompact(compact, algorithms())
	if err != nil {
		t.Fatal(err)
	}
	id := jws.Signatures[0].Protected.KeyID
	for _, key := range s.Keys() {
		if key.ID != id {
			continue
		}
		payload, err := jws.Verify(key.Public)
		if err != nil {
			t.Fatalf("key %q does not verify: %v", id, err)
		}
		return string(payload)
	}
	t.Fatalf("the header names key %q, which is none of the signer's", id)
	return ""
}

func algorithms() []jose.SignatureAlgorithm {
	return []jose.SignatureAlgorithm{jose.RS256, jose.ES256, jose.ES384, jose.ES512}
}

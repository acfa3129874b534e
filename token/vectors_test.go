// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package token_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/muster-identity/muster/es256"
	"github.com/muster-identity/muster/keyring"
	"github.com/muster-identity/muster/token"
)

// vectors are published signatures; testdata/vectors/README.md tells whose.
type vectors struct {
	TestGroups []struct {
		Comment         string
		Public, Private json.RawMessage
		Tests           []vector
	}
}

type vector struct {
	ID      int `json:"tcId"`
	Comment string
	// JWS is a string in compact form, or an object.
	JWS    json.RawMessage
	Result string
}

func (v vector) compact() string {
	var text string
	if json.Unmarshal(v.JWS, &text) != nil {
		return string(v.JWS)
	}
	return text
}

// header is the algorithm that the first part names; empty if it names none.
func header(compact string) string {
	first, _, _ := strings.Cut(compact, ".")
	raw, err := base64.RawURLEncoding.DecodeString(first)
	var h struct{ Alg string }
	if err != nil || json.Unmarshal(raw, &h) != nil {
		return ""
	}
	return h.Alg
}

// signed tells what is accepted with a key: the token, and its signature whatever it signs. What verifies faster in the
// key's place must say the same.
func signed(t *testing.T, compact string, key crypto.PublicKey) (asToken, asSignature bool) {
	t.Helper()
	asToken, asSignature = signedBy(compact, key)
	if public, ok := key.(*ecdsa.PublicKey); ok && public.Curve == elliptic.P256() {
		fast, err := es256.New(public)
		if err != nil {
			t.Fatal(err)
		}
		if token, signature := signedBy(compact, fast); token != asToken || signature != asSignature {
			t.Errorf("%s: accepted %v and %v, by the faster way %v and %v", compact, asToken, asSignature, token, signature)
		}
	}
	return asToken, asSignature
}

func signedBy(compact string, key crypto.PublicKey) (asToken, asSignature bool) {
	if u, err := token.Parse(compact); err == nil {
		payload, err := u.Payload([]crypto.PublicKey{key})
		asToken = err == nil && payload != nil
	}
	return asToken, token.SignsCompact(compact, jose.SignatureAlgorithm(header(compact)), key)
}

func isObject(compact string) bool {
	parts := strings.Split(compact, ".")
	if len(parts) != 3 {
		return false
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	return err == nil && json.Valid(raw) && strings.HasPrefix(string(raw), "{")
}

func readVectors(t *testing.T, name string) vectors {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "vectors", name))
	if err != nil {
		t.Fatal(err)
	}
	var read vectors
	if err := json.Unmarshal(data, &read); err != nil {
		t.Fatal(err)
	}
	return read
}

// Of what others have published, what is signed with an algorithm of ours and a key that a keyring takes is accepted, and
// nothing else. A key that the keyring refuses accepts nothing, for there is none.
func TestPublishedSignaturesAreAcceptedIfTheyAreGoodAndOurs(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]counts{
		"rfc.json":        {keysRefused: 2, tokens: 2, signatures: 3, refused: 2},
		"wycheproof.json": {keysRefused: 17, signatures: 10, refused: 262},
		// What can be had of these keys is one signature: all but one set of them are weak, for something else, or not public.
		"wycheproof_keys.json": {keysRefused: 24, signatures: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := readVectors(t, name).hold(t); got != want {
				t.Errorf("there were %+v, want %+v", got, want)
			}
		})
	}
}

// keySet is a key as a set, or the set that it is.
func keySet(raw json.RawMessage) []byte {
	var set struct{ Keys []json.RawMessage }
	if json.Unmarshal(raw, &set) == nil && set.Keys != nil {
		return raw
	}
	return fmt.Appendf(nil, `{"keys":[%s]}`, raw)
}

// counts are how many of each kind there were, so that no test passes by finding nothing.
type counts struct{ keysRefused, tokens, signatures, refused int }

func (vs vectors) hold(t *testing.T) (n counts) {
	t.Helper()
	for _, group := range vs.TestGroups {
		raw := group.Public
		if raw == nil {
			raw = group.Private // a shared secret
		}
		keys, err := keyring.DecodeKeySet(keySet(raw))
		if err != nil {
			n.keysRefused++
			continue
		}
		for _, v := range group.Tests {
			compact := v.compact()
			asToken, asSignature := signed(t, compact, keys[0].Public)
			good := v.Result == "valid" && header(compact) == string(keys[0].Algorithm)
			if asSignature != good || asToken != (good && isObject(compact)) {
				t.Errorf("%s, %d %s: accepted as a token: %v, as a signature: %v; it is good: %v", group.Comment, v.ID, v.Comment, asToken, asSignature, good)
			}
			n.count(asToken, asSignature)
		}
	}
	return n
}

func (n *counts) count(asToken, asSignature bool) {
	switch {
	case asToken:
		n.tokens++
	case asSignature:
		n.signatures++
	default:
		n.refused++
	}
}

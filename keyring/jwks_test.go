// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package keyring_test

import (
	"crypto/elliptic"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/muster-identity/muster/keyring"
)

func TestAPublishedKeySetIsAKeyFile(t *testing.T) {
	t.Parallel()
	want := []keyring.Key{load(t, "rs256"), load(t, "es256"), load(t, "es384")}
	got, err := keyring.LoadKeys(filepath.Join("testdata", "jwks.json"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
}

func TestKeySetsThatCannotBeUsedAreRefusedWhole(t *testing.T) {
	t.Parallel()
	private, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: ecKey(t, elliptic.P256()), KeyID: "a"}}})
	if err != nil {
		t.Fatal(err)
	}
	one, err := keyring.EncodeKeySet([]keyring.Key{load(t, "es256")})
	if err != nil {
		t.Fatal(err)
	}
	edit := func(field string, value any) string {
		var set struct {
			Keys []map[string]any `json:"keys"`
		}
		if err := json.Unmarshal(one, &set); err != nil {
			t.Fatal(err)
		}
		set.Keys[0][field] = value
		edited, err := json.Marshal(set)
		if err != nil {
			t.Fatal(err)
		}
		return string(edited)
	}
	for name, test := range map[string]struct{ data, want string }{
		"no JSON":                {`{"keys":`, "not a JWKS document"},
		"no keys":                {`{"keys":[]}`, "has no keys"},
		"a discovery document":   {`{"issuer":"https://muster.example"}`, "has no keys"},
		"another operation":      {edit("key_ops", []string{"encrypt"}), `its key_ops are ["encrypt"], want "verify" among them`},
		"no operations":          {edit("key_ops", "verify"), "its key_ops are no list of strings"},
		"a shared secret":        {`{"keys":[{"kty":"oct","k":"c2VjcmV0","kid":"a"}]}`, "key 1 of the JWKS document"},
		"a private key":          {string(private), "it is not public"},
		"a key to encrypt with":  {edit("use", "enc"), `its use is "enc"`},
		"another algorithm":      {edit("alg", "ES384"), `it is for the algorithm "ES384"`},
		"a point off the curve":  {edit("x", "AAAA"), "key 1 of the JWKS document"},
		"two keys with one id":   {`{"keys":[` + jwk(t, "es256", "a") + `,` + jwk(t, "es384", "a") + `]}`, `another key has the id "a"`},
		"an Edwards curve":       {`{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`, "ed25519.PublicKey cannot sign tokens"},
		"two lists of keys":      {string(one[:len(one)-1]) + `,"keys":[` + jwk(t, "es384", "b") + `]}`, "not a JWKS document"},
		"a list in other case":   {strings.Replace(string(one), "keys", "KEYS", 1), "has no keys"},
		"a key twice in one":     {edit("kid", "a")[:len(edit("kid", "a"))-3] + `,"kid":"b"}]}`, "key 1 of the JWKS document"},
		"a number for a key":     {`{"keys":[1]}`, "key 1 of the JWKS document"},
		"more after the end":     {string(one) + "{}", "not a JWKS document"},
		"a list in place of set": {`{"keys":{}}`, "not a JWKS document"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			keys, err := keyring.DecodeKeySet([]byte(test.data))
			if keys != nil {
				t.Error("keys all the same")
			}
			says(t, err, test.want)
		})
	}
}

func jwk(t testing.TB, name, id string) string {
	t.Helper()
	key := load(t, name)
	data, err := json.Marshal(jose.JSONWebKey{Key: key.Public, KeyID: id})
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// What is accepted means the same after the way back; what is refused is nil.
func FuzzKeySets(f *testing.F) {
	pinned, err := os.ReadFile(filepath.Join("testdata", "jwks.json"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(pinned)
	f.Add([]byte(`{"keys":[` + jwk(f, "es512", "") + `]}`))
	f.Add([]byte(`{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}`))
	f.Add([]byte(`{"keys":[null]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		keys, err := keyring.DecodeKeySet(data)
		if (err == nil) != (len(keys) > 0) {
			t.Fatalf("%d keys, error %v", len(keys), err)
		}
		if err != nil {
			return
		}
		encoded, err := keyring.EncodeKeySet(keys)
		if err != nil {
			t.Fatal(err)
		}
		again, err := keyring.DecodeKeySet(encoded)
		if err != nil {
			t.Fatalf("a key set is refused on the way back: %v", err)
		}
		if diff := cmp.Diff(keys, again); diff != "" {
			t.Fatalf("a key set has changed on the way back:\n%s", diff)
		}
	})
}

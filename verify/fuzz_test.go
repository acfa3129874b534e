// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"bytes"
	"crypto/ecdsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/muster-identity/muster/verify"
)

// wantSoundError wants an error of one of the two kinds, without the token.
func wantSoundError(t *testing.T, got *verify.Verdict, err error, token string) {
	t.Helper()
	if got != nil {
		t.Fatal("a verdict comes with an error")
	}
	if errors.Is(err, verify.ErrInvalid) == errors.Is(err, verify.ErrUnavailable) {
		t.Fatalf("error %v is of no kind, or of two", err)
	}
	if len(token) > 40 && strings.Contains(err.Error(), token) {
		t.Fatal("an error holds the token")
	}
}

// Whatever documents an issuer serves, a token is accepted only if its key is
// among them.
func FuzzDocuments(f *testing.F) {
	const configuration, keys = issuerURL + "/.well-known/openid-configuration", "https://keys.example/jwks"
	sound := newIssuer(f, allKeys())
	f.Add(sound.pages[configuration].body, sound.pages[keys].body)
	f.Add([]byte(`{"issuer":"https://muster.example","jwks_uri":"https://muster.example/.well-known/openid-configuration","keys":[]}`), []byte(`{"keys":null}`))
	f.Add([]byte(`{"issuer":["x"],"jwks_uri":1}`), []byte(`{"keys":[{"kty":"EC","crv":"P-256","kid":"k1","x":"","y":""},{"kty":"RSA","kid":"k1","n":"","e":""}]}`))
	f.Add([]byte(`{"issuer":"https://muster.example","jwks_uri":"https://keys.example/jwks"}`), []byte(`{"keys":[{"kty":"oct","kid":"k1","k":"AAAA"},{"kty":"EC","crv":"P-256","kid":"k1","x":"AA","y":"AA","x5c":["AA"]}]}`))
	token := good(f)
	point, err := signingKeys()[jose.ES256].Public().(*ecdsa.PublicKey).Bytes()
	if err != nil {
		f.Fatal(err)
	}
	x := point[1 : 1+len(point)/2]
	f.Fuzz(func(t *testing.T, configurationBody, keysBody []byte) {
		i := newIssuer(t, nil)
		i.put(configuration, page{body: configurationBody})
		i.put(keys, page{body: keysBody})
		v, _ := oidc(t, i)
		got, err := v.Verify(t.Context(), token)
		if err != nil {
			wantSoundError(t, got, err, token)
			return
		}
		if !publishes(configurationBody, x) && !publishes(keysBody, x) {
			t.Fatal("a token was accepted whose key is not published")
		}
	})
}

// publishes tells, by another decoder, whether a key with this x is in the set.
func publishes(document, x []byte) bool {
	var set struct {
		Keys []map[string]any
	}
	if json.Unmarshal(document, &set) != nil {
		return false
	}
	for _, key := range set.Keys {
		encoded, _ := key["x"].(string)
		raw, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(encoded, "="))
		if err == nil && bytes.Equal(raw, x) {
			return true
		}
	}
	return false
}

// Whatever token comes along, it is accepted only if it is the one that was
// signed: an ECDSA signature may be another one of the same key, what it covers
// may not.
func FuzzToken(f *testing.F) {
	v, _ := oidc(f, newIssuer(f, allKeys()))
	token := good(f)
	parts := strings.Split(token, ".")
	f.Add(token)
	f.Add(token + "\n")
	f.Add(parts[0] + "." + parts[1] + ".")
	f.Add(b64(`{"alg":"none","kid":"k1"}`) + "." + parts[1] + ".")
	f.Add(b64(`{"alg":"ES256","kid":"k1","jwk":{"kty":"EC"}}`) + "." + parts[1] + "." + parts[2])
	f.Add(b64(`{"alg":"HS256","kid":"k1"}`) + "." + parts[1] + "." + parts[2])
	f.Add(b64(`{"alg":"RS256","kid":"rsa"}`) + "." + b64(`{"iss":"https://muster.example","exp":1e400}`) + ".AA")
	f.Fuzz(func(t *testing.T, other string) {
		got, err := v.Verify(t.Context(), other)
		if err != nil {
			wantSoundError(t, got, err, other)
			return
		}
		if !strings.HasPrefix(other, parts[0]+"."+parts[1]+".") {
			t.Fatal("a token was accepted that nobody signed")
		}
	})
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package token_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/muster-identity/muster/token"
)

// keys are made once: an RSA key takes a while.
var keys = sync.OnceValue(func() map[jose.SignatureAlgorithm]crypto.Signer {
	must := func(k crypto.Signer, err error) crypto.Signer {
		if err != nil {
			panic(err)
		}
		return k
	}
	ec := func(c elliptic.Curve) crypto.Signer {
		k, err := ecdsa.GenerateKey(c, rand.Reader)
		return must(k, err)
	}
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	return map[jose.SignatureAlgorithm]crypto.Signer{
		jose.RS256: must(r, err),
		jose.ES256: ec(elliptic.P256()),
		jose.ES384: ec(elliptic.P384()),
		jose.ES512: ec(elliptic.P521()),
	}
})

// sign makes a token with whatever algorithm and key a test asks for.
func sign(t testing.TB, alg jose.SignatureAlgorithm, key any, kid string, payload []byte, header map[jose.HeaderKey]any) string {
	t.Helper()
	signer, err := jose.NewSigner(
		jose.SigningKey{Algorithm: alg, Key: jose.JSONWebKey{Key: key, KeyID: kid}},
		&jose.SignerOptions{ExtraHeaders: header},
	)
	if err != nil {
		t.Fatal(err)
	}
	jws, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	compact, err := jws.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return compact
}

func payload(t testing.TB) []byte {
	t.Helper()
	p, err := grant().Claims().Encode()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

func TestTokensOfEveryAllowedAlgorithmVerify(t *testing.T) {
	t.Parallel()
	for alg, key := range keys() {
		t.Run(string(alg), func(t *testing.T) {
			t.Parallel()
			compact := sign(t, alg, key, "k1", payload(t), nil)
			u, err := token.Parse(compact)
			if err != nil {
				t.Fatal(err)
			}
			if u.Issuer != "https://muster.example" || u.KeyID != "k1" {
				t.Errorf("issuer %q, key id %q", u.Issuer, u.KeyID)
			}
			c, err := u.Verify([]crypto.PublicKey{key.Public()})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(grant().Claims(), *c); diff != "" {
				t.Errorf("claims differ (-want +got):\n%s", diff)
			}
		})
	}
}

func TestOneFittingKeyAmongOthersIsEnough(t *testing.T) {
	t.Parallel()
	u, err := token.Parse(sign(t, jose.ES256, keys()[jose.ES256], "", payload(t), nil))
	if err != nil {
		t.Fatal(err)
	}
	if u.KeyID != "" {
		t.Errorf("key id %q", u.KeyID)
	}
	var all []crypto.PublicKey
	for _, alg := range []jose.SignatureAlgorithm{jose.RS256, jose.ES384, jose.ES512, jose.ES256} {
		all = append(all, keys()[alg].Public())
	}
	if _, err := u.Verify(all); err != nil {
		t.Errorf("all keys: %v", err)
	}
	if c, err := u.Verify(all[:3]); !errors.Is(err, token.ErrSignature) || c != nil {
		t.Errorf("all but the right key: %v, %v", c, err)
	}
}

func TestVerifyWithoutKeysSaysSo(t *testing.T) {
	t.Parallel()
	u, err := token.Parse(sign(t, jose.ES256, keys()[jose.ES256], "k", payload(t), nil))
	if err != nil {
		t.Fatal(err)
	}
	c, err := u.Verify(nil)
	if c != nil || err == nil || err.Error() != "invalid signature, no keys found" {
		t.Errorf("Verify = %v, %v", c, err)
	}
}

func TestForgedSignaturesAreRefusedInTheWordsOfKubernetes(t *testing.T) {
	t.Parallel()
	const text = "go-jose/go-jose: error in cryptographic primitive"
	p := payload(t)
	es256 := keys()[jose.ES256]
	der, err := x509.MarshalPKIXPublicKey(es256.Public())
	if err != nil {
		t.Fatal(err)
	}
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	good := strings.Split(sign(t, jose.ES256, es256, "k", p, nil), ".")
	part := func(header, payload, signature string) string {
		return header + "." + payload + "." + signature
	}
	tests := map[string]string{
		"no algorithm at all":          part(b64(`{"kid":"k"}`), good[1], good[2]),
		"alg none":                     part(b64(`{"alg":"none"}`), good[1], ""),
		"alg none, signature kept":     part(b64(`{"alg":"none"}`), good[1], good[2]),
		"alg in other case":            part(b64(`{"alg":"es256"}`), good[1], good[2]),
		"another algorithm's name":     part(b64(`{"alg":"ES384","kid":"k"}`), good[1], good[2]),
		"no signature":                 part(good[0], good[1], ""),
		"half a signature":             part(good[0], good[1], good[2][:40]),
		"another payload":              part(good[0], b64(strings.Replace(string(p), "shop", "bank", 1)), good[2]),
		"another header":               part(b64(`{"alg":"ES256","kid":"k","typ":"JWT"}`), good[1], good[2]),
		"another key":                  sign(t, jose.ES256, other, "k", p, nil),
		"a key of another curve":       sign(t, jose.ES384, keys()[jose.ES384], "k", p, nil),
		"an RSA key":                   sign(t, jose.RS256, keys()[jose.RS256], "k", p, nil),
		"RSA-PSS":                      sign(t, jose.PS256, keys()[jose.RS256], "k", p, nil),
		"RS512":                        sign(t, jose.RS512, keys()[jose.RS256], "k", p, nil),
		"EdDSA":                        sign(t, jose.EdDSA, edwards, "k", p, nil),
		"HMAC with the public key":     sign(t, jose.HS256, der, "k", p, nil),
		"a critical header":            sign(t, jose.ES256, es256, "k", p, map[jose.HeaderKey]any{"crit": []string{"exp"}, "exp": 1}),
		"a key brought along (jwk)":    sign(t, jose.ES256, other, "", p, map[jose.HeaderKey]any{"jwk": jose.JSONWebKey{Key: other.Public()}}),
		"an ASN.1 signature":           part(good[0], good[1], b64("\x30\x06\x02\x01\x01\x02\x01\x01")),
		"all zeroes":                   part(good[0], good[1], b64(strings.Repeat("\x00", 64))),
		"signature of another payload": part(good[0], good[1], strings.Split(sign(t, jose.ES256, es256, "k", []byte(`{}`), nil), ".")[2]),
	}
	for name, compact := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u, err := token.Parse(compact)
			if err != nil && u != nil {
				t.Error("a refused token is not nil")
			}
			if err == nil {
				var c *token.Claims
				if c, err = u.Verify([]crypto.PublicKey{es256.Public()}); c != nil {
					t.Error("claims of a forged token")
				}
			}
			if !errors.Is(err, token.ErrSignature) || err.Error() != text {
				t.Errorf("error %v, want %q", err, text)
			}
		})
	}
}

func TestAlgorithmsThatAreNotAllowedAreRefusedEvenFromTheRightKey(t *testing.T) {
	t.Parallel()
	for _, alg := range []jose.SignatureAlgorithm{jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512} {
		t.Run(string(alg), func(t *testing.T) {
			t.Parallel()
			compact := sign(t, alg, keys()[jose.RS256], "k", payload(t), nil)
			if u, err := token.Parse(compact); u != nil || !errors.Is(err, token.ErrSignature) {
				t.Errorf("Parse = %v, %v", u, err)
			}
		})
	}
}

func TestWhatIsNoCompactTokenIsMalformed(t *testing.T) {
	t.Parallel()
	good := sign(t, jose.ES256, keys()[jose.ES256], "k", payload(t), nil)
	parts := strings.Split(good, ".")
	h, p, s := parts[0], parts[1], parts[2]
	tests := map[string]string{
		"nothing":                  "",
		"a word":                   "secret",
		"two parts":                h + "." + p,
		"four parts":               good + ".",
		"JSON serialization":       `{"payload":"` + p + `","protected":"` + h + `","signature":"` + s + `"}`,
		"a space before":           " " + good,
		"a line end after":         good + "\n",
		"a line end within":        h + "\n." + p + "." + s,
		"a carriage return":        h + "." + p + "\r." + s,
		"padding":                  h + "=." + p + "." + s,
		"standard base64":          h + "." + b64("{}\xff\xff") + "+/." + s,
		"stray bits":               h + "." + p + "." + s[:len(s)-1] + stray(s),
		"a header that is a list":  b64(`[]`) + "." + p + "." + s,
		"a header that is null":    b64(`null`) + "." + p + "." + s,
		"a header without end":     b64(`{"alg":"ES256"`) + "." + p + "." + s,
		"a header with two algs":   b64(`{"alg":"none","alg":"ES256"}`) + "." + p + "." + s,
		"a kid that is a number":   b64(`{"alg":"ES256","kid":1}`) + "." + p + "." + s,
		"an empty header":          "." + p + "." + s,
		"an empty payload":         h + ".." + s,
		"a payload that is null":   h + "." + b64(`null`) + "." + s,
		"a payload that is a list": h + "." + b64(`[{"iss":"x"}]`) + "." + s,
		"a payload of two issuers": h + "." + b64(`{"iss":"x","iss":"y"}`) + "." + s,
		"an issuer that is a list": h + "." + b64(`{"iss":["x"]}`) + "." + s,
		"a nest too deep":          h + "." + b64(`{"iss":`+strings.Repeat("[", 1<<20)) + "." + s,
	}
	for name, compact := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if u, err := token.Parse(compact); u != nil || !errors.Is(err, token.ErrMalformed) {
				t.Errorf("Parse = %v, %v", u, err)
			}
		})
	}
}

// stray is the last letter of s with one of the bits set that carry nothing.
func stray(s string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return string(alphabet[strings.IndexByte(alphabet, s[len(s)-1])|1])
}

func TestPeekTellsIssuerAndKeyOfTokensOfAnyKind(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		compact, issuer, keyID string
		ok                     bool
	}{
		"ours":                {b64(`{"alg":"ES256","kid":"k"}`) + "." + b64(`{"iss":"https://a"}`) + ".AA", "https://a", "k", true},
		"without a key id":    {b64(`{"alg":"RS256"}`) + "." + b64(`{"iss":"https://a"}`) + ".AA", "https://a", "", true},
		"kept in a secret":    {b64(`{"alg":"RS256"}`) + "." + b64(`{"iss":"kubernetes/serviceaccount"}`) + ".AA", "kubernetes/serviceaccount", "", true},
		"another algorithm":   {b64(`{"alg":"PS512","kid":"z"}`) + "." + b64(`{"iss":"https://idp"}`) + ".AA", "https://idp", "z", true},
		"without an issuer":   {b64(`{"alg":"RS256"}`) + "." + b64(`{"sub":"x"}`) + ".AA", "", "", true},
		"spread over lines":   {b64("\n{\"alg\":\r\n\"RS256\"}") + "." + b64("{ \"iss\":\t\"i\" }") + ".AA", "i", "", true},
		"issuer in capitals":  {b64(`{"alg":"RS256"}`) + "." + b64(`{"ISS":"x"}`) + ".AA", "", "", true},
		"a bootstrap token":   {"abcdef.0123456789abcdef", "", "", false},
		"three plain words":   {"a.b.c", "", "", false},
		"encrypted (5 parts)": {"a.b.c.d.e", "", "", false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			peeked, ok := token.Peek(test.compact)
			issuer, keyID := peeked.Issuer, peeked.KeyID
			if issuer != test.issuer || keyID != test.keyID || ok != test.ok {
				t.Errorf("Peek = %q, %q, %v; want %q, %q, %v", issuer, keyID, ok, test.issuer, test.keyID, test.ok)
			}
		})
	}
}

// A token has one spelling: with the payload kept, no other string than the
// signed one is both accepted and verified.
func FuzzParse(f *testing.F) {
	key := keys()[jose.ES256]
	good := sign(f, jose.ES256, key, "k", payload(f), nil)
	f.Add(good)
	f.Add(good + "\n")
	f.Add(good[:len(good)-1] + stray(good))
	f.Add(b64(`{"alg":"none"}`) + "." + b64(`{"iss":"x"}`) + ".")
	f.Add(b64(`{"alg":"ES256","jwk":{"kty":"EC"}}`) + "." + b64(`{}`) + ".AAAA")
	f.Add(b64(`{"alg":"RS256","b64":false,"crit":["b64"]}`) + "." + b64(`{"iss":"x"}`) + ".AA")
	f.Fuzz(func(t *testing.T, compact string) {
		u, err := token.Parse(compact)
		peeked, ok := token.Peek(compact)
		issuer, keyID := peeked.Issuer, peeked.KeyID
		if err != nil {
			if u != nil {
				t.Fatal("a refused token is not nil")
			}
			if !errors.Is(err, token.ErrMalformed) && !errors.Is(err, token.ErrSignature) {
				t.Fatalf("error of another kind: %v", err)
			}
			return
		}
		if !ok || issuer != u.Issuer || keyID != u.KeyID {
			t.Fatalf("Peek = %q, %q, %v; Parse = %q, %q", issuer, keyID, ok, u.Issuer, u.KeyID)
		}
		parts := strings.Split(compact, ".")
		for _, part := range parts {
			raw, err := base64.RawURLEncoding.DecodeString(part)
			if err != nil || base64.RawURLEncoding.EncodeToString(raw) != part {
				t.Fatal("a part with two spellings was accepted")
			}
		}
		c, err := u.Verify([]crypto.PublicKey{key.Public()})
		if (c == nil) == (err == nil) {
			t.Fatalf("Verify = %v, %v", c, err)
		}
		if err == nil && strings.Join(parts[:2], ".") != good[:strings.LastIndexByte(good, '.')] {
			t.Fatal("a token that was never signed verifies")
		}
	})
}

func BenchmarkPeek(b *testing.B) {
	compact := sign(b, jose.ES256, keys()[jose.ES256], "k", payload(b), nil)
	for b.Loop() {
		if _, ok := token.Peek(compact); !ok {
			b.Fatal("not ok")
		}
	}
}

func BenchmarkParseAndVerify(b *testing.B) {
	for _, alg := range []jose.SignatureAlgorithm{jose.ES256, jose.RS256} {
		b.Run(string(alg), func(b *testing.B) {
			compact := sign(b, alg, keys()[alg], "k", payload(b), nil)
			public := []crypto.PublicKey{keys()[alg].Public()}
			for b.Loop() {
				u, err := token.Parse(compact)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := u.Verify(public); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/muster-identity/muster/verify"
)

const (
	issuerURL = "https://muster.example"
	vault     = "https://vault.example"
)

// failer is what helpers need of a test; an example has none of its own.
type failer interface {
	Helper()
	Fatal(args ...any)
}

// exampleTB fails an example.
type exampleTB struct{}

func (exampleTB) Helper() {}

func (exampleTB) Fatal(args ...any) { panic(fmt.Sprint(args...)) }

// start is when the tokens of these tests are made.
var start = time.Date(2027, 1, 1, 12, 0, 0, 0, time.UTC)

// signingKeys are made once: an RSA key takes a while.
var signingKeys = sync.OnceValue(func() map[jose.SignatureAlgorithm]crypto.Signer {
	ec := func(c elliptic.Curve) crypto.Signer {
		k, err := ecdsa.GenerateKey(c, rand.Reader)
		if err != nil {
			panic(err)
		}
		return k
	}
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return map[jose.SignatureAlgorithm]crypto.Signer{
		jose.RS256: r, jose.ES256: ec(elliptic.P256()), jose.ES384: ec(elliptic.P384()), jose.ES512: ec(elliptic.P521()),
	}
})

// claimSet is the payload of a token, to be changed by a test.
type claimSet map[string]any

// goodClaims are those of a token of ten minutes that is bound to a pod on a node.
func goodClaims() claimSet {
	return claimSet{
		"aud": []string{vault}, "iss": issuerURL, "jti": "7c1f", "sub": "system:serviceaccount:dev:reporter",
		"iat": start.Unix(), "nbf": start.Unix(), "exp": start.Add(10 * time.Minute).Unix(),
		"kubernetes.io": map[string]any{
			"namespace":      "dev",
			"serviceaccount": map[string]string{"name": "reporter", "uid": "u-account"},
			"pod":            map[string]string{"name": "reporter-1", "uid": "u-pod"},
			"node":           map[string]string{"name": "n1", "uid": "u-node"},
		},
	}
}

func (c claimSet) with(name string, value any) claimSet {
	c = maps.Clone(c)
	if c[name] = value; value == nil {
		delete(c, name)
	}
	return c
}

// sign makes a token with whatever a test asks for.
func sign(t failer, alg jose.SignatureAlgorithm, key any, kid string, payload any, header map[jose.HeaderKey]any) string {
	t.Helper()
	signer, err := jose.NewSigner(
		jose.SigningKey{Algorithm: alg, Key: jose.JSONWebKey{Key: key, KeyID: kid}}, &jose.SignerOptions{ExtraHeaders: header},
	)
	if err != nil {
		t.Fatal(err)
	}
	encoded, raw := payload.([]byte)
	if !raw {
		if encoded, err = json.Marshal(payload); err != nil {
			t.Fatal(err)
		}
	}
	jws, err := signer.Sign(encoded)
	if err != nil {
		t.Fatal(err)
	}
	compact, err := jws.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return compact
}

// good is a token that holds.
func good(t failer) string {
	return sign(t, jose.ES256, signingKeys()[jose.ES256], "k1", goodClaims(), nil)
}

// issuer is an issuer without a network: its documents are handed to whoever asks.
type issuer struct {
	mu      sync.Mutex
	pages   map[string]page // by URL
	asked   []string
	failure error // in place of every answer
}

type page struct {
	code   int
	header http.Header
	body   []byte
}

// newIssuer publishes public keys, by their id.
func newIssuer(t failer, keys map[string]crypto.PublicKey) *issuer {
	i := &issuer{}
	i.publish(t, keys)
	return i
}

func (i *issuer) publish(t failer, keys map[string]crypto.PublicKey) {
	t.Helper()
	set := jose.JSONWebKeySet{}
	for id, key := range keys {
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: key, KeyID: id, Use: "sig"})
	}
	document, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.pages = map[string]page{
		issuerURL + "/.well-known/openid-configuration": {body: []byte(`{"issuer":"` + issuerURL + `","jwks_uri":"https://keys.example/jwks"}`)},
		"https://keys.example/jwks":                     {body: document, header: http.Header{"Cache-Control": {"public, max-age=3600"}}},
	}
}

func (i *issuer) put(url string, p page) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.pages[url] = p
}

func (i *issuer) fail(err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.failure = err
}

// fetches is how often the keys were asked for.
func (i *issuer) fetches() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	n := 0
	for _, url := range i.asked {
		if url == "https://keys.example/jwks" {
			n++
		}
	}
	return n
}

// RoundTrip answers.
func (i *issuer) RoundTrip(r *http.Request) (*http.Response, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.asked = append(i.asked, r.URL.String())
	if i.failure != nil {
		return nil, i.failure
	}
	p, ok := i.pages[r.URL.String()]
	if !ok {
		p.code = http.StatusNotFound
	}
	if p.code == 0 {
		p.code = http.StatusOK
	}
	return &http.Response{StatusCode: p.code, Header: p.header, Body: io.NopCloser(bytes.NewReader(p.body)), Request: r}, nil
}

// clock is one that a test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// oidc is a verifier of an issuer's tokens, and the clock it goes by.
func oidc(t failer, i *issuer) (verify.Verifier, *clock) {
	t.Helper()
	c := &clock{now: start}
	v, err := verify.OIDC(verify.OIDCOptions{
		Issuer: issuerURL, Audiences: []string{vault}, Client: &http.Client{Transport: i}, Now: c.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	return v, c
}

// allKeys are the public halves of signingKeys: k1 is the one for ES256.
func allKeys() map[string]crypto.PublicKey {
	keys := signingKeys()
	return map[string]crypto.PublicKey{
		"k1": keys[jose.ES256].Public(), "rsa": keys[jose.RS256].Public(), "p384": keys[jose.ES384].Public(), "p521": keys[jose.ES512].Public(),
	}
}

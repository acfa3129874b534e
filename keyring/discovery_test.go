// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package keyring_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/muster-identity/muster/keyring"
)

var update = flag.Bool("update", false, "rewrite the pinned outputs in testdata")

func TestTheDocumentsAreAsPinned(t *testing.T) {
	t.Parallel()
	hidden := load(t, "es512")
	hidden.Unpublished = true
	keys := []keyring.Key{load(t, "rs256"), load(t, "es256"), hidden, load(t, "es384")}
	got, err := keyring.NewMetadata("https://muster.example", "https://keys.example/openid/v1/jwks", keys)
	if err != nil {
		t.Fatal(err)
	}
	pinned(t, "openid-configuration.json", got.Configuration)
	pinned(t, "jwks.json", got.KeySet)
	if bytes.Contains(got.KeySet, []byte(`"d":`)) {
		t.Error("a private part is published")
	}
}

func pinned(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	got = append(got, '\n')
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-pinned +got):\n%s", path, diff)
	}
}

func TestAReaderOfTheKeySetCanVerify(t *testing.T) {
	t.Parallel()
	signer := newSigner(t)
	metadata, err := keyring.NewMetadata("https://muster.example", "", signer.Keys())
	if err != nil {
		t.Fatal(err)
	}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(metadata.KeySet, &set); err != nil {
		t.Fatal(err)
	}
	compact, err := signer.Sign(t.Context(), []byte(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	jws, err := jose.ParseSignedCompact(compact, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := jws.Verify(set); err != nil {
		t.Error(err)
	}
}

func TestTheKeySetIsAtTheIssuerUnlessSaidOtherwise(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ issuer, uri, want string }{
		"host":           {"https://a.example", "", "https://a.example/openid/v1/jwks"},
		"host and slash": {"https://a.example/", "", "https://a.example/openid/v1/jwks"},
		"path":           {"https://a.example/c/1", "", "https://a.example/c/1/openid/v1/jwks"},
		"port":           {"https://a.example:6443", "", "https://a.example:6443/openid/v1/jwks"},
		"said otherwise": {"https://a.example", "https://b.example/k", "https://b.example/k"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			metadata, err := keyring.NewMetadata(test.issuer, test.uri, []keyring.Key{load(t, "es256")})
			if err != nil {
				t.Fatal(err)
			}
			var got struct {
				Issuer  string `json:"issuer"`
				JWKSURI string `json:"jwks_uri"`
			}
			if err := json.Unmarshal(metadata.Configuration, &got); err != nil {
				t.Fatal(err)
			}
			if got.JWKSURI != test.want || got.Issuer != test.issuer {
				t.Errorf("issuer %q, JWKS URI %q; want %q", got.Issuer, got.JWKSURI, test.want)
			}
		})
	}
}

func TestURLsThatOpenIDDoesNotAllowAreRefused(t *testing.T) {
	t.Parallel()
	const good = "https://a.example"
	tests := map[string]struct{ issuer, uri, want string }{
		"no issuer":              {"", "", "must begin with https://"},
		"http":                   {"http://a.example", "", `issuer URL "http://a.example" must begin with https://`},
		"no scheme":              {"kubernetes.default.svc", "", "must begin with https://"},
		"no host":                {"https:///x", "", "name a host"},
		"opaque":                 {"https:a.example", "", "name a host"},
		"a query":                {good + "?a=b", "", "must not have a query"},
		"an empty query":         {good + "?", "", "must not have a query"},
		"a fragment":             {good + "#x", "", "must not have a fragment"},
		"an empty fragment":      {good + "#", "", "must not have a fragment"},
		"an issuer of no kind":   {"https://a b", "", "issuer URL"},
		"keys over http":         {good, "http://a.example/jwks", `JWKS URI "http://a.example/jwks" must begin with https://`},
		"keys at no kind of URL": {good, "https://[::1", "JWKS URI"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			metadata, err := keyring.NewMetadata(test.issuer, test.uri, []keyring.Key{load(t, "es256")})
			if metadata != nil || err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("NewMetadata = %v, %v; want an error that says %q", metadata, err, test.want)
			}
		})
	}
}

func TestDocumentsWithoutKeysAreRefused(t *testing.T) {
	t.Parallel()
	hidden := load(t, "es256")
	hidden.Unpublished = true
	for name, keys := range map[string][]keyring.Key{"none": nil, "none to publish": {hidden}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if m, err := keyring.NewMetadata("https://a.example", "", keys); m != nil || err == nil {
				t.Errorf("NewMetadata = %v, %v", m, err)
			}
		})
	}
}

func TestAnUnpublishedKeyVerifiesAllTheSame(t *testing.T) {
	t.Parallel()
	hidden := load(t, "es384")
	hidden.Unpublished = true
	ring := newRing(t, newSigner(t), hidden)
	if len(ring.Candidates(hidden.ID)) != 1 {
		t.Error("the key is not a candidate")
	}
}

func TestThePublisherRendersOncePerRing(t *testing.T) {
	t.Parallel()
	k := keyring.New(newRing(t, newSigner(t)))
	p, err := keyring.NewPublisher(k, "https://a.example", "")
	if err != nil {
		t.Fatal(err)
	}
	metadata := func() *keyring.Metadata {
		m, err := p.Metadata()
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	first := metadata()
	if metadata() != first {
		t.Error("rendered twice for one ring")
	}
	k.Replace(newRing(t, newSigner(t), k.Current().Keys()...))
	second := metadata()
	if second == first {
		t.Fatal("not rendered for the new ring")
	}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(second.KeySet, &set); err != nil {
		t.Fatal(err)
	}
	if len(set.Keys) != 2 {
		t.Errorf("%d keys are published, want both", len(set.Keys))
	}
}

func TestAPublisherThatCannotPublishSaysSo(t *testing.T) {
	t.Parallel()
	k := keyring.New(newRing(t, newSigner(t)))
	if p, err := keyring.NewPublisher(k, "http://a.example", ""); p != nil || err == nil {
		t.Errorf("NewPublisher = %v, %v", p, err)
	}
}

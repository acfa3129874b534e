// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"net/http"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// openID is how others check tokens without asking (Kubernetes:
// pkg/serviceaccount/openidmetadata.go; OpenID Connect Discovery 1.0).
func openID() []test {
	return []test{
		{"the discovery document names the issuer and its keys", openIDConfiguration},
		{"a token can be checked with the published keys alone", publishedKeys},
		{"every service account may read both documents", readersOfDocuments},
	}
}

const (
	configurationPath = "/.well-known/openid-configuration"
	keysPath          = "/openid/v1/jwks"
	// keysType is that of the keys. Kubernetes gives them to nobody who wants another.
	keysType = "application/jwk-set+json"
)

func openIDConfiguration(e *env) {
	got := e.get(configurationPath).want(e, http.StatusOK)
	if mediaType := got.header.Get("Content-Type"); mediaType != "application/json" {
		e.Errorf("the document is in %q", mediaType)
	}
	if cache := got.header.Get("Cache-Control"); cache != "public, max-age=3600" {
		e.Errorf("the document may be kept: %q", cache)
	}
	var all map[string]any
	got.into(e, &all)
	issuer, algorithms := all["issuer"], all["id_token_signing_alg_values_supported"]
	if want := e.claims(e.token("default")).Iss; issuer != want {
		e.Errorf("the issuer is %q, that of tokens %q", issuer, want)
	}
	if list, ok := algorithms.([]any); !ok || len(list) == 0 {
		e.Errorf("the algorithms are %v", algorithms)
	}
	for _, differing := range []string{"issuer", "id_token_signing_alg_values_supported", "jwks_uri"} {
		if all[differing] == nil {
			e.Errorf("%s is missing", differing)
		}
		all[differing] = "..."
	}
	e.pin("openid-configuration.json", e.encode(all))
}

func publishedKeys(e *env) {
	got := e.do(request{method: http.MethodGet, path: keysPath, accept: keysType}).want(e, http.StatusOK)
	if mediaType := got.header.Get("Content-Type"); mediaType != keysType {
		e.Errorf("the keys are in %q", mediaType)
	}
	var keys jose.JSONWebKeySet
	got.into(e, &keys)
	for _, key := range keys.Keys {
		if key.Use != "sig" || !key.IsPublic() {
			e.Errorf("key %q is for %q, public: %v", key.KeyID, key.Use, key.IsPublic())
		}
	}
	parsed, err := jwt.ParseSigned(e.token("default"), []jose.SignatureAlgorithm{jose.ES256, jose.ES384, jose.ES512, jose.RS256})
	e.check(err)
	var claims jwt.Claims
	if parsed.Claims(keys, &claims) != nil {
		e.Fatal("the published keys do not verify the token")
	}
	if want := "system:serviceaccount:" + e.ns + ":default"; claims.Subject != want {
		e.Errorf("the subject is %q, want %q", claims.Subject, want)
	}
}

func readersOfDocuments(e *env) {
	account := e.holding(e.token("default"))
	for path, mediaType := range map[string]string{configurationPath: "application/json", keysPath: keysType} {
		e.do(request{as: account, method: http.MethodGet, path: path, accept: mediaType}).want(e, http.StatusOK)
		e.do(request{as: e.acting("jane"), method: http.MethodGet, path: path, accept: mediaType}).want(e, http.StatusForbidden)
	}
}

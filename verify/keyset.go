// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/go-jose/go-jose/v4"
	strictjson "github.com/go-jose/go-jose/v4/json"
)

const (
	// maxKeys bounds what one document may make us keep.
	maxKeys = 256
	// An RSA key shorter than minRSA bits can be broken; one longer than maxRSA
	// makes each check slow.
	minRSA, maxRSA = 2048, 8192
)

// algorithms are those that an API server signs with.
// Kubernetes: pkg/serviceaccount/jwt.go.
var algorithms = []jose.SignatureAlgorithm{jose.RS256, jose.ES256, jose.ES384, jose.ES512}

// key is a public key together with the one algorithm it may be used with: a
// token does not choose.
type key struct {
	algorithm jose.SignatureAlgorithm
	public    any
}

// keySet is what an issuer publishes, by key id. It is not changed once made.
type keySet map[string][]key

// parseKeySet reads a JWK set. Keys of a kind that no API server signs with are
// passed over (RFC 7517, section 5), but a set without a single usable one is an
// error: an issuer without keys has none by mistake.
func parseKeySet(document []byte) (keySet, error) {
	var raw struct {
		Keys []strictjson.RawMessage `json:"keys"`
	}
	if err := strictjson.Unmarshal(document, &raw); err != nil {
		return nil, errors.New("the key set is no JSON object as wanted")
	}
	if len(raw.Keys) > maxKeys {
		return nil, fmt.Errorf("the key set has more than %d keys", maxKeys)
	}
	set := keySet{}
	for _, one := range raw.Keys {
		if id, k, ok := parseKey(one); ok {
			set[id] = append(set[id], k)
		}
	}
	if len(set) == 0 {
		return nil, errors.New("the key set has no key that signs service account tokens")
	}
	return set, nil
}

func parseKey(document []byte) (id string, k key, ok bool) {
	var jwk jose.JSONWebKey
	if err := jwk.UnmarshalJSON(document); err != nil || jwk.KeyID == "" {
		return "", key{}, false
	}
	algorithm, ok := algorithmOf(jwk.Key)
	if !ok || (jwk.Use != "" && jwk.Use != "sig") || (jwk.Algorithm != "" && jwk.Algorithm != string(algorithm)) || !verifies(document) {
		return "", key{}, false
	}
	return jwk.KeyID, key{algorithm, jwk.Key}, true
}

// verifies tells whether a key is one to verify with, as far as it says what it is
// for: RFC 7517, section 4.3. The library does not read that.
func verifies(document []byte) bool {
	var jwk struct {
		Operations []string `json:"key_ops"`
	}
	err := json.Unmarshal(document, &jwk)
	return err == nil && (jwk.Operations == nil || slices.Contains(jwk.Operations, "verify"))
}

// algorithmOf is the one with which a public key is used.
func algorithmOf(public any) (jose.SignatureAlgorithm, bool) {
	switch public := public.(type) {
	case *rsa.PublicKey:
		bits := public.N.BitLen()
		return jose.RS256, bits >= minRSA && bits <= maxRSA && public.E >= 3 && public.E%2 == 1
	case *ecdsa.PublicKey:
		algorithm, ok := map[int]jose.SignatureAlgorithm{256: jose.ES256, 384: jose.ES384, 521: jose.ES512}[public.Params().BitSize]
		return algorithm, ok
	}
	return "", false
}

// checkSignature tells whether one of the keys signed the token.
func checkSignature(token string, p *parsed, keys []key) error {
	jws, err := jose.ParseSignedCompact(token, algorithms)
	if err != nil {
		return refuse(ErrSignature, "its algorithm is none of %q, or its header is bad", algorithms)
	}
	for _, k := range keys {
		if p.header.Algorithm != string(k.algorithm) {
			continue
		}
		if payload, err := jws.Verify(k.public); err == nil && string(payload) == string(p.payload) {
			return nil
		}
	}
	return refuse(ErrSignature, "it does not come from the key that it names")
}

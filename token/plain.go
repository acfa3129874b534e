// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package token

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	_ "crypto/sha512" // for crypto.Hash
	"math/big"

	"github.com/go-jose/go-jose/v4"

	"github.com/muster-identity/muster/es256"
)

// plainAlgorithm tells which algorithm and key a header names that is written as
// Kubernetes and Muster write theirs: {"alg":"ES256","kid":"ID"}, and nothing
// else. Nearly all tokens have one, and need not be taken apart as a JWS of
// whatever kind: signature and payload are what stands between the points.
func plainAlgorithm(header []byte) (algorithm jose.SignatureAlgorithm, keyID string, ok bool) {
	rest, ok := bytes.CutPrefix(header, []byte(`{"alg":"`))
	if !ok {
		return "", "", false
	}
	alg, rest, ok := bytes.Cut(rest, []byte(`","kid":"`))
	if !ok {
		return "", "", false
	}
	id, ok := bytes.CutSuffix(rest, []byte(`"}`))
	if !ok || !isWord(alg) || !isWord(id) {
		return "", "", false
	}
	return jose.SignatureAlgorithm(alg), string(id), true
}

// isWord tells whether there are only letters, digits and the two marks of
// base64url: nothing that means anything in JSON.
func isWord(text []byte) bool {
	for _, c := range text {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
		default:
			return false
		}
	}
	return len(text) > 0
}

// sizes are the hash of an algorithm (RFC 7518, section 3.1) and the bytes of a
// number on its curve (section 3.4), which RS256 has none of.
func sizes(algorithm jose.SignatureAlgorithm) (hash crypto.Hash, curveBytes int) {
	switch algorithm {
	case jose.ES384:
		return crypto.SHA384, 48
	case jose.ES512:
		return crypto.SHA512, 66
	case jose.ES256:
		return crypto.SHA256, 32
	}
	return crypto.SHA256, 0
}

// signs tells whether the key made the signature of text. The algorithm is one
// of algorithms().
func signs(algorithm jose.SignatureAlgorithm, key crypto.PublicKey, text string, signature []byte) bool {
	if key, ok := key.(*es256.Key); ok {
		return algorithm == jose.ES256 && key.Verify(sha256.Sum256([]byte(text)), signature)
	}
	hash, size := sizes(algorithm)
	hashing := hash.New()
	hashing.Write([]byte(text))
	digest := hashing.Sum(nil)
	switch key := key.(type) {
	case *rsa.PublicKey:
		return algorithm == jose.RS256 && rsa.VerifyPKCS1v15(key, hash, digest, signature) == nil
	case *ecdsa.PublicKey:
		if size == 0 || (key.Curve.Params().BitSize+7)/8 != size || len(signature) != 2*size {
			return false
		}
		r, s := new(big.Int).SetBytes(signature[:size]), new(big.Int).SetBytes(signature[size:])
		return ecdsa.Verify(key, digest, r, s)
	}
	return false
}

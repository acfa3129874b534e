// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package keyring

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/go-jose/go-jose/v4"
)

// Key is a public key that verifies signatures.
type Key struct {
	// ID is what the header of a signed payload names the key by.
	ID string
	// Algorithm is the only one the key is used with.
	Algorithm jose.SignatureAlgorithm
	// Public is an *rsa.PublicKey or *ecdsa.PublicKey.
	Public crypto.PublicKey
	// Unpublished keeps the key out of the published documents. It verifies
	// all the same.
	Unpublished bool
}

// NewKey returns the key with its algorithm and id. RSA keys of at least 2048
// bits that are not known to be weak, and EC keys on P-256, P-384 and P-521 will
// do; the error says why another does not.
func NewKey(public crypto.PublicKey) (Key, error) {
	alg, err := algorithm(public)
	if err != nil {
		return Key{}, err
	}
	id, err := keyID(public)
	if err != nil {
		return Key{}, err
	}
	return Key{ID: id, Algorithm: alg, Public: public}, nil
}

// Equal tells whether both are the same public key.
func (k Key) Equal(other Key) bool {
	public, ok := k.Public.(interface{ Equal(crypto.PublicKey) bool })
	return ok && public.Equal(other.Public)
}

// algorithm is the one Kubernetes uses with such a key.
// Kubernetes: pkg/serviceaccount/openidmetadata.go; RFC 7518, section 3.1.
func algorithm(public crypto.PublicKey) (jose.SignatureAlgorithm, error) {
	switch key := public.(type) {
	case *rsa.PublicKey:
		return jose.RS256, checkRSA(key)
	case *ecdsa.PublicKey:
		switch key.Curve {
		case elliptic.P256():
			return jose.ES256, nil
		case elliptic.P384():
			return jose.ES384, nil
		case elliptic.P521():
			return jose.ES512, nil
		}
		return "", errors.New("an EC key on this curve cannot sign tokens: use P-256, P-384 or P-521")
	}
	return "", fmt.Errorf("a key of type %T cannot sign tokens: use RSA, or EC on P-256, P-384 or P-521", public)
}

// keyID is the unpadded base64url of the SHA-256 of the key as a
// SubjectPublicKeyInfo. It is the same on every machine, and tells nothing of
// the key. Kubernetes: pkg/serviceaccount/jwt.go (keyIDFromPublicKey).
func keyID(public crypto.PublicKey) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return "", fmt.Errorf("encoding a public key: %w", err)
	}
	sum := sha256.Sum256(der)
	return base64.RawURLEncoding.EncodeToString(sum[:]), nil
}

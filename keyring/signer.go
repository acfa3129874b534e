// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package keyring

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"

	"github.com/go-jose/go-jose/v4"
)

// LocalSigner signs with a private key in this process.
type LocalSigner struct {
	key  Key
	jose jose.Signer
}

var _ Signer = (*LocalSigner)(nil)

// Generate makes a new key for ES256.
func Generate() (*ecdsa.PrivateKey, error) {
	return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
}

// NewLocalSigner returns the signer of a private key, an *rsa.PrivateKey or
// *ecdsa.PrivateKey. The error says why another does not do.
func NewLocalSigner(private crypto.Signer) (*LocalSigner, error) {
	key, err := NewKey(private.Public())
	if err != nil {
		return nil, err
	}
	// A JSONWebKey makes go-jose name the key in the header, which then holds
	// alg and kid and nothing else, as in Kubernetes.
	signer, err := jose.NewSigner(jose.SigningKey{
		Algorithm: key.Algorithm,
		Key:       jose.JSONWebKey{Key: private, KeyID: key.ID},
	}, nil)
	if err != nil {
		return nil, fmt.Errorf("making a signer for %s: %w", key.Algorithm, err)
	}
	return &LocalSigner{key: key, jose: signer}, nil
}

// Keys is the one public key of the signer.
func (s *LocalSigner) Keys() []Key { return []Key{s.key} }

// Sign returns the payload as a compact JWS. It does not wait for anything,
// and so does not look at the context.
func (s *LocalSigner) Sign(_ context.Context, payload []byte) (string, error) {
	jws, err := s.jose.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("signing with key %q: %w", s.key.ID, err)
	}
	return jws.CompactSerialize()
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package keyring

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// LocalSigner signs with a private key in this process.
type LocalSigner struct {
	key  Key
	jose jose.Signer
}

var _ Signer = (*LocalSigner)(nil)

// Algorithm is how a key signs, by its name in RFC 7518.
type Algorithm = jose.SignatureAlgorithm

// DefaultAlgorithm is that of a key for which nobody has named one.
const DefaultAlgorithm Algorithm = jose.ES256

// Algorithms are those for which Generate makes keys.
func Algorithms() []Algorithm { return []Algorithm{jose.ES256, jose.ES384, jose.ES512, jose.RS256} }

// Generate makes a new key for one of Algorithms; the error tells of another.
// Its id does not begin with a dash, which a command line takes for a flag.
func Generate(algorithm Algorithm) (crypto.Signer, error) {
	for {
		private, err := generate(algorithm)
		if err != nil {
			return nil, err
		}
		id, err := keyID(private.Public())
		if err != nil {
			return nil, err
		}
		if !strings.HasPrefix(id, "-") {
			return private, nil
		}
	}
}

func generate(algorithm Algorithm) (crypto.Signer, error) {
	switch algorithm {
	case jose.ES256:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case jose.ES384:
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case jose.ES512:
		return ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case jose.RS256:
		return rsa.GenerateKey(rand.Reader, minRSABits)
	}
	return nil, fmt.Errorf("no keys are made for the algorithm %q: use one of %v", algorithm, Algorithms())
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

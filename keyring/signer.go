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
	_ "crypto/sha512" // for hashOf
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// LocalSigner signs with a private key in this process.
type LocalSigner struct {
	key     Key
	private crypto.Signer
	// header begins all that it signs, encoded.
	header string
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
	return &LocalSigner{key: key, private: private, header: headerOf(key)}, nil
}

// headerOf is the header of what the key signs. It holds alg and kid and nothing
// else, as in Kubernetes. Neither has a character that JSON would escape.
func headerOf(key Key) string {
	header := fmt.Sprintf(`{"alg":%q,"kid":%q}`, key.Algorithm, key.ID)
	return base64.RawURLEncoding.EncodeToString([]byte(header))
}

// Keys is the one public key of the signer.
func (s *LocalSigner) Keys() []Key { return []Key{s.key} }

// Sign returns the payload as a compact JWS. It does not wait for anything,
// and so does not look at the context.
func (s *LocalSigner) Sign(_ context.Context, payload []byte) (string, error) {
	encoding := base64.RawURLEncoding
	compact := make([]byte, 0, len(s.header)+encoding.EncodedLen(len(payload))+maxEncodedSignature)
	compact = append(append(compact, s.header...), '.')
	compact = encoding.AppendEncode(compact, payload)
	signature, err := s.sign(compact)
	if err != nil {
		return "", fmt.Errorf("signing with key %q: %w", s.key.ID, err)
	}
	return string(encoding.AppendEncode(append(compact, '.'), signature)), nil
}

// maxEncodedSignature has room for the signature of an RSA key of 4096 bits.
const maxEncodedSignature = 700

// sign returns the signature of a text (RFC 7518, sections 3.3 and 3.4): that of
// an EC key is two numbers, each as long as those of its curve.
func (s *LocalSigner) sign(text []byte) ([]byte, error) {
	hash := hashOf(s.key.Algorithm)
	hashing := hash.New()
	hashing.Write(text)
	digest := hashing.Sum(nil)
	switch private := s.private.(type) {
	case *rsa.PrivateKey:
		return rsa.SignPKCS1v15(rand.Reader, private, hash, digest)
	case *ecdsa.PrivateKey:
		x, y, err := ecdsa.Sign(rand.Reader, private, digest)
		if err != nil {
			return nil, err
		}
		size := (private.Params().BitSize + 7) / 8
		signature := make([]byte, 2*size)
		x.FillBytes(signature[:size])
		y.FillBytes(signature[size:])
		return signature, nil
	}
	return nil, fmt.Errorf("a key of type %T does not sign", s.private)
}

// hashOf is the hash of an algorithm (RFC 7518, section 3.1).
func hashOf(algorithm Algorithm) crypto.Hash {
	switch algorithm {
	case jose.ES384:
		return crypto.SHA384
	case jose.ES512:
		return crypto.SHA512
	}
	return crypto.SHA256
}

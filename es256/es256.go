// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

// Package es256 verifies signatures of the algorithm ES256 (RFC 7518, section
// 3.4: ECDSA on the curve P-256 with SHA-256) by keys that are used again and
// again. It knows nothing of tokens.
//
// Most of a verification is the multiplication of the public key by a number. A
// server has few keys and sees each a million times; so a key's multiples are
// laid out in a table when it is first used, and a product is the sum of 32 of
// them (fixed windows: Handbook of Applied Cryptography, 14.109). That takes less
// than half of the time.
//
// The arithmetic of the curve is that of the standard library, of which
// filippo.io/nistec is the public edition: its addition is right for all points.
// What is verified is public, so nothing here needs to take equal time. Where
// only validated modules may be used (GODEBUG=fips140=on), crypto/ecdsa verifies.
package es256

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/fips140"
	"errors"
	"math/big"
	"sync"

	"filippo.io/nistec"
)

// Size is that of a signature, in bytes: the numbers r and s, 32 bytes each.
const Size = 64

// Key verifies the signatures of one key. It may be used at the same time.
type Key struct {
	public *ecdsa.PublicKey
	// multiples are made when they are first needed.
	multiples func() *table
}

// New returns the verifier of a key. The error is for a key on another curve, or
// on none.
func New(public *ecdsa.PublicKey) (*Key, error) {
	if public.Curve != elliptic.P256() {
		return nil, errors.New("not a key on the curve P-256")
	}
	encoded, err := public.Bytes()
	if err != nil {
		return nil, err
	}
	point, err := nistec.NewP256Point().SetBytes(encoded)
	if err != nil {
		return nil, err
	}
	return &Key{public: public, multiples: sync.OnceValue(func() *table { return newTable(point) })}, nil
}

// Public is the key itself. Nobody may change it.
func (k *Key) Public() *ecdsa.PublicKey { return k.public }

// Verify tells whether the key signed what has this SHA-256 digest.
func (k *Key) Verify(digest [32]byte, signature []byte) bool {
	if len(signature) != Size {
		return false
	}
	r, s := new(big.Int).SetBytes(signature[:Size/2]), new(big.Int).SetBytes(signature[Size/2:])
	if fips140.Enabled() {
		return ecdsa.Verify(k.public, digest[:], r, s)
	}
	return k.verify(new(big.Int).SetBytes(digest[:]), r, s)
}

// verify is the verification of ECDSA (FIPS 186-5, section 6.4.2) of a message
// whose hash is e.
func (k *Key) verify(e, r, s *big.Int) bool {
	order := elliptic.P256().Params().N
	if r.Sign() == 0 || s.Sign() == 0 || r.Cmp(order) >= 0 || s.Cmp(order) >= 0 {
		return false
	}
	inverse := new(big.Int).ModInverse(s, order)
	var u, v [32]byte
	product(e, inverse, order).FillBytes(u[:])
	product(r, inverse, order).FillBytes(v[:])
	sum, err := nistec.NewP256Point().ScalarBaseMult(u[:])
	if err != nil {
		return false
	}
	x, err := sum.Add(sum, k.multiples().times(&v)).BytesX()
	if err != nil {
		return false // the point at infinity has no coordinates
	}
	found := new(big.Int).SetBytes(x)
	return found.Mod(found, order).Cmp(r) == 0
}

func product(a, b, modulus *big.Int) *big.Int {
	c := new(big.Int).Mul(a, b)
	return c.Mod(c, modulus)
}

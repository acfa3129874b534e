// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package authn

import (
	"crypto/sha256"

	"k8s.io/utils/lru"

	"github.com/muster-identity/muster/keyring"
	"github.com/muster-identity/muster/token"
)

const (
	// maxSignatures and maxKeptToken, a number of bytes, bound the memory of
	// verified signatures together. A usual token has 1200 bytes, but whoever
	// may ask for tokens may ask for one with a megabyte of audiences.
	maxSignatures = 16384
	maxKeptToken  = 4096

	// stripes is how many locks share the work. It divides 256.
	stripes = 16
)

// signatures remembers tokens whose signatures have been verified.
//
// What is kept is true for good: one of the keys of this ring, which never
// changes, signed these claims. Whatever may end a token's life (its time, a
// key taken out, objects that are gone, other audiences) is not kept, but
// checked at each use; so nothing needs to be told to forget, and an entry
// stays for as long as there is room.
type signatures [stripes]*lru.Cache

// digest names a token. Nobody can make two tokens with one digest.
type digest [sha256.Size]byte

func digestOf(compact string) digest { return sha256.Sum256([]byte(compact)) }

type signature struct {
	ring   *keyring.Ring
	claims *token.Claims
}

func newSignatures() *signatures {
	var s signatures
	for i := range s {
		s[i] = lru.New(maxSignatures / stripes)
	}
	return &s
}

func (s *signatures) stripe(d digest) *lru.Cache { return s[d[0]%stripes] }

// get returns the claims of a token that was verified with this very ring. With
// another, even one that has a key of the same id, it has to be verified again.
func (s *signatures) get(d digest, ring *keyring.Ring) (*token.Claims, bool) {
	kept, ok := s.stripe(d).Get(d)
	if !ok {
		return nil, false
	}
	known := kept.(signature)
	return known.claims, known.ring == ring
}

// add keeps the claims of a token that was verified with a ring.
func (s *signatures) add(d digest, ring *keyring.Ring, claims *token.Claims) {
	s.stripe(d).Add(d, signature{ring: ring, claims: claims})
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

// Package keyring owns the keys that sign and verify: it makes them, reads and
// writes their files, signs payloads, and publishes the public halves as OIDC
// documents. What a payload says is none of its business.
//
// A Ring is one immutable set: a signer and the keys that verify. A Keyring
// holds the Ring that is in force:
//
//	            Replace(new Ring)
//	                   |
//	Sign ---------> Current ---------> Key, Candidates (verification)
//	                   |
//	               Publisher ---------> discovery and JWKS documents
//
// Where others decide which keys there are, a Source stands behind the Keyring:
// it is asked when a key is not known, and puts new rings in force by itself.
//
// The server decides which keys are in the ring and when it changes; issuer
// signs through the Keyring; authn verifies with the keys of Current.
package keyring

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/muster-identity/muster/es256"
)

// Keyring holds the Ring in force. Its methods may be called at the same time.
type Keyring struct {
	current atomic.Pointer[Ring]
	source  Source
}

// Source is whoever changes the keys from outside: it puts rings in force by
// Replace. Calls may overlap.
type Source interface {
	// Refresh brings the ring in force up to date: it returns after a look at
	// the keys that began no earlier than the call, or when ctx ends. If the
	// keys cannot be seen, those known stay.
	Refresh(ctx context.Context)
	// MaxAge is for how long from now the keys may be taken for all there are.
	MaxAge() time.Duration
}

// New returns a keyring in which the given ring is in force.
func New(ring *Ring) *Keyring {
	k := &Keyring{}
	k.current.Store(ring)
	return k
}

// Current is the ring in force. Two calls return the same pointer if, and only
// if, no other ring came between: who keeps a verdict that depends on the keys
// can keep the pointer with it, and needs no notice of changes.
func (k *Keyring) Current() *Ring { return k.current.Load() }

// Replace puts another ring in force, for every call that starts afterwards.
func (k *Keyring) Replace(ring *Ring) { k.current.Store(ring) }

// Follow names the source of the keys. It is called before the keyring is used.
func (k *Keyring) Follow(source Source) { k.source = source }

// Knowing is the ring in force. If that has no key of this id, the source of
// the keys, if there is one, is asked before.
func (k *Keyring) Knowing(ctx context.Context, id string) *Ring {
	ring := k.Current()
	if k.source == nil || len(ring.Candidates(id)) > 0 {
		return ring
	}
	k.source.Refresh(ctx)
	return k.Current()
}

// MaxAge is for how long from now the published keys may be kept.
func (k *Keyring) MaxAge() time.Duration {
	if k.source == nil {
		return maxAge
	}
	return k.source.MaxAge()
}

// Sign signs with the signer of the ring in force.
func (k *Keyring) Sign(ctx context.Context, payload []byte) (string, error) {
	return k.Current().Sign(ctx, payload)
}

// Signer signs payloads. A signer need not hold its key: it may ask a
// process that does.
type Signer interface {
	// Sign returns the payload as a compact JWS (RFC 7515, section 7.1), whose
	// header names one of Keys. Calls may overlap. After an error nothing was
	// signed, and the caller may try again.
	Sign(ctx context.Context, payload []byte) (string, error)
	// Keys are the public keys that verify what Sign returns. A signer whose
	// keys change is put in a new Ring each time.
	Keys() []Key
}

// Ring is one signer and the keys that verify. It never changes.
type Ring struct {
	signer Signer
	keys   []Key
	byID   map[string]Key
	// candidates are by id and, under "", all; verifiers are the same.
	candidates, verifiers map[string][]crypto.PublicKey
}

// NewRing returns the ring of a signer, its keys, and others that verify as
// well: those that signed before it, and those that will. A key that is given
// twice counts once. The error tells of two keys with one id, or of no keys.
func NewRing(signer Signer, others ...Key) (*Ring, error) {
	if signer == nil {
		return nil, errors.New("making a ring of keys: there is no signer")
	}
	r := &Ring{
		signer:     signer,
		byID:       map[string]Key{},
		candidates: map[string][]crypto.PublicKey{},
		verifiers:  map[string][]crypto.PublicKey{},
	}
	for _, keys := range [][]Key{signer.Keys(), others} {
		for _, key := range keys {
			if err := r.add(key); err != nil {
				return nil, fmt.Errorf("making a ring of keys: %w", err)
			}
		}
	}
	if len(r.keys) == 0 {
		return nil, errors.New("making a ring of keys: there are no keys to verify with")
	}
	return r, nil
}

func (r *Ring) add(key Key) error {
	known, ok := r.byID[key.ID]
	if ok && !known.Equal(key) {
		return fmt.Errorf("two different keys have the id %q", key.ID)
	}
	if ok {
		return nil
	}
	r.keys = append(r.keys, key)
	r.byID[key.ID] = key
	verifier := verifierOf(key.Public)
	for _, id := range []string{"", key.ID} {
		r.candidates[id] = append(r.candidates[id], key.Public)
		r.verifiers[id] = append(r.verifiers[id], verifier)
	}
	return nil
}

// verifierOf is the key, or what verifies faster in its place.
func verifierOf(public crypto.PublicKey) crypto.PublicKey {
	if key, ok := public.(*ecdsa.PublicKey); ok {
		if verifier, err := es256.New(key); err == nil {
			return verifier
		}
	}
	return public
}

// Sign signs with the ring's signer.
func (r *Ring) Sign(ctx context.Context, payload []byte) (string, error) {
	return r.signer.Sign(ctx, payload)
}

// Keys are all keys that verify, those of the signer first. The caller must
// not change the slice.
func (r *Ring) Keys() []Key { return r.keys }

// Key is the key with that id.
func (r *Ring) Key(id string) (Key, bool) {
	key, ok := r.byID[id]
	return key, ok
}

// Candidates are the keys that may have signed what bears this key id: the one
// of that id, none if it is not known, all if the id is empty. The caller must
// not change the slice.
// Kubernetes: pkg/serviceaccount/jwt.go (GetPublicKeys).
func (r *Ring) Candidates(id string) []crypto.PublicKey { return r.candidates[id] }

// Verifiers are the Candidates, as package token verifies with them fastest: for a
// key of ES256 stands an *es256.Key.
func (r *Ring) Verifiers(id string) []crypto.PublicKey { return r.verifiers[id] }

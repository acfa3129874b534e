// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package token

import (
	"bytes"
	"crypto"
	"encoding/base64"
	"errors"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
	strictjson "github.com/go-jose/go-jose/v4/json"

	"github.com/muster-identity/muster/es256"
)

var (
	// ErrMalformed is the error for what is no signed JWT at all: it may be a
	// token of another kind, for another authenticator.
	ErrMalformed = errors.New("not a signed token in compact form")
	// ErrSignature is the error for a token that none of the keys signed, or
	// whose algorithm is not allowed. Its text is the one Kubernetes gives.
	ErrSignature = jose.ErrCryptoFailure
	// ErrNoKeys is the error for a token whose key is not known.
	ErrNoKeys = errors.New("invalid signature, no keys found")
)

// algorithms returns those a service account token may be signed with.
// Kubernetes: pkg/serviceaccount/jwt.go.
func algorithms() []jose.SignatureAlgorithm {
	return []jose.SignatureAlgorithm{jose.RS256, jose.ES256, jose.ES384, jose.ES512}
}

// Peeked is a token of which nothing has been checked but its form.
type Peeked struct {
	// Issuer is what the token says of its origin.
	Issuer string
	// KeyID names the key to verify with; empty means any key may fit.
	KeyID string

	compact            string
	payload, signature []byte
	// plain is the algorithm of a plain header, or empty.
	plain jose.SignatureAlgorithm
	// claims are those of a bound token, not to be believed yet; nil if it cannot
	// be one.
	claims *Claims
}

// Peek tells which issuer a token claims to come from and which key it claims
// to be signed with, so that it can be sent to the right verifier. Nothing of
// it is verified. It is not ok if the token has not three parts, or header or
// payload are not JSON objects in canonical base64url.
func Peek(compact string) (Peeked, bool) {
	parts, ok := split(compact)
	if !ok {
		return Peeked{}, false
	}
	p := Peeked{compact: compact, payload: parts[1], signature: parts[2]}
	var h struct {
		KeyID string `json:"kid"`
	}
	if p.plain, h.KeyID, ok = plainAlgorithm(parts[0]); !ok && !decodeObject(parts[0], &h) {
		return Peeked{}, false
	}
	p.KeyID = h.KeyID
	if claims, err := Decode(p.payload); err == nil {
		p.claims, p.Issuer = claims, claims.Issuer
		return p, true
	}
	var c struct {
		Issuer string `json:"iss"`
	}
	if !decodeObject(p.payload, &c) {
		return Peeked{}, false
	}
	p.Issuer = c.Issuer
	return p, true
}

// split decodes header, payload and signature. It is stricter than the decoder of
// go-jose, which overlooks line ends and stray bits: one token shall have one
// spelling, or a list of spent or revoked ones would be of little use.
func split(compact string) (decoded [3][]byte, ok bool) {
	parts := strings.Split(compact, ".")
	if len(parts) != 3 || strings.ContainsAny(compact, "\r\n") {
		return decoded, false
	}
	for i, part := range parts {
		raw, err := base64.RawURLEncoding.Strict().DecodeString(part)
		if err != nil {
			return decoded, false
		}
		decoded[i] = raw
	}
	return decoded, true
}

// decodeObject reads a JSON object, and nothing else, into a struct. Keys match
// by exact case, and none may appear twice.
func decodeObject(data []byte, into any) bool {
	return bytes.HasPrefix(bytes.TrimLeft(data, " \t\r\n"), []byte("{")) &&
		strictjson.Unmarshal(data, into) == nil
}

// Unverified is a token that was taken apart; nobody has checked its signature.
type Unverified struct {
	Peeked
	jws *jose.JSONWebSignature // nil for a plain one
}

// Parse takes a compact token apart. The error is ErrMalformed, or
// ErrSignature if it is signed with an algorithm that is not allowed: RS256,
// ES256, ES384 and ES512 are.
func Parse(compact string) (*Unverified, error) {
	peeked, ok := Peek(compact)
	if !ok {
		return nil, ErrMalformed
	}
	return peeked.Parse()
}

// Parse takes the token apart, like the function of that name.
func (p Peeked) Parse() (*Unverified, error) {
	if p.plain != "" {
		if !slices.Contains(algorithms(), p.plain) {
			return nil, ErrSignature
		}
		return &Unverified{Peeked: p}, nil
	}
	jws, err := jose.ParseSignedCompact(p.compact, algorithms())
	if unexpected := (*jose.ErrUnexpectedSignatureAlgorithm)(nil); errors.As(err, &unexpected) {
		return nil, ErrSignature
	}
	if err != nil {
		return nil, ErrMalformed
	}
	return &Unverified{Peeked: p, jws: jws}, nil
}

// Verify returns the claims of a bound token if one of the keys signed it. The
// error is one of Payload's, or that of Decode.
func (u *Unverified) Verify(keys []crypto.PublicKey) (*Claims, error) {
	if _, err := u.Payload(keys); err != nil {
		return nil, err
	}
	return u.Claims()
}

// Claims are those of a bound token. They are worth as much as the signature:
// Payload has to have found it good. The error is that of Decode.
func (u *Unverified) Claims() (*Claims, error) {
	if u.claims != nil {
		return u.claims, nil
	}
	return Decode(u.payload)
}

// Payload returns what the token says if one of the keys signed it. The keys
// are those that bear its KeyID, or all there are if it has none; an *es256.Key
// stands for the key that it verifies for. The error is
// ErrNoKeys without any, ErrSignature if none fits.
func (u *Unverified) Payload(keys []crypto.PublicKey) ([]byte, error) {
	if len(keys) == 0 {
		return nil, ErrNoKeys
	}
	for _, key := range keys {
		if payload, ok := u.verify(key); ok {
			return payload, nil
		}
	}
	return nil, ErrSignature
}

func (u *Unverified) verify(key crypto.PublicKey) (payload []byte, ok bool) {
	if u.jws == nil {
		return u.payload, signs(u.plain, key, u.compact[:strings.LastIndexByte(u.compact, '.')], u.signature)
	}
	if key, ok := key.(*es256.Key); ok {
		payload, err := u.jws.Verify(key.Public())
		return payload, err == nil
	}
	payload, err := u.jws.Verify(key)
	return payload, err == nil
}

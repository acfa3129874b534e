// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package token

import (
	"crypto"
	"slices"

	"github.com/go-jose/go-jose/v4"
)

// SignsCompact checks what Parse and Payload check of a signature, and not what
// they ask of the payload: published examples sign what is no JSON object.
func SignsCompact(compact string, algorithm jose.SignatureAlgorithm, key crypto.PublicKey) bool {
	parts, ok := split(compact)
	if !ok || !slices.Contains(algorithms(), algorithm) {
		return false
	}
	u := &Unverified{Peeked: Peeked{compact: compact, payload: parts[1], signature: parts[2], plain: algorithm}}
	_, ok = u.verify(key)
	return ok
}

// DecodeByParser is Decode without the short way for plain claims.
func DecodeByParser(payload []byte) (*Claims, error) { return parseClaims(payload) }

// IsPlain tells whether claims go the short way.
func IsPlain(payload []byte) bool {
	_, ok := plainClaims(payload)
	return ok
}

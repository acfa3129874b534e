// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package token

// Read returns what a token says of itself. Nothing of it is verified: it serves
// to name a token to those who verify, not to believe it. It is not ok for what
// is no token of a service account in compact form.
func Read(compact string) (*Claims, bool) {
	parts, ok := split(compact)
	if !ok {
		return nil, false
	}
	claims, err := Decode(parts[1])
	if err != nil || claims.Issuer == "" {
		return nil, false
	}
	return claims, true
}

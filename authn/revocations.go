// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package authn

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"strconv"

	"github.com/muster-identity/muster/keyring"
	"github.com/muster-identity/muster/live"
	"github.com/muster-identity/muster/token"
)

// errRevoked is what the holder of the right to review tokens is told, with the
// reason of the revocation behind it.
var errRevoked = errors.New("service account token has been revoked")

func revocable(c check) bool { return c.Revocations.Some() }

// checkRevocation is taken at each use of a token, also of one whose signature
// is remembered: a revocation is in force as soon as it is known here. It looks
// for a revocation of the token itself, of its account's older tokens, of its key
// and of its node: one lookup each, and another where a revocation may name a
// UID. Kubernetes has no such thing.
func checkRevocation(ctx context.Context, c check) error {
	k := &c.claims.Kubernetes
	marks := [6]live.Mark{
		live.TokenMark(c.claims.Issuer, c.claims.ID),
		live.AccountMark(k.Namespace, k.ServiceAccount.Name, ""),
		live.AccountMark(k.Namespace, k.ServiceAccount.Name, k.ServiceAccount.UID),
		live.KeyMark(c.claims.SignedBy),
	}
	n := 4
	if k.Node != nil {
		marks[4], marks[5] = live.NodeMark(k.Node.Name, ""), live.NodeMark(k.Node.Name, k.Node.UID)
		n = 6
	}
	revocation, ok, err := c.Revocations.Find(ctx, c.claims.IssuedAt, marks[:n]...)
	if err != nil || !ok {
		return err
	}
	return &found{revoked(revocation.Reason), "tokenrevocation " + strconv.Quote(revocation.Name)}
}

func revoked(reason string) error {
	if reason == "" {
		return errRevoked
	}
	return fmt.Errorf("%w: %s", errRevoked, reason)
}

func showRevocation(check) (wanted, got string) { return "no revocation", "none" }

// signedBy is the id of the key that has signed a token which is verified. Most
// tokens name it. One that does not was signed by the key that fits, whatever it
// would like to be taken for.
func signedBy(ring *keyring.Ring, verified *token.Unverified) string {
	if key, ok := ring.Key(verified.KeyID); ok {
		return key.ID
	}
	for _, key := range ring.Keys() {
		if _, err := verified.Payload([]crypto.PublicKey{key.Public}); err == nil {
			return key.ID
		}
	}
	return ""
}

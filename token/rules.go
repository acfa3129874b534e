// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package token

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"k8s.io/apiserver/pkg/authentication/authenticator"
)

// Leeway is how far the clocks of issuer and verifier may be apart.
// Kubernetes: the default leeway of go-jose.
const Leeway = 60 * time.Second

var (
	// ErrExpired is the error for a token whose life has ended.
	ErrExpired = errors.New("service account token has expired")
	// ErrNotValidYet is the error for a token whose life has not begun.
	ErrNotValidYet = errors.New("service account token is not valid yet")
	// ErrIssuedInTheFuture is the error for a token that was made later than now.
	ErrIssuedInTheFuture = errors.New("service account token is issued in the future")
)

// ValidateTime tells whether the token is alive, give or take the leeway.
// Kubernetes: pkg/serviceaccount/claims.go (Validate).
func (c *Claims) ValidateTime(now time.Time, leeway time.Duration) error {
	if err := c.ValidateNotBefore(now, leeway); err != nil {
		return err
	}
	if err := c.ValidateExpiry(now, leeway); err != nil {
		return err
	}
	return c.ValidateIssuedAt(now, leeway)
}

// ValidateNotBefore tells whether the token's life has begun: nil, or
// ErrNotValidYet.
func (c *Claims) ValidateNotBefore(now time.Time, leeway time.Duration) error {
	if now.Add(leeway).Before(time.Unix(c.NotBefore, 0)) {
		return ErrNotValidYet
	}
	return nil
}

// ValidateExpiry tells whether the token's life has not ended: nil, or
// ErrExpired.
func (c *Claims) ValidateExpiry(now time.Time, leeway time.Duration) error {
	if now.After(c.ValidUntil(leeway)) {
		return ErrExpired
	}
	return nil
}

// ValidateIssuedAt tells whether the token has been made already: nil, or
// ErrIssuedInTheFuture.
func (c *Claims) ValidateIssuedAt(now time.Time, leeway time.Duration) error {
	if now.Add(leeway).Before(time.Unix(c.IssuedAt, 0)) {
		return ErrIssuedInTheFuture
	}
	return nil
}

// ValidUntil is the last moment at which ValidateTime finds the token alive. A
// token that is alive now stays so until then: a verdict on its time need not
// be repeated before.
func (c *Claims) ValidUntil(leeway time.Duration) time.Time {
	return time.Unix(c.Expiry, 0).Add(leeway)
}

// Stale tells for how many seconds the holder should have been using a newer
// token. It is not ok while the holder is in time, or if the token has no such
// threshold; WarnAfter tells these two apart.
func (c *Claims) Stale(now time.Time) (seconds int64, ok bool) {
	warn := c.Kubernetes.WarnAfter
	if warn == 0 || !now.After(time.Unix(warn, 0)) {
		return 0, false
	}
	return now.Unix() - warn, true
}

// MatchAudiences returns the wanted audiences that the token is meant for, in
// the order in which they are wanted, or an error if there are none. A token
// without audiences is meant for the API server. A caller that wants none in
// particular wants those of the API server, and passes them.
// Kubernetes: pkg/serviceaccount/jwt.go (AuthenticateToken).
func MatchAudiences(token, wanted, api []string) ([]string, error) {
	if len(token) == 0 {
		token = api
	}
	if len(wanted) == 1 && slices.Contains(token, wanted[0]) {
		return wanted[:1:1], nil // the usual case, without a copy
	}
	matched := authenticator.Audiences(token).Intersect(wanted)
	if len(matched) == 0 {
		return nil, fmt.Errorf("token audiences %q is invalid for the target audiences %q", token, wanted)
	}
	return matched, nil
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

// Package authn decides who is calling. It owns the check of service account
// tokens, with the one function through which bearer tokens and TokenReviews
// both go, and puts it in a chain with client certificates and anonymity.
//
// What a token says is the business of token, which keys may sign is that of
// keyring, and what exists now is that of live. The server room gives all three.
package authn

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"k8s.io/apiserver/pkg/audit"
	"k8s.io/apiserver/pkg/authentication/authenticator"

	"github.com/muster-identity/muster/keyring"
	"github.com/muster-identity/muster/live"
	"github.com/muster-identity/muster/token"
)

// Objects tells what exists. An error that is apierrors.NotFound means that the
// object does not; any other error fails the check.
type Objects interface {
	ServiceAccount(ctx context.Context, namespace, name string) (live.ServiceAccount, error)
	Pod(ctx context.Context, namespace, name string) (live.Pod, error)
	Secret(ctx context.Context, namespace, name string) (live.Secret, error)
	Node(ctx context.Context, name string) (live.Node, error)
}

// ServiceAccounts authenticates service account tokens. Its fields are set
// before the first call and not changed after.
type ServiceAccounts struct {
	// Issuers are the accepted values of the claim iss.
	Issuers []string
	Keys    *keyring.Keyring
	// Objects answers from memory, Fresh from the store. Fresh is asked only
	// when a token names another UID than Objects knows.
	Objects, Fresh Objects
	// APIAudiences are the wanted audiences of a request that names none.
	APIAudiences authenticator.Audiences
	// DeletionGrace is for how long after its deletionTimestamp an object that
	// still exists counts as alive. It is zero where a deletion shall count at
	// once; Kubernetes grants the leeway of a clock, 60 s.
	DeletionGrace time.Duration
	// Consistency brings Objects up to date before each check; nil where what
	// Objects knows by itself will do.
	Consistency Syncer
	Now         func() time.Time

	verified *signatures
}

// NewServiceAccounts returns s, ready to use.
func NewServiceAccounts(s ServiceAccounts) *ServiceAccounts {
	s.verified = newSignatures()
	return &s
}

// AuthenticateToken tells who holds a token. It is not ok without an error if
// the token is none of ours: another authenticator may know it. The steps and
// their texts are those of Kubernetes: pkg/serviceaccount/jwt.go.
func (s *ServiceAccounts) AuthenticateToken(ctx context.Context, compact string) (*authenticator.Response, bool, error) {
	claims, ours, err := s.verify(compact)
	if !ours || err != nil {
		return nil, false, err
	}
	if err := s.sync(ctx); err != nil {
		return nil, false, err
	}
	audiences, err := s.matchAudiences(ctx, claims)
	if err != nil {
		return nil, false, err
	}
	now := s.Now()
	if err := claims.ValidateTime(now, token.Leeway); err != nil {
		return nil, false, err
	}
	if err := s.validateObjects(ctx, claims, now); err != nil {
		return nil, false, err
	}
	if seconds, stale := claims.Stale(now); stale {
		audit.AddAuditAnnotation(ctx, "authentication.k8s.io/stale-token", fmt.Sprintf("subject: %s, seconds after warning threshold: %d", claims.Subject, seconds))
	}
	return &authenticator.Response{User: claims.User(), Audiences: audiences}, true, nil
}

// matchAudiences returns the audiences of the token among those that the
// request wants. A token without any is of an old kind: audit learns of it.
func (s *ServiceAccounts) matchAudiences(ctx context.Context, claims *token.Claims) (authenticator.Audiences, error) {
	if len(claims.Audience) == 0 {
		audit.AddAuditAnnotation(ctx, "authentication.k8s.io/legacy-token", claims.Subject)
	}
	wanted, ok := authenticator.AudiencesFrom(ctx)
	if !ok {
		wanted = s.APIAudiences
	}
	return token.MatchAudiences(claims.Audience, wanted, s.APIAudiences)
}

// verify checks issuer and signature. Nobody may change the claims: they are
// kept for the token's next use.
func (s *ServiceAccounts) verify(compact string) (claims *token.Claims, ours bool, err error) {
	ring := s.Keys.Current()
	digest := digestOf(compact)
	if claims, ok := s.verified.get(digest, ring); ok {
		return claims, true, nil
	}
	issuer, _, ok := token.Peek(compact)
	if !ok || !slices.Contains(s.Issuers, issuer) {
		return nil, false, nil
	}
	unverified, err := token.Parse(compact)
	if errors.Is(err, token.ErrMalformed) {
		return nil, false, nil
	}
	if err != nil {
		return nil, true, err
	}
	claims, err = unverified.Verify(ring.Candidates(unverified.KeyID))
	if err != nil {
		return nil, true, err
	}
	// The issuer was read before the signature was checked. It cannot be another
	// now, unless two decoders ever come to read one token differently.
	if !slices.Contains(s.Issuers, claims.Issuer) {
		return nil, true, fmt.Errorf("token issuer %q is invalid", claims.Issuer)
	}
	if len(compact) <= maxKeptToken {
		s.verified.add(digest, ring, claims)
	}
	return claims, true, nil
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

// Package authn decides who is calling. It owns the check of service account
// tokens, with the one function through which bearer tokens and TokenReviews
// both go, and puts it in a chain (chain.go) with the other ways in: headers of a
// front proxy, client certificates, bootstrap tokens, tokens of other issuers, a
// webhook, and anonymity.
//
// A check is a table of steps (steps.go, legacy.go). The verdict is that of the
// first step that fails; an explanation runs the same steps to the end and tells
// what each found.
//
// What a token says is the business of token, which keys may sign is that of
// keyring, and what exists now is that of live. The server room gives all three.
package authn

import (
	"context"
	"errors"
	"slices"
	"time"

	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"

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
	WebhookConfiguration(ctx context.Context, of live.WebhookKind, name string) (live.WebhookConfiguration, error)
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
	// Revocations are the tokens that are void before their time; nil means none.
	Revocations *live.Revocations
	// APIAudiences are the wanted audiences of a request that names none.
	APIAudiences authenticator.Audiences
	// DeletionGrace is for how long after its deletionTimestamp an object that
	// still exists counts as alive. It is zero where a deletion shall count at
	// once; Kubernetes grants the leeway of a clock, 60 s.
	DeletionGrace time.Duration
	// Webhooks accepts tokens that are bound to webhook configurations (the
	// feature gate APIServerWebhookAuthenticationToken).
	Webhooks bool
	// SkipLegacyLookup accepts the token of a Secret for its signature alone,
	// though the Secret be gone (--service-account-lookup=false).
	SkipLegacyLookup bool
	// LegacyUse is told of the use of a token of a Secret that has not been
	// marked as used today. It must not wait. nil for nobody.
	LegacyUse func(LegacyUse)
	// Metrics count; nil counts nothing.
	Metrics *Metrics
	// Consistency brings Objects up to date before each check; nil where what
	// Objects knows by itself will do.
	Consistency Syncer
	Now         func() time.Time

	verified *signatures
}

// NewServiceAccounts returns s, ready to use.
func NewServiceAccounts(s ServiceAccounts) *ServiceAccounts {
	s.verified = newSignatures(maxBytes)
	if s.Metrics == nil {
		s.Metrics = NewMetrics()
	}
	return &s
}

// AuthenticateToken tells who holds a token. It is not ok without an error if
// the token is none of ours: another authenticator may know it. The steps and
// their texts are those of Kubernetes: pkg/serviceaccount/jwt.go. An error that
// is a *Refusal is about a token that we did sign.
func (s *ServiceAccounts) AuthenticateToken(ctx context.Context, compact string) (*authenticator.Response, bool, error) {
	known, ours, err := s.verify(ctx, compact)
	if !ours || err != nil {
		return nil, false, err
	}
	wanted, ok := authenticator.AudiencesFrom(ctx)
	if !ok {
		wanted = s.APIAudiences
	}
	c, refused, err := s.judge(ctx, known, wanted)
	if errors.Is(err, errOtherKeys) {
		return s.AuthenticateToken(ctx, compact)
	}
	if err != nil {
		return nil, false, err
	}
	c.note(ctx, refused)
	if refused != nil {
		return nil, false, refused
	}
	return &authenticator.Response{User: newHolder(known), Audiences: slices.Clone(c.matched)}, true, nil
}

// Holder is who holds a good token.
type Holder struct {
	// User says the same as that of AuthenticateToken, but shares memory with
	// the next answer: nobody may change what it returns.
	User user.Info
	// Claims are what the token says. Nobody may change them.
	Claims *token.Claims
	// CredentialID is how audit logs name the token, or empty.
	CredentialID string
	// Audiences are the wanted ones that the token is meant for. They may be
	// the very list that was wanted.
	Audiences authenticator.Audiences
	// Used tells audit and metrics that the token was used, as AuthenticateToken
	// does by itself; nil if there is nothing to tell.
	Used func(ctx context.Context)
}

// CheckSeen is AuthenticateToken for a token whose signature has been verified
// before: it costs lookups and, for a good token that is wanted for one
// audience, no allocation. It is not seen if the signature is not known, nor if
// the token is kept in a Secret: its holder may be due a warning, for which the
// caller's context must have room. AuthenticateToken has to be asked then.
// wanted must not be empty. Nothing is noted of a token before its holder is said
// to have Used it, nor of one that is refused.
func (s *ServiceAccounts) CheckSeen(ctx context.Context, compact string, wanted authenticator.Audiences) (holder Holder, seen bool, err error) {
	known, ok := s.verified.get(digestOf(compact), s.Keys.Current())
	if !ok || known.legacy {
		return Holder{}, false, nil
	}
	c, refused, err := s.judge(ctx, known, wanted)
	if errors.Is(err, errOtherKeys) {
		return Holder{}, false, nil
	}
	if err != nil {
		return Holder{}, true, err
	}
	if refused != nil {
		return Holder{}, true, refused
	}
	return Holder{User: known, Claims: &known.claims, CredentialID: known.credential, Audiences: c.matched, Used: c.used()}, true, nil
}

// judge runs the steps that follow the verification of the signature, and tells
// whether one refuses the token. The error means that it cannot be judged now.
func (s *ServiceAccounts) judge(ctx context.Context, known *seen, wanted authenticator.Audiences) (check, *Refusal, error) {
	if err := s.sync(ctx, known); err != nil {
		return check{}, nil, err
	}
	c := s.check(known, wanted)
	return c, c.verdict(ctx), nil
}

// check begins the check of a token whose signature has been verified.
func (s *ServiceAccounts) check(known *seen, wanted authenticator.Audiences) check {
	matched, _ := token.MatchAudiences(known.claims.Audience, wanted, s.APIAudiences) // the step "audience" has the error
	return check{ServiceAccounts: s, seen: known, claims: &known.claims, now: s.Now(), wanted: wanted, matched: matched}
}

// verify checks the signature.
func (s *ServiceAccounts) verify(ctx context.Context, compact string) (known *seen, ours bool, err error) {
	ring := s.Keys.Current()
	digest := digestOf(compact)
	if known, ok := s.verified.get(digest, ring); ok {
		return known, true, nil
	}
	peeked, ok := token.Peek(compact)
	if !ok || peeked.Issuer != token.LegacyIssuer && !slices.Contains(s.Issuers, peeked.Issuer) {
		return nil, false, nil
	}
	unverified, err := peeked.Parse()
	if errors.Is(err, token.ErrMalformed) {
		return nil, false, nil
	}
	if err != nil {
		return nil, true, err
	}
	// A key that is not known may be new.
	ring = s.Keys.Knowing(ctx, unverified.KeyID)
	payload, err := unverified.Payload(ring.Verifiers(unverified.KeyID))
	if err != nil {
		return nil, true, err
	}
	claims, legacy, err := s.decode(unverified, payload)
	if err != nil {
		return nil, true, err
	}
	claims.SignedBy = signedBy(ring, unverified)
	known = newSeen(digest, ring, claims, legacy)
	if len(compact) <= maxKeptToken {
		s.verified.add(known)
	}
	return known, true, nil
}

// decode reads the payload of a verified token. The issuer of tokens of Secrets
// may be that of bound ones too, where an operator chose so; the claims of
// either kind mean nothing to the other.
func (s *ServiceAccounts) decode(verified *token.Unverified, payload []byte) (claims *token.Claims, legacy bool, err error) {
	if verified.Issuer != token.LegacyIssuer {
		claims, err = verified.Claims()
		return claims, false, err
	}
	claims, err = token.DecodeLegacy(payload)
	if err != nil || claims.Kubernetes.Namespace != "" || !slices.Contains(s.Issuers, verified.Issuer) {
		return claims, true, err
	}
	claims, err = verified.Claims()
	return claims, false, err
}

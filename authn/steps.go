// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package authn

import (
	"context"
	"fmt"
	"slices"
	"time"

	"k8s.io/apiserver/pkg/authentication/authenticator"

	"github.com/muster-identity/muster/live"
	"github.com/muster-identity/muster/token"
)

// check is one token under examination: what its steps need to know. It is
// small, goes by value, and no step changes it.
type check struct {
	*ServiceAccounts
	seen *seen
	// claims are those of a verified signature.
	claims *token.Claims
	now    time.Time
	// wanted are the audiences of which the token needs one; matched are those
	// of them that it has.
	wanted, matched authenticator.Audiences
}

// step is one row of the table.
type step struct {
	// name says what is checked.
	name string
	// place is the step's place in an explanation: the order of the page
	// "Service Accounts" (signature, expiry, object references, not-before,
	// audience). Steps of one place stay in the order of the table.
	place int
	// applies tells whether the token has what the step checks; nil: always.
	applies func(c check) bool
	// run returns an error in Kubernetes' words, or nil. A *found tells what
	// was found instead.
	run func(ctx context.Context, c check) error
	// show tells what is wanted, and what a token that passes has. It is asked
	// for explanations only.
	show func(c check) (wanted, got string)
}

// The places of an explanation.
const (
	placeSignature = iota
	placeExpiry
	placeObjects
	placeNotBefore
	placeAudience
)

// steps are the steps that follow the verification of the signature, in the
// order in which Kubernetes takes them. The first that fails is the verdict.
var steps = []step{
	{"issuer", placeSignature, nil, checkIssuer, showIssuer},
	{"audience", placeAudience, nil, checkAudience, showAudience},
	{"not before", placeNotBefore, nil, checkNotBefore, showNotBefore},
	{"expiry", placeExpiry, nil, checkExpiry, showExpiry},
	{"issued at", placeNotBefore, nil, checkIssuedAt, showIssuedAt},
	{"service account", placeObjects, nil, checkAccount, showAccount},
	objectStep("secret", boundSecret, secretMeta),
	objectStep("pod", boundPod, podMeta),
	objectStep("node", boundNode, nodeMeta),
	{"webhook", placeObjects, boundToWebhook, checkWebhook, showWebhook},
	webhookStep("validating webhook", live.Validating, "validating", boundValidating),
	webhookStep("mutating webhook", live.Mutating, "validating", boundMutating),
	{"revocation", placeObjects, revocable, checkRevocation, showRevocation},
}

// steps are those that this kind of token goes through.
func (c check) steps() []step {
	if c.seen.legacy {
		return legacySteps
	}
	return steps
}

// verdict is the refusal of the first step that fails, or nil.
func (c check) verdict(ctx context.Context) *Refusal {
	table := c.steps()
	for i := range table {
		s := &table[i]
		if s.applies != nil && !s.applies(c) {
			continue
		}
		if err := s.run(ctx, c); err != nil {
			return &Refusal{err: err, step: s, check: c}
		}
	}
	return nil
}

// explain runs all steps and tells what they found, in the order of the page.
func (c check) explain(ctx context.Context) []Step {
	results := make([]Step, 0, len(steps))
	for place := placeSignature; place <= placeAudience; place++ {
		for _, s := range c.steps() {
			if s.place != place || s.applies != nil && !s.applies(c) {
				continue
			}
			wanted, got := s.show(c)
			results = append(results, stepOf(s.name, wanted, got, s.run(ctx, c)))
		}
	}
	return results
}

// checkIssuer looks again at what was read before the signature was checked. It
// cannot be another now, unless two decoders ever come to read one token
// differently.
func checkIssuer(_ context.Context, c check) error {
	if !slices.Contains(c.Issuers, c.claims.Issuer) {
		return fmt.Errorf("token issuer %q is invalid", c.claims.Issuer)
	}
	return nil
}

func showIssuer(c check) (wanted, got string) {
	return "one of " + quoted(c.Issuers), quote(c.claims.Issuer)
}

func checkAudience(_ context.Context, c check) error {
	if len(c.matched) > 0 {
		return nil
	}
	_, err := token.MatchAudiences(c.claims.Audience, c.wanted, c.APIAudiences)
	return err
}

func showAudience(c check) (wanted, got string) {
	got = quoted(c.claims.Audience)
	if len(c.claims.Audience) == 0 {
		got = "none, which means " + quoted(c.APIAudiences)
	}
	return "one of " + quoted(c.wanted), got
}

func checkNotBefore(_ context.Context, c check) error {
	return c.claims.ValidateNotBefore(c.now, token.Leeway)
}

func showNotBefore(c check) (wanted, got string) {
	return "a time from " + second(c.claims.NotBefore) + leeway(), moment(c.now)
}

func checkExpiry(_ context.Context, c check) error {
	return c.claims.ValidateExpiry(c.now, token.Leeway)
}

func showExpiry(c check) (wanted, got string) {
	return "a time until " + second(c.claims.Expiry) + leeway(), moment(c.now)
}

func checkIssuedAt(_ context.Context, c check) error {
	return c.claims.ValidateIssuedAt(c.now, token.Leeway)
}

func showIssuedAt(c check) (wanted, got string) {
	return "a time from " + second(c.claims.IssuedAt) + leeway(), moment(c.now)
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/apimachinery/pkg/util/validation/field"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"

	identityv1 "github.com/muster-identity/muster/identity/v1"
)

// tokenRevocations are Muster's own. They are obeyed by authn, which learns of
// them through live, and removed in time by a controller.
func tokenRevocations() Resource {
	return &Definition[*identityv1.TokenRevocation]{
		GroupVersion: identityv1.SchemeGroupVersion,
		Kind:         "TokenRevocation", Plural: "tokenrevocations", Singular: "tokenrevocation",
		ShortNames:    []string{"trev"},
		ClusterScoped: true,
		New:           func() *identityv1.TokenRevocation { return &identityv1.TokenRevocation{} },
		NewList:       func() runtime.Object { return &identityv1.TokenRevocationList{} },
		PrepareUpdate: keepReckonedTimes,
		Validate:      validateTokenRevocation,
		ValidateUpdate: func(revocation, old *identityv1.TokenRevocation) field.ErrorList {
			return validation.ValidateImmutableField(revocation.Spec, old.Spec, field.NewPath("spec"))
		},
		Columns: []metav1.TableColumnDefinition{
			nameColumn(),
			column("Revokes", "string", "The tokens that are void."),
			column("Reason", "string", "Why they are."),
			column("Expires", "string", "How long it takes until the last of the tokens has expired; this object is deleted soon after."),
			ageColumn(),
		},
		Row:    tokenRevocationRow,
		Extend: timeRevocations,
	}
}

func tokenRevocationRow(revocation *identityv1.TokenRevocation) []any {
	spec := &revocation.Spec
	return []any{revocation.Name, revokedTokens(spec), spec.Reason, revocationEnd(spec.ExpirationTimestamp, time.Now()), age(revocation)}
}

// revokedTokens says in a few words what a revocation covers.
func revokedTokens(spec *identityv1.TokenRevocationSpec) string {
	withUID := func(text, uid string) string {
		if uid == "" {
			return text
		}
		return text + " (" + uid + ")"
	}
	switch {
	case spec.Token != nil:
		return "token " + spec.Token.JTI + " of " + spec.Token.Issuer
	case spec.ServiceAccount != nil:
		account := spec.ServiceAccount
		text := withUID("serviceaccount "+account.Namespace+"/"+account.Name, string(account.UID))
		if account.IssuedBefore != nil {
			text += " before " + account.IssuedBefore.UTC().Format(time.RFC3339)
		}
		return text
	case spec.Key != nil:
		return "key " + spec.Key.ID
	case spec.Node != nil:
		return withUID("node "+spec.Node.Name, string(spec.Node.UID))
	}
	return ""
}

// revocationEnd is the cell that tells when a revocation ends by itself.
func revocationEnd(at *metav1.Time, now time.Time) string {
	switch {
	case at == nil:
		return "<never>"
	case !now.Before(at.Time):
		return "0s"
	}
	return duration.HumanDuration(at.Sub(now))
}

// keepReckonedTimes lets a client that sends its own manifest again leave out
// what the server has filled in.
func keepReckonedTimes(_ context.Context, revocation, old *identityv1.TokenRevocation) {
	spec := &revocation.Spec
	if spec.ExpirationTimestamp == nil {
		spec.ExpirationTimestamp = old.Spec.ExpirationTimestamp
	}
	if account, before := spec.ServiceAccount, old.Spec.ServiceAccount; account != nil && before != nil && account.IssuedBefore == nil {
		account.IssuedBefore = before.IssuedBefore
	}
}

// TokenLives are the longest lives of tokens.
type TokenLives struct {
	// Signed is that of a token which verifies, whoever has signed it and
	// whatever was allowed then. It reads what all replicas have signed before
	// the call, and is not less than it may be where that is not known.
	Signed func(ctx context.Context) time.Duration
	// Issued is that of a token which is issued now.
	Issued time.Duration
}

// timeRevocations gives the creation of revocations the clock and the longest
// lives of tokens, from which follows what a client leaves out.
func timeRevocations(env Environment, store *genericregistry.Store, _ map[string]rest.Storage) error {
	now := env.Services.Now
	if now == nil {
		now = time.Now
	}
	if lives := env.Services.TokenLives; lives.Issued <= 0 || lives.Signed == nil {
		return errors.New("the longest life of a token is not known")
	}
	store.CreateStrategy = timedRevocations{store.CreateStrategy, now, env.Services.TokenLives}
	return nil
}

type timedRevocations struct {
	rest.RESTCreateStrategy
	now   func() time.Time
	lives TokenLives
}

// PrepareForCreate fills in the times.
func (t timedRevocations) PrepareForCreate(ctx context.Context, obj runtime.Object) {
	t.RESTCreateStrategy.PrepareForCreate(ctx, obj)
	spec := &obj.(*identityv1.TokenRevocation).Spec
	reckonTimes(spec, t.now(), t.longest(ctx, spec))
}

// longest is the life of the longest-lived token that is revoked, if nobody has
// told its end. One that is named exists; of an account's, some may be issued
// yet, in this very second or up to a time to come.
func (t timedRevocations) longest(ctx context.Context, spec *identityv1.TokenRevocationSpec) time.Duration {
	switch {
	case spec.ExpirationTimestamp != nil, spec.Token == nil && spec.ServiceAccount == nil:
		return 0 // nobody asks
	case spec.ServiceAccount != nil:
		return max(t.lives.Signed(ctx), t.lives.Issued)
	}
	return t.lives.Signed(ctx)
}

// Validate checks what holds for a new revocation only, besides the rest.
func (t timedRevocations) Validate(ctx context.Context, obj runtime.Object) field.ErrorList {
	errs := t.RESTCreateStrategy.Validate(ctx, obj)
	at := obj.(*identityv1.TokenRevocation).Spec.ExpirationTimestamp
	if at != nil && !at.After(t.now()) {
		errs = append(errs, field.Invalid(field.NewPath("spec", "expirationTimestamp"), at.UTC().Format(time.RFC3339),
			fmt.Sprintf("must be in the future, it is %s: tokens that have expired need no revocation", t.now().UTC().Format(time.RFC3339))))
	}
	return errs
}

// lastTime is the last that RFC 3339 can tell.
var lastTime = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)

// reckonTimes fills in what follows from the time of the creation. What a token
// was issued at is told to the second, so the start of the next one is the first
// that spares nothing. The last token of a set expires the longest life after the
// last was issued; where tokens can still be made, there is no last one.
func reckonTimes(spec *identityv1.TokenRevocationSpec, now time.Time, longest time.Duration) {
	lastIssue := fullSecond(now)
	if account := spec.ServiceAccount; account != nil {
		if account.IssuedBefore == nil {
			account.IssuedBefore = &metav1.Time{Time: lastIssue}
		}
		account.IssuedBefore.Time = fullSecond(account.IssuedBefore.Time)
		lastIssue = account.IssuedBefore.Time
	}
	if spec.ExpirationTimestamp == nil && (spec.Token != nil || spec.ServiceAccount != nil) {
		at := lastIssue.Add(longest)
		if at.After(lastTime) {
			at = lastTime
		}
		spec.ExpirationTimestamp = &metav1.Time{Time: at}
	}
	if at := spec.ExpirationTimestamp; at != nil {
		at.Time = fullSecond(at.Time)
	}
}

// fullSecond is the first full second that is not before t.
func fullSecond(t time.Time) time.Time {
	if full := t.Truncate(time.Second); !full.Before(t) {
		return full
	}
	return t.Truncate(time.Second).Add(time.Second)
}

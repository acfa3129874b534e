// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package authn

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"

	"k8s.io/apiserver/pkg/authentication/serviceaccount"

	"github.com/muster-identity/muster/live"
	"github.com/muster-identity/muster/token"
)

// InvalidSinceLabel marks a Secret whose token is not accepted any more.
const InvalidSinceLabel = "kubernetes.io/legacy-token-invalid-since"

var (
	// Clients match what Kubernetes says.
	errLegacyInvalidated = errors.New("Token has been invalidated")
	// Clients match what Kubernetes says.
	errLegacyMismatch = errors.New("Token does not match server's copy")
)

// legacySteps are the steps of a token that is kept in a Secret, in Kubernetes'
// order. Such a token has no end: what ends it is its Secret.
// Kubernetes: pkg/serviceaccount/legacy.go.
var legacySteps = []step{
	{"issuer", placeSignature, nil, checkLegacyIssuer, showLegacyIssuer},
	{"audience", placeAudience, nil, checkAudience, showAudience},
	{"claims", placeSignature, nil, checkLegacyClaims, showLegacyClaims},
	{"secret", placeObjects, legacyLookup, checkLegacySecret, showLegacySecret},
	{"token of the secret", placeObjects, legacyLookup, checkLegacyCopy, showLegacyCopy},
	{"service account", placeObjects, legacyLookup, checkLegacyAccount, showAccount},
	{"validity of the secret", placeObjects, legacyLookup, checkLegacyValidity, showLegacyValidity},
	{"revocation", placeObjects, revocable, checkRevocation, showRevocation},
}

func legacyLookup(c check) bool { return !c.SkipLegacyLookup }

func checkLegacyIssuer(_ context.Context, c check) error {
	if c.claims.Issuer != token.LegacyIssuer {
		return fmt.Errorf("token issuer %q is invalid", c.claims.Issuer)
	}
	return nil
}

func showLegacyIssuer(c check) (wanted, got string) {
	return quote(token.LegacyIssuer), quote(c.claims.Issuer)
}

func checkLegacyClaims(_ context.Context, c check) error {
	k := &c.claims.Kubernetes
	for _, claim := range []struct{ name, value string }{
		{"sub", c.claims.Subject},
		{"namespace", k.Namespace},
		{"secretName", c.secretName()},
		{"serviceAccountName", k.ServiceAccount.Name},
		{"serviceAccountUID", k.ServiceAccount.UID},
	} {
		if claim.value == "" {
			return &found{errors.New(claim.name + " claim is missing"), "no " + claim.name}
		}
	}
	namespace, name, err := serviceaccount.SplitUsername(c.claims.Subject)
	if err != nil || namespace != k.Namespace || name != k.ServiceAccount.Name {
		return &found{errors.New("sub claim is invalid"), "the subject " + quote(c.claims.Subject)}
	}
	return nil
}

func showLegacyClaims(check) (wanted, got string) {
	return "namespace, secret and account, and a subject that agrees", "all of them"
}

// secretName is the Secret in which the token is kept.
func (c check) secretName() string {
	if ref := c.claims.Kubernetes.Secret; ref != nil {
		return ref.Name
	}
	return ""
}

func (c check) secret(ctx context.Context) (live.Secret, error) {
	return c.Objects.Secret(ctx, c.claims.Kubernetes.Namespace, c.secretName())
}

// checkLegacySecret grants no leeway: Kubernetes does not.
func checkLegacySecret(ctx context.Context, c check) error {
	secret, err := c.secret(ctx)
	if err != nil {
		return &found{errLegacyInvalidated, err.Error()}
	}
	if !secret.DeletedAt.IsZero() {
		return &found{errLegacyInvalidated, "one that is being deleted, at " + moment(secret.DeletedAt)}
	}
	return nil
}

func showLegacySecret(c check) (wanted, got string) {
	return fmt.Sprintf("%q in namespace %q", c.secretName(), c.claims.Kubernetes.Namespace), "it"
}

// checkLegacyCopy compares the token with the one in the Secret, by digest. It
// asks the store before it refuses: memory may be behind the one who wrote it.
func checkLegacyCopy(ctx context.Context, c check) error {
	for _, objects := range []Objects{c.Objects, c.Fresh} {
		secret, err := objects.Secret(ctx, c.claims.Kubernetes.Namespace, c.secretName())
		if err != nil {
			return &found{errLegacyInvalidated, err.Error()}
		}
		if subtle.ConstantTimeCompare(secret.TokenDigest[:], c.seen.digest[:]) == 1 {
			return nil
		}
	}
	return errLegacyMismatch
}

func showLegacyCopy(check) (wanted, got string) {
	return "this token in the secret", "another one, or none"
}

// checkLegacyAccount is checkAccount without leeway, and in other words.
func checkLegacyAccount(ctx context.Context, c check) error {
	k := &c.claims.Kubernetes
	account, err := c.current(ctx, accountMeta, k.Namespace, k.ServiceAccount)
	if err != nil {
		return missing("account", err, err)
	}
	if !account.DeletedAt.IsZero() {
		return &found{fmt.Errorf("ServiceAccount %s/%s has been deleted", k.Namespace, k.ServiceAccount.Name), "one that is being deleted, at " + moment(account.DeletedAt)}
	}
	if string(account.UID) != k.ServiceAccount.UID {
		return &found{fmt.Errorf("ServiceAccount UID (%s) does not match claim (%s)", account.UID, k.ServiceAccount.UID), "another one: UID " + string(account.UID)}
	}
	return nil
}

func checkLegacyValidity(ctx context.Context, c check) error {
	secret, err := c.secret(ctx)
	if err != nil {
		return &found{errLegacyInvalidated, err.Error()}
	}
	if secret.InvalidSince == "" {
		return nil
	}
	k := &c.claims.Kubernetes
	return &found{&invalidSince{namespace: k.Namespace, secret: c.secretName(), account: k.ServiceAccount.Name}, "invalid since " + quote(secret.InvalidSince)}
}

func showLegacyValidity(check) (wanted, got string) {
	return "no label " + InvalidSinceLabel, "none"
}

// invalidSince is the refusal of a token whose Secret was marked.
type invalidSince struct{ namespace, secret, account string }

// Error is what Kubernetes says.
func (e *invalidSince) Error() string {
	return fmt.Sprintf("the token in secret %s/%s for service account %s/%s has been marked invalid. Use tokens from the TokenRequest API or manually created secret-based tokens, or remove the '%s' label from the secret to temporarily allow use of this token",
		e.namespace, e.secret, e.namespace, e.account, InvalidSinceLabel)
}

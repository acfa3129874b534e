// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package authn

import (
	"context"
	"errors"
	"fmt"

	"k8s.io/apiserver/pkg/audit"
	"k8s.io/apiserver/pkg/authentication/authenticator"
)

const (
	// StepsAnnotation of an audit event is the explanation of the token that was
	// refused or reviewed.
	StepsAnnotation = "authentication.muster.id/steps"
	// CredentialAnnotation of an audit event names that token: JTI=<id>.
	CredentialAnnotation = "authentication.muster.id/credential-id"
)

// ForRequests is the authenticator of the requests themselves, whose holders
// learn nothing of why a token was refused: the answer is a bare 401. The error
// is for the log and says all that is known; audit gets the explanation if
// audited says that it listens. Neither ever has the token.
func (s *ServiceAccounts) ForRequests(audited func(ctx context.Context) bool) authenticator.Token {
	return &requestTokens{tokens: s, audited: audited}
}

type requestTokens struct {
	tokens  *ServiceAccounts
	audited func(ctx context.Context) bool
}

// AuthenticateToken is that of ServiceAccounts, with an error that says more.
func (r *requestTokens) AuthenticateToken(ctx context.Context, compact string) (*authenticator.Response, bool, error) {
	response, ok, err := r.tokens.AuthenticateToken(ctx, compact)
	if err == nil {
		return response, ok, nil
	}
	var refusal *Refusal
	known := errors.As(err, &refusal)
	if r.audited(ctx) {
		explanation := r.tokens.explainUnsigned(compact, err)
		if known {
			explanation = refusal.check.explanation(ctx)
		}
		explanation.Audit(ctx)
	}
	if known {
		err = fmt.Errorf("%w (%s; %s)", err, refusal.Detail(), refusal.CredentialID())
	}
	return nil, false, err
}

// Audit adds the explanation to the audit event of ctx.
func (e Explanation) Audit(ctx context.Context) {
	audit.AddAuditAnnotation(ctx, StepsAnnotation, e.String())
	if e.CredentialID != "" {
		audit.AddAuditAnnotation(ctx, CredentialAnnotation, e.CredentialID)
	}
}

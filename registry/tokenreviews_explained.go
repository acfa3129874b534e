// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"encoding/json"

	authenticationv1 "k8s.io/api/authentication/v1"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/apiserver/pkg/audit"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"

	"github.com/muster-identity/muster/authn"
)

const (
	// ExplainAnnotation on a TokenReview, with the value "true", asks for the
	// explanation of a good token too. Whoever may have it gets it as JSON (an
	// authn.Explanation) in StepsAnnotation.
	ExplainAnnotation = "authentication.muster.id/explain"
	// StepsAnnotation on the answer has the explanation.
	StepsAnnotation = authn.StepsAnnotation
)

// TokenExplainer tells step by step what the check of a token finds.
type TokenExplainer interface {
	// Explain explains the check of a token for the audiences of ctx, whether or
	// not the token is good. It is not ok if no check applies. Calls may overlap.
	Explain(ctx context.Context, token string) (explanation authn.Explanation, ok bool)
}

// explanations adds to TokenReviews, and to their audit events, why a token was
// accepted or refused.
type explanations struct {
	explainer  TokenExplainer
	authorizer authorizer.Authorizer
}

// add explains an answered review to those who may know: audit, if it listens,
// and callers with the verb explain. To all others the review stays Kubernetes'
// to the letter. A good token is explained only to callers that ask, and not in
// status.error: clients take that for a refusal.
func (e explanations) add(ctx context.Context, review *authenticationv1.TokenReview, audiences authenticator.Audiences) {
	if e.explainer == nil {
		return
	}
	asked := review.Annotations[ExplainAnnotation] == "true"
	tell := (asked || review.Status.Error != "") && e.entitled(ctx)
	audited := audit.AuditContextFrom(ctx).Enabled()
	if !tell && !audited {
		return
	}
	explanation, ok := e.explainer.Explain(reviewedContext(ctx, audiences), review.Spec.Token)
	if !ok {
		return
	}
	if audited {
		explanation.Audit(ctx)
	}
	if tell && review.Status.Error != "" {
		review.Status.Error += "; " + explanation.String()
	}
	if tell && asked {
		annotate(ctx, review, explanation)
	}
}

func annotate(ctx context.Context, review *authenticationv1.TokenReview, explanation authn.Explanation) {
	document, err := json.Marshal(explanation)
	if err != nil {
		utilruntime.HandleErrorWithContext(ctx, err, "Explaining a token")
		return
	}
	review.Annotations[StepsAnnotation] = string(document)
}

// entitled tells whether the caller has the verb explain on tokenreviews.
func (e explanations) entitled(ctx context.Context) bool {
	caller, ok := genericapirequest.UserFrom(ctx)
	if !ok || e.authorizer == nil {
		return false
	}
	decision, _, err := e.authorizer.Authorize(ctx, authorizer.AttributesRecord{
		User: caller, Verb: "explain",
		APIGroup: authenticationv1.GroupName, APIVersion: authenticationv1.SchemeGroupVersion.Version,
		Resource: "tokenreviews", ResourceRequest: true,
	})
	return err == nil && decision == authorizer.DecisionAllow
}

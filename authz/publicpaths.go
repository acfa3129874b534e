// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package authz

import (
	"context"
	"slices"

	"k8s.io/apiserver/pkg/authorization/authorizer"
)

// PublicPaths lets everybody read documents at these paths. On anything else it
// has no opinion.
type PublicPaths []string

var _ authorizer.Authorizer = PublicPaths(nil)

// Authorize allows the verb get at one of the paths.
func (p PublicPaths) Authorize(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	if !a.IsResourceRequest() && a.GetVerb() == "get" && slices.Contains(p, a.GetPath()) {
		return authorizer.DecisionAllow, "the document is public", nil
	}
	return authorizer.DecisionNoOpinion, "", nil
}

// ConditionsAwareAuthorize says what Authorize says.
func (p PublicPaths) ConditionsAwareAuthorize(ctx context.Context, a authorizer.Attributes) authorizer.ConditionsAwareDecision {
	return authorizer.ConditionsAwareDecisionFromParts(p.Authorize(ctx, a))
}

// EvaluateConditions denies: there are no conditions to evaluate.
func (p PublicPaths) EvaluateConditions(context.Context, authorizer.ConditionsAwareDecision, authorizer.ConditionsData) (authorizer.Decision, string, error) {
	return authorizer.DecisionDeny, "", authorizer.ErrorConditionEvaluationNotSupported
}

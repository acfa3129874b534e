// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"errors"

	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/authorization/authorizer"
)

func selfSubjectRulesReviews() Resource {
	return &review[*authorizationv1.SelfSubjectRulesReview]{
		groupVersion: authorizationv1.SchemeGroupVersion,
		kind:         "SelfSubjectRulesReview", plural: "selfsubjectrulesreviews", singular: "selfsubjectrulesreview",
		newObject: func() *authorizationv1.SelfSubjectRulesReview { return &authorizationv1.SelfSubjectRulesReview{} },
		reviewer: func(services Services) (reviewer[*authorizationv1.SelfSubjectRulesReview], error) {
			if services.RuleResolver == nil {
				return nil, errors.New("no rule resolver")
			}
			return rulesReviewer{services.RuleResolver}, nil
		},
	}
}

// rulesReviewer lists what callers may do in a namespace.
type rulesReviewer struct {
	resolver authorizer.RuleResolver
}

func (rulesReviewer) check(ctx context.Context, review *authorizationv1.SelfSubjectRulesReview) error {
	if _, err := callerOf(ctx); err != nil {
		return err
	}
	if review.Spec.Namespace == "" {
		return apierrors.NewBadRequest("no namespace on request")
	}
	return nil
}

// answer holds no copy of the question, and what was found although some of it
// could not be resolved.
func (r rulesReviewer) answer(ctx context.Context, review *authorizationv1.SelfSubjectRulesReview) (*authorizationv1.SelfSubjectRulesReview, error) {
	caller, err := callerOf(ctx)
	if err != nil {
		return nil, err
	}
	resources, others, incomplete, err := r.resolver.RulesFor(ctx, caller, review.Spec.Namespace)
	status := authorizationv1.SubjectRulesReviewStatus{
		ResourceRules:    resourceRules(resources),
		NonResourceRules: nonResourceRules(others),
		Incomplete:       incomplete,
	}
	if err != nil {
		status.EvaluationError = err.Error()
	}
	return &authorizationv1.SelfSubjectRulesReview{Status: status}, nil
}

func resourceRules(infos []authorizer.ResourceRuleInfo) []authorizationv1.ResourceRule {
	rules := make([]authorizationv1.ResourceRule, len(infos))
	for i, info := range infos {
		rules[i] = authorizationv1.ResourceRule{
			Verbs:         info.GetVerbs(),
			APIGroups:     info.GetAPIGroups(),
			Resources:     info.GetResources(),
			ResourceNames: info.GetResourceNames(),
		}
	}
	return rules
}

func nonResourceRules(infos []authorizer.NonResourceRuleInfo) []authorizationv1.NonResourceRule {
	rules := make([]authorizationv1.NonResourceRule, len(infos))
	for i, info := range infos {
		rules[i] = authorizationv1.NonResourceRule{Verbs: info.GetVerbs(), NonResourceURLs: info.GetNonResourceURLs()}
	}
	return rules
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

// Package node authorizes nodes: a node's credential reads, and requests tokens
// for, what the pods refer to that are bound to that node, and nothing else.
//
// A Graph leads from an object and a node to whether they are related; live tells
// it of every change of a pod, before the change is answered. What is not about
// single objects goes by fixed rules, alike for all nodes. What a request says in
// its body, the admission plugin NodeRestriction judges. Kubernetes:
// plugin/pkg/auth/authorizer/node.
package node

import (
	"context"
	"errors"
	"fmt"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"github.com/muster-identity/muster/rbac"
)

// Authorizer authorizes nodes, and has no opinion on anybody else. It never
// denies. Its methods may be called from any goroutine.
type Authorizer struct {
	graph *Graph
	rules []rbacv1.PolicyRule
}

var (
	_ authorizer.Authorizer   = (*Authorizer)(nil)
	_ authorizer.RuleResolver = (*Authorizer)(nil)
)

// New makes an authorizer that asks graph who is related to what, and goes by
// rules where that is not the question.
func New(graph *Graph, rules []rbacv1.PolicyRule) *Authorizer {
	return &Authorizer{graph: graph, rules: rules}
}

// errNoRules is what Kubernetes says: a node's rights are not a list of rules.
var errNoRules = errors.New("node authorizer does not support user rule resolution")

// Authorize allows what a node needs, or says in the words of Kubernetes why it
// has no opinion. The error is always nil.
func (a *Authorizer) Authorize(_ context.Context, attrs authorizer.Attributes) (authorizer.Decision, string, error) {
	name, isNode := Of(attrs.GetUser())
	if !isNode {
		return authorizer.DecisionNoOpinion, "", nil
	}
	if name == "" {
		return authorizer.DecisionNoOpinion, fmt.Sprintf("unknown node for user %q", attrs.GetUser().GetName()), nil
	}
	if verdict := a.judge(name, attrs); !verdict.allowed {
		return authorizer.DecisionNoOpinion, verdict.reason, nil
	}
	return authorizer.DecisionAllow, "", nil
}

// judge asks whoever knows about the resource, or the fixed rules.
func (a *Authorizer) judge(node string, attrs authorizer.Attributes) verdict {
	if attrs.IsResourceRequest() {
		if judge := judgeOf(attrs.GetAPIGroup(), attrs.GetResource()); judge != nil {
			return judge(a.graph, node, attrs)
		}
	}
	request := rbac.RequestOf(attrs)
	for i := range a.rules {
		if rbac.Matches(&a.rules[i], &request) {
			return allowed
		}
	}
	return verdict{}
}

// ConditionsAwareAuthorize says what Authorize says.
func (a *Authorizer) ConditionsAwareAuthorize(ctx context.Context, attrs authorizer.Attributes) authorizer.ConditionsAwareDecision {
	return authorizer.ConditionsAwareDecisionFromParts(a.Authorize(ctx, attrs))
}

// EvaluateConditions denies: there are no conditions to evaluate.
func (a *Authorizer) EvaluateConditions(context.Context, authorizer.ConditionsAwareDecision, authorizer.ConditionsData) (authorizer.Decision, string, error) {
	return authorizer.DecisionDeny, "", authorizer.ErrorConditionEvaluationNotSupported
}

// RulesFor lists nothing. Of a node the list is incomplete, which the error says.
func (a *Authorizer) RulesFor(_ context.Context, u user.Info, _ string) ([]authorizer.ResourceRuleInfo, []authorizer.NonResourceRuleInfo, bool, error) {
	if _, isNode := Of(u); isNode {
		return nil, nil, true, errNoRules
	}
	return nil, nil, false, nil
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package authz

import (
	"context"
	"fmt"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"

	"github.com/muster-identity/muster/rbac"
)

// RBAC authorizes by roles and bindings, with the answers of Kubernetes
// (plugin/pkg/auth/authorizer/rbac). It never denies: whom no rule allows may
// still be allowed by another authorizer. Its methods may be called from any
// goroutine.
type RBAC struct{ index *rbac.Index }

var (
	_ authorizer.Authorizer   = (*RBAC)(nil)
	_ authorizer.RuleResolver = (*RBAC)(nil)
)

// NewRBAC makes an authorizer that answers from index and feeds it (Apply).
func NewRBAC(index *rbac.Index) *RBAC { return &RBAC{index: index} }

// Apply takes a change of a Role, ClusterRole, RoleBinding or
// ClusterRoleBinding: its newest state, or its last one if it was deleted. It is
// in force when Apply returns. The changes of any one object must come in order;
// parts of the object are kept, so it must not be changed any more. Anything but
// an RBAC object panics.
func (a *RBAC) Apply(obj runtime.Object, deleted bool) {
	if deleted {
		a.index.Delete(obj)
		return
	}
	a.index.Set(obj)
}

// Authorize allows a request and names the binding, or has no opinion, and then
// names the roles that are missing, if any. The error is always nil.
func (a *RBAC) Authorize(_ context.Context, attrs authorizer.Attributes) (authorizer.Decision, string, error) {
	decision := a.index.Decide(attrs.GetUser(), attrs)
	if decision.Allowed {
		return authorizer.DecisionAllow, decision.Reason, nil
	}
	if len(decision.Errors) > 0 {
		return authorizer.DecisionNoOpinion, fmt.Sprintf("RBAC: %v", utilerrors.NewAggregate(decision.Errors)), nil
	}
	return authorizer.DecisionNoOpinion, "", nil
}

// ConditionsAwareAuthorize says what Authorize says: RBAC knows no conditions.
func (a *RBAC) ConditionsAwareAuthorize(ctx context.Context, attrs authorizer.Attributes) authorizer.ConditionsAwareDecision {
	return authorizer.ConditionsAwareDecisionFromParts(a.Authorize(ctx, attrs))
}

// EvaluateConditions denies: there are no conditions of RBAC to evaluate.
func (a *RBAC) EvaluateConditions(context.Context, authorizer.ConditionsAwareDecision, authorizer.ConditionsData) (authorizer.Decision, string, error) {
	return authorizer.DecisionDeny, "", authorizer.ErrorConditionEvaluationNotSupported
}

// RulesFor returns what u may do in namespace. The list is complete as far as
// RBAC goes; the error tells of roles that are missing.
func (a *RBAC) RulesFor(_ context.Context, u user.Info, namespace string) (resources []authorizer.ResourceRuleInfo, paths []authorizer.NonResourceRuleInfo, incomplete bool, err error) {
	rules, err := a.index.RulesFor(u, namespace)
	for _, rule := range rules {
		if len(rule.Resources) > 0 {
			resources = append(resources, &authorizer.DefaultResourceRuleInfo{
				Verbs:         rule.Verbs,
				APIGroups:     rule.APIGroups,
				Resources:     rule.Resources,
				ResourceNames: rule.ResourceNames,
			})
		}
		if len(rule.NonResourceURLs) > 0 {
			paths = append(paths, &authorizer.DefaultNonResourceRuleInfo{
				Verbs:           rule.Verbs,
				NonResourceURLs: rule.NonResourceURLs,
			})
		}
	}
	return resources, paths, false, err
}

// ConfirmNoEscalation returns nil if what u may do in namespace covers the
// rules, and an *rbac.EscalationError else. An empty namespace means the whole
// cluster. The request of ctx says what is written.
func (a *RBAC) ConfirmNoEscalation(ctx context.Context, u user.Info, namespace string, rules []rbacv1.PolicyRule) error {
	var written schema.GroupResource
	if info, ok := genericapirequest.RequestInfoFrom(ctx); ok {
		written = schema.GroupResource{Group: info.APIGroup, Resource: info.Resource}
	}
	return a.index.ConfirmNoEscalation(u, namespace, written, rules)
}

// RulesOf returns the rules of the role that a binding in namespace refers to; an
// empty namespace is that of a ClusterRoleBinding. A role that does not exist is
// apierrors.NotFound of it.
func (a *RBAC) RulesOf(_ context.Context, namespace string, ref rbacv1.RoleRef) ([]rbacv1.PolicyRule, error) {
	return a.index.RulesOf(namespace, ref)
}

// Nearest returns what u holds that comes nearest to a request (rbac.Index.Nearest).
func (a *RBAC) Nearest(u user.Info, namespace string, q rbac.Request) []rbac.Miss {
	return a.index.Nearest(u, namespace, q)
}

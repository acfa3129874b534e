// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package authz_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"github.com/muster-identity/muster/authz"
	"github.com/muster-identity/muster/rbac"
)

var (
	pods    = rbacv1.PolicyRule{Verbs: []string{"get"}, APIGroups: []string{""}, Resources: []string{"pods"}, ResourceNames: []string{"p"}}
	metrics = rbacv1.PolicyRule{Verbs: []string{"get"}, NonResourceURLs: []string{"/metrics"}}
)

func ann() *user.DefaultInfo { return &user.DefaultInfo{Name: "ann", Groups: []string{"crew"}} }

func binding(name, role string) *rbacv1.ClusterRoleBinding {
	return &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
		Subjects:   []rbacv1.Subject{{Kind: "Group", Name: "crew"}},
	}
}

func clusterRole() *rbacv1.ClusterRole {
	return &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "r"}, Rules: []rbacv1.PolicyRule{pods, metrics}}
}

func authorize(t *testing.T, a authorizer.Authorizer, request authorizer.AttributesRecord) (authorizer.Decision, string) {
	t.Helper()
	decision, reason, err := a.Authorize(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	aware := a.ConditionsAwareAuthorize(t.Context(), request)
	if aware.IsAllow() != (decision == authorizer.DecisionAllow) || aware.Reason() != reason {
		t.Errorf("with conditions the decision is %v", aware)
	}
	return decision, reason
}

func TestDecisionsFollowTheObjects(t *testing.T) {
	t.Parallel()
	a := authz.NewRBAC(rbac.NewIndex())
	get := authorizer.AttributesRecord{User: ann(), ResourceRequest: true, Verb: "get", Namespace: "a", Resource: "pods", Name: "p"}
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "r"}, Rules: []rbacv1.PolicyRule{pods, metrics}}
	steps := []struct {
		name     string
		change   func()
		decision authorizer.Decision
		reason   string
	}{
		{"nothing exists", func() {}, authorizer.DecisionNoOpinion, ""},
		{
			"a binding without its role", func() { a.Apply(binding("b", "r"), false) },
			authorizer.DecisionNoOpinion, `RBAC: clusterrole.rbac.authorization.k8s.io "r" not found`,
		},
		{
			"the role comes", func() { a.Apply(role, false) },
			authorizer.DecisionAllow, `RBAC: allowed by ClusterRoleBinding "b" of ClusterRole "r" to Group "crew"`,
		},
		{
			"another role is missing, which does not matter", func() { a.Apply(binding("a", "gone"), false) },
			authorizer.DecisionAllow, `RBAC: allowed by ClusterRoleBinding "b" of ClusterRole "r" to Group "crew"`,
		},
		{
			"the role goes", func() { a.Apply(role, true) }, authorizer.DecisionNoOpinion,
			`RBAC: [clusterrole.rbac.authorization.k8s.io "gone" not found, clusterrole.rbac.authorization.k8s.io "r" not found]`,
		},
		{
			"one binding goes", func() { a.Apply(binding("a", "gone"), true) },
			authorizer.DecisionNoOpinion, `RBAC: clusterrole.rbac.authorization.k8s.io "r" not found`,
		},
		{"the other goes", func() { a.Apply(binding("b", "r"), true) }, authorizer.DecisionNoOpinion, ""},
	}
	for _, step := range steps {
		step.change()
		decision, reason := authorize(t, a, get)
		if decision != step.decision || reason != step.reason {
			t.Errorf("%s: got (%v, %q), want (%v, %q)", step.name, decision, reason, step.decision, step.reason)
		}
	}
}

func TestConditionsAreNotEvaluated(t *testing.T) {
	t.Parallel()
	a := authz.NewRBAC(rbac.NewIndex())
	decision, _, err := a.EvaluateConditions(t.Context(), authorizer.ConditionsAwareDecision{}, nil)
	if decision != authorizer.DecisionDeny || err != authorizer.ErrorConditionEvaluationNotSupported {
		t.Errorf("got %v, %v", decision, err)
	}
}

func TestRulesAreListedByResourcesAndPaths(t *testing.T) {
	t.Parallel()
	a := authz.NewRBAC(rbac.NewIndex())
	a.Apply(&rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "r"}, Rules: []rbacv1.PolicyRule{pods, metrics}}, false)
	a.Apply(binding("b", "r"), false)
	a.Apply(binding("dangling", "gone"), false)
	resources, paths, incomplete, err := a.RulesFor(t.Context(), ann(), "a")
	if incomplete {
		t.Error("the rules are said to be incomplete")
	}
	if err == nil || err.Error() != `clusterrole.rbac.authorization.k8s.io "gone" not found` {
		t.Errorf("error: %v", err)
	}
	wantResources := []authorizer.ResourceRuleInfo{&authorizer.DefaultResourceRuleInfo{
		Verbs: pods.Verbs, APIGroups: pods.APIGroups, Resources: pods.Resources, ResourceNames: pods.ResourceNames,
	}}
	if diff := cmp.Diff(wantResources, resources); diff != "" {
		t.Errorf("resources (-want +got):\n%s", diff)
	}
	wantPaths := []authorizer.NonResourceRuleInfo{&authorizer.DefaultNonResourceRuleInfo{Verbs: metrics.Verbs, NonResourceURLs: metrics.NonResourceURLs}}
	if diff := cmp.Diff(wantPaths, paths); diff != "" {
		t.Errorf("paths (-want +got):\n%s", diff)
	}
}

func TestNobodyHandsOnWhatTheyDoNotHold(t *testing.T) {
	t.Parallel()
	a := authz.NewRBAC(rbac.NewIndex())
	a.Apply(&rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "r"}, Rules: []rbacv1.PolicyRule{pods, metrics}}, false)
	a.Apply(binding("b", "r"), false)
	ref := rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "r"}
	rules, err := a.RulesOf(t.Context(), "a", ref)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.ConfirmNoEscalation(t.Context(), ann(), "a", rules); err != nil {
		t.Errorf("handing on what is held: %v", err)
	}
	if err := a.ConfirmNoEscalation(t.Context(), &user.DefaultInfo{Name: "ben"}, "a", rules); err == nil {
		t.Error("handing on what is not held passed")
	}
	ref.Kind = "Role"
	if _, err := a.RulesOf(t.Context(), "a", ref); !apierrors.IsNotFound(err) {
		t.Errorf("rules of a role that does not exist: %v", err)
	}
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package bootstrap_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/muster-identity/muster/rbac/bootstrap"
)

func allow(verb string, resources ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{Verbs: []string{verb}, APIGroups: []string{""}, Resources: resources}
}

func role(change func(*rbacv1.ClusterRole)) *rbacv1.ClusterRole {
	r := &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{
			Name:        "r",
			Labels:      map[string]string{"kubernetes.io/bootstrapping": "rbac-defaults"},
			Annotations: map[string]string{rbacv1.AutoUpdateAnnotationKey: "true"},
		},
		Rules: []rbacv1.PolicyRule{allow("get", "pods", "secrets")},
	}
	change(r)
	return r
}

func selecting(labels ...string) *rbacv1.AggregationRule {
	rule := &rbacv1.AggregationRule{}
	for _, label := range labels {
		rule.ClusterRoleSelectors = append(rule.ClusterRoleSelectors, metav1.LabelSelector{MatchLabels: map[string]string{label: "true"}})
	}
	return rule
}

func TestRolesAreGivenWhatTheyLack(t *testing.T) {
	t.Parallel()
	same := func(*rbacv1.ClusterRole) {}
	tests := []struct {
		name             string
		existing, wanted func(*rbacv1.ClusterRole)
		action           bootstrap.Action
		want             func(*rbacv1.ClusterRole)
	}{
		{name: "nothing lacks", existing: same, wanted: same, action: bootstrap.Keep, want: same},
		{
			name: "a rule lacks in part", wanted: same,
			existing: func(r *rbacv1.ClusterRole) { r.Rules = []rbacv1.PolicyRule{allow("get", "pods")} },
			action:   bootstrap.Update,
			want: func(r *rbacv1.ClusterRole) {
				r.Rules = []rbacv1.PolicyRule{allow("get", "pods"), allow("get", "secrets")}
			},
		},
		{
			name: "more rules stay", wanted: same,
			existing: func(r *rbacv1.ClusterRole) { r.Rules = append(r.Rules, allow("delete", "nodes")) },
			action:   bootstrap.Keep,
			want:     func(r *rbacv1.ClusterRole) { r.Rules = append(r.Rules, allow("delete", "nodes")) },
		},
		{
			name: "rules that say the same in other words stay", wanted: same,
			existing: func(r *rbacv1.ClusterRole) { r.Rules = []rbacv1.PolicyRule{allow("*", "*")} },
			action:   bootstrap.Keep,
			want:     func(r *rbacv1.ClusterRole) { r.Rules = []rbacv1.PolicyRule{allow("*", "*")} },
		},
		{
			name: "labels and annotations", wanted: same,
			existing: func(r *rbacv1.ClusterRole) {
				r.Labels, r.Annotations = map[string]string{"mine": "1"}, nil
			},
			action: bootstrap.Update,
			want:   func(r *rbacv1.ClusterRole) { r.Labels["mine"] = "1" },
		},
		{
			name: "a label with another value stays", wanted: same,
			existing: func(r *rbacv1.ClusterRole) { r.Labels["kubernetes.io/bootstrapping"] = "mine" },
			action:   bootstrap.Keep,
			want:     func(r *rbacv1.ClusterRole) { r.Labels["kubernetes.io/bootstrapping"] = "mine" },
		},
		{
			name: "whoever says so is left alone", wanted: same,
			existing: func(r *rbacv1.ClusterRole) {
				r.Annotations[rbacv1.AutoUpdateAnnotationKey], r.Rules, r.Labels = "false", nil, nil
			},
			action: bootstrap.Keep,
			want: func(r *rbacv1.ClusterRole) {
				r.Annotations[rbacv1.AutoUpdateAnnotationKey], r.Rules, r.Labels = "false", nil, nil
			},
		},
		{
			name: "a selector", existing: func(r *rbacv1.ClusterRole) { r.AggregationRule = selecting("mine", "a") },
			wanted: func(r *rbacv1.ClusterRole) { r.AggregationRule = selecting("a", "b") },
			action: bootstrap.Update,
			want:   func(r *rbacv1.ClusterRole) { r.AggregationRule = selecting("mine", "a", "b") },
		},
		{
			name: "more selectors stay", existing: func(r *rbacv1.ClusterRole) { r.AggregationRule = selecting("a", "mine") },
			wanted: func(r *rbacv1.ClusterRole) { r.AggregationRule = selecting("a") },
			action: bootstrap.Keep,
			want:   func(r *rbacv1.ClusterRole) { r.AggregationRule = selecting("a", "mine") },
		},
		{
			name: "aggregation begins", existing: same,
			wanted: func(r *rbacv1.ClusterRole) { r.AggregationRule, r.Rules = selecting("a"), nil },
			action: bootstrap.Update,
			want:   func(r *rbacv1.ClusterRole) { r.AggregationRule = selecting("a") },
		},
		{
			name: "aggregation ends", existing: func(r *rbacv1.ClusterRole) { r.AggregationRule = selecting("a") },
			wanted: same, action: bootstrap.Update, want: same,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			existing, wanted := role(test.existing), role(test.wanted)
			got, action := bootstrap.ReconcileClusterRole(existing, wanted)
			if action != test.action {
				t.Errorf("action is %q, want %q", action, test.action)
			}
			if diff := cmp.Diff(role(test.want), got); diff != "" {
				t.Errorf("result (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(role(test.existing), existing); diff != "" {
				t.Errorf("the existing role was changed (-want +got):\n%s", diff)
			}
			if again, action := bootstrap.ReconcileClusterRole(got, wanted); action != bootstrap.Keep {
				t.Errorf("once more: %q to %v", action, again)
			}
			// A Role is brought to the same in the same way, but is never aggregated.
			if existing.AggregationRule != nil || wanted.AggregationRule != nil {
				return
			}
			namespaced, action := bootstrap.ReconcileRole(
				&rbacv1.Role{ObjectMeta: existing.ObjectMeta, Rules: existing.Rules}, &rbacv1.Role{ObjectMeta: wanted.ObjectMeta, Rules: wanted.Rules},
			)
			if action != test.action {
				t.Errorf("action on a Role is %q, want %q", action, test.action)
			}
			if diff := cmp.Diff(&rbacv1.Role{ObjectMeta: got.ObjectMeta, Rules: got.Rules}, namespaced); diff != "" {
				t.Errorf("the resulting Role (-want +got):\n%s", diff)
			}
		})
	}
}

func TestBindingsAreGivenWhatTheyLack(t *testing.T) {
	t.Parallel()
	binding := func(role, autoupdate string, groups ...string) *rbacv1.ClusterRoleBinding {
		b := &rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: "b", Annotations: map[string]string{rbacv1.AutoUpdateAnnotationKey: autoupdate}},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
		}
		for _, group := range groups {
			b.Subjects = append(b.Subjects, rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: "Group", Name: group})
		}
		return b
	}
	tests := []struct {
		name                   string
		existing, wanted, want *rbacv1.ClusterRoleBinding
		action                 bootstrap.Action
	}{
		{"nothing lacks", binding("r", "true", "a"), binding("r", "true", "a"), binding("r", "true", "a"), bootstrap.Keep},
		{"a subject", binding("r", "true", "mine", "a"), binding("r", "true", "a", "b"), binding("r", "true", "mine", "a", "b"), bootstrap.Update},
		{"more subjects stay", binding("r", "true", "mine", "a"), binding("r", "true", "a"), binding("r", "true", "mine", "a"), bootstrap.Keep},
		{"nobody is wanted", binding("r", "true", "mine"), binding("r", "true"), binding("r", "true", "mine"), bootstrap.Keep},
		{"another role", binding("mine", "true", "mine"), binding("r", "true", "a"), binding("r", "true", "a"), bootstrap.Recreate},
		{"whoever says so is left alone", binding("mine", "false", "mine"), binding("r", "true", "a"), binding("mine", "false", "mine"), bootstrap.Keep},
		{"another value for the annotation is no such word", binding("r", "no", "mine"), binding("r", "true", "a"), binding("r", "no", "mine", "a"), bootstrap.Update},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			before := test.existing.DeepCopy()
			got, action := bootstrap.ReconcileClusterRoleBinding(test.existing, test.wanted)
			if action != test.action {
				t.Errorf("action is %q, want %q", action, test.action)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("result (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(before, test.existing); diff != "" {
				t.Errorf("the existing binding was changed (-want +got):\n%s", diff)
			}
			namespaced := func(b *rbacv1.ClusterRoleBinding) *rbacv1.RoleBinding {
				return &rbacv1.RoleBinding{ObjectMeta: b.ObjectMeta, RoleRef: b.RoleRef, Subjects: b.Subjects}
			}
			result, action := bootstrap.ReconcileRoleBinding(namespaced(test.existing), namespaced(test.wanted))
			if action != test.action {
				t.Errorf("action on a RoleBinding is %q, want %q", action, test.action)
			}
			if diff := cmp.Diff(namespaced(test.want), result); diff != "" {
				t.Errorf("the resulting RoleBinding (-want +got):\n%s", diff)
			}
		})
	}
}

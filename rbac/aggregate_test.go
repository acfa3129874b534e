// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package rbac_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/muster-identity/muster/rbac"
)

func TestAggregatedRolesAreMadeOfTheRolesThatTheySelect(t *testing.T) {
	t.Parallel()
	labelled := func(name string, labels map[string]string, resources ...string) *rbacv1.ClusterRole {
		role := clusterRole(name)
		role.Labels = labels
		role.Rules = nil
		for _, resource := range resources {
			role.Rules = append(role.Rules, ruleFor(resource))
		}
		return role
	}
	view, edit := map[string]string{"to-view": "true"}, map[string]string{"to-edit": "true"}
	all := []*rbacv1.ClusterRole{
		labelled("z", view, "pods", "secrets"),
		labelled("b", view, "pods", "events"),
		labelled("c", edit, "jobs", "pods"),
		labelled("aggregated", view, "stale"),
		labelled("other", nil, "nodes"),
	}
	selecting := func(selectors ...metav1.LabelSelector) *rbacv1.ClusterRole {
		role := labelled("aggregated", view, "stale")
		role.AggregationRule = &rbacv1.AggregationRule{ClusterRoleSelectors: selectors}
		return role
	}
	tests := []struct {
		name string
		role *rbacv1.ClusterRole
		want []string
	}{
		{"a role that aggregates nothing keeps its rules", all[3], []string{"stale"}},
		{"no selectors, no rules", selecting(), nil},
		{"by name, each rule once, not itself", selecting(metav1.LabelSelector{MatchLabels: view}), []string{"pods", "events", "secrets"}},
		{
			"one selector after the other",
			selecting(metav1.LabelSelector{MatchLabels: edit}, metav1.LabelSelector{MatchLabels: view}),
			[]string{"jobs", "pods", "events", "secrets"},
		},
		{
			"an empty selector selects all", selecting(metav1.LabelSelector{}),
			[]string{"pods", "events", "jobs", "nodes", "secrets"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			rules, err := rbac.Aggregate(test.role, all)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, rule := range rules {
				got = append(got, rule.Resources...)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("resources (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("a selector that cannot be read", func(t *testing.T) {
		t.Parallel()
		bad := metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "k", Operator: "Near"}}}
		if rules, err := rbac.Aggregate(selecting(bad), all); err == nil {
			t.Errorf("got rules %v", rules)
		}
	})
}

func ruleFor(resource string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{Verbs: []string{"get"}, APIGroups: []string{""}, Resources: []string{resource}}
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package rbac

import (
	"cmp"
	"fmt"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// Aggregate returns the rules that role is to have by its aggregation rule: for
// each selector in turn, those of the other roles that it selects, by name, each
// rule once (Kubernetes: pkg/controller/clusterroleaggregation). all may hold
// role itself, which is left out. A role without an aggregation rule keeps its
// own rules. A selector that cannot be read is an error.
func Aggregate(role *rbacv1.ClusterRole, all []*rbacv1.ClusterRole) ([]rbacv1.PolicyRule, error) {
	if role.AggregationRule == nil {
		return role.Rules, nil
	}
	sorted := slices.SortedFunc(slices.Values(all), func(a, b *rbacv1.ClusterRole) int { return cmp.Compare(a.Name, b.Name) })
	rules := []rbacv1.PolicyRule{}
	for i := range role.AggregationRule.ClusterRoleSelectors {
		selector, err := metav1.LabelSelectorAsSelector(&role.AggregationRule.ClusterRoleSelectors[i])
		if err != nil {
			return nil, fmt.Errorf("aggregating cluster role %q: selector %d: %w", role.Name, i, err)
		}
		for _, other := range sorted {
			if other.Name != role.Name && selector.Matches(labels.Set(other.Labels)) {
				rules = appendNew(rules, other.Rules)
			}
		}
	}
	return rules, nil
}

// appendNew appends those rules that are not there yet.
func appendNew(rules, more []rbacv1.PolicyRule) []rbacv1.PolicyRule {
	for _, rule := range more {
		if !slices.ContainsFunc(rules, func(r rbacv1.PolicyRule) bool { return EqualRules(r, rule) }) {
			rules = append(rules, rule)
		}
	}
	return rules
}

// EqualRules tells whether two rules say the same in the same order. A field
// that is absent equals one that is empty.
func EqualRules(a, b rbacv1.PolicyRule) bool {
	return slices.Equal(a.Verbs, b.Verbs) &&
		slices.Equal(a.APIGroups, b.APIGroups) &&
		slices.Equal(a.Resources, b.Resources) &&
		slices.Equal(a.ResourceNames, b.ResourceNames) &&
		slices.Equal(a.NonResourceURLs, b.NonResourceURLs)
}

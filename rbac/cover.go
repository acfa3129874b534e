// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package rbac

import (
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/component-helpers/auth/rbac/validation"
)

// Uncovered returns what of the wanted rules the held ones do not grant, taken
// apart to single verbs, groups, resources and names. None means all is covered.
func Uncovered(held, wanted []rbacv1.PolicyRule) []rbacv1.PolicyRule {
	_, missing := validation.Covers(held, wanted)
	return missing
}

// EscalationError is the refusal to let a user grant what they do not hold.
type EscalationError struct {
	// User and Groups are those of whoever attempted it.
	User   string
	Groups []string
	// Missing is what they lack, as Uncovered returns it.
	Missing []rbacv1.PolicyRule
	// Unresolved is what kept some of their rules from being found, or nil.
	Unresolved error
}

// Error is the text that Kubernetes clients know
// (pkg/registry/rbac/validation/rule.go).
func (e *EscalationError) Error() string {
	text := fmt.Sprintf("user %q (groups=%q) is attempting to grant RBAC permissions not currently held:\n%s",
		e.User, e.Groups, strings.Join(describe(e.Missing), "\n"))
	if e.Unresolved != nil {
		text += fmt.Sprintf("; resolution errors: [%v]", e.Unresolved)
	}
	return text
}

// Unwrap returns what kept some of the user's rules from being found, or nil.
func (e *EscalationError) Unwrap() error { return e.Unresolved }

// ConfirmNoEscalation returns nil if the held rules cover the wanted ones, and
// an *EscalationError else. unresolved is what kept some of the held rules from
// being found, or nil; it matters only if those that were found do not suffice.
func ConfirmNoEscalation(u user.Info, held []rbacv1.PolicyRule, unresolved error, wanted []rbacv1.PolicyRule) error {
	missing := Uncovered(held, wanted)
	if len(missing) == 0 {
		return nil
	}
	return &EscalationError{User: u.GetName(), Groups: u.GetGroups(), Missing: missing, Unresolved: unresolved}
}

// describe renders rules as Kubernetes does in refusals, one line each, sorted,
// verbs on the same resource together.
func describe(rules []rbacv1.PolicyRule) []string {
	type target struct {
		group, resource, name string
		named                 bool
	}
	merged := map[target]int{} // index into compact
	var compact []rbacv1.PolicyRule
	for _, rule := range rules {
		if len(rule.APIGroups) != 1 || len(rule.Resources) != 1 || len(rule.ResourceNames) > 1 || len(rule.NonResourceURLs) > 0 {
			compact = append(compact, rule)
			continue
		}
		t := target{group: rule.APIGroups[0], resource: rule.Resources[0], named: len(rule.ResourceNames) == 1}
		if t.named {
			t.name = rule.ResourceNames[0]
		}
		i, ok := merged[t]
		if !ok {
			merged[t] = len(compact)
			compact = append(compact, *rule.DeepCopy())
			continue
		}
		compact[i].Verbs = append(compact[i].Verbs, rule.Verbs...)
	}
	lines := make([]string, 0, len(compact))
	for _, rule := range compact {
		lines = append(lines, describeRule(rule))
	}
	slices.Sort(lines)
	return slices.Compact(lines)
}

func describeRule(rule rbacv1.PolicyRule) string {
	var parts []string
	for _, field := range []struct {
		name   string
		values []string
	}{
		{"APIGroups", rule.APIGroups},
		{"Resources", rule.Resources},
		{"NonResourceURLs", rule.NonResourceURLs},
		{"ResourceNames", rule.ResourceNames},
		{"Verbs", rule.Verbs},
	} {
		if len(field.values) > 0 {
			parts = append(parts, fmt.Sprintf("%s:%q", field.name, field.values))
		}
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

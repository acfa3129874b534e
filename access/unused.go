// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package access

import (
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/muster-identity/muster/rbac"
)

// in returns what a subject did that a binding in a namespace may have allowed;
// everywhere, if the namespace is empty.
func (u *Usage) in(s rbacv1.Subject, namespace string) []Use {
	uses := u.Of(s)
	if namespace == "" {
		return uses
	}
	return slices.DeleteFunc(uses, func(use Use) bool { return use.Namespace != namespace })
}

// unusedOf returns what a rule allows and nobody did, in words. A rule is taken
// apart into its verbs and resources, and an asterisk is used if anything is.
func unusedOf(rule rbacv1.PolicyRule, uses []Use) []string {
	var idle []string
	for _, part := range parts(rule) {
		used := slices.ContainsFunc(uses, func(use Use) bool { return rbac.Matches(&part, &use.Request) })
		if !used {
			idle = append(idle, wordsOf(part))
		}
	}
	return idle
}

// parts takes a rule apart: a verb on a resource, or on a path, each.
func parts(rule rbacv1.PolicyRule) []rbacv1.PolicyRule {
	var all []rbacv1.PolicyRule
	for _, verb := range rule.Verbs {
		for _, path := range rule.NonResourceURLs {
			all = append(all, rbacv1.PolicyRule{Verbs: []string{verb}, NonResourceURLs: []string{path}})
		}
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				all = append(all, rbacv1.PolicyRule{Verbs: []string{verb}, APIGroups: []string{group}, Resources: []string{resource}, ResourceNames: rule.ResourceNames})
			}
		}
	}
	return all
}

func wordsOf(part rbacv1.PolicyRule) string {
	what := strings.Join(part.NonResourceURLs, "")
	if len(part.Resources) == 1 {
		what = qualified(part.Resources[0], part.APIGroups[0])
	}
	return part.Verbs[0] + " " + what
}

// qualified names a resource with its group, as kubectl takes it.
func qualified(resource, group string) string {
	if group == "" {
		return resource
	}
	resource, subresource, parted := strings.Cut(resource, "/")
	if parted {
		return resource + "." + group + "/" + subresource
	}
	return resource + "." + group
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package rbac_test

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
)

// policy is the reference evaluator: all objects by kind, namespace and name,
// gone through from the first to the last for each question, in the most obvious
// way. It shares no code with the package.
type policy map[string]runtime.Object

func (p policy) set(obj runtime.Object)    { p[keyOf(obj)] = obj }
func (p policy) delete(obj runtime.Object) { delete(p, keyOf(obj)) }

func keyOf(obj runtime.Object) string {
	switch o := obj.(type) {
	case *rbacv1.Role:
		return "Role " + o.Namespace + " " + o.Name
	case *rbacv1.ClusterRole:
		return "ClusterRole  " + o.Name
	case *rbacv1.RoleBinding:
		return "RoleBinding " + o.Namespace + " " + o.Name
	case *rbacv1.ClusterRoleBinding:
		return "ClusterRoleBinding  " + o.Name
	}
	panic("no RBAC object")
}

// applied is a binding that applies to a user.
type applied struct {
	name   string
	reason string
	rules  []rbacv1.PolicyRule
	err    string
}

func (p policy) applied(u user.Info, namespace string) (all []applied) {
	var cluster, namespaced []applied
	for _, obj := range p {
		switch b := obj.(type) {
		case *rbacv1.ClusterRoleBinding:
			if subject, ok := subjectFor(u, b.Subjects, ""); ok {
				a := p.resolve(b.RoleRef, "")
				a.name = b.Name
				a.reason = fmt.Sprintf("RBAC: allowed by ClusterRoleBinding %q of %s %q to %s", b.Name, b.RoleRef.Kind, b.RoleRef.Name, subject)
				cluster = append(cluster, a)
			}
		case *rbacv1.RoleBinding:
			if namespace == "" || b.Namespace != namespace {
				continue
			}
			if subject, ok := subjectFor(u, b.Subjects, namespace); ok {
				a := p.resolve(b.RoleRef, namespace)
				a.name = b.Name
				a.reason = fmt.Sprintf("RBAC: allowed by RoleBinding %q of %s %q to %s", b.Name+"/"+b.Namespace, b.RoleRef.Kind, b.RoleRef.Name, subject)
				namespaced = append(namespaced, a)
			}
		}
	}
	byName := func(a, b applied) int { return cmp.Compare(a.name, b.name) }
	slices.SortFunc(cluster, byName)
	slices.SortFunc(namespaced, byName)
	return append(cluster, namespaced...)
}

func (p policy) resolve(ref rbacv1.RoleRef, namespace string) applied {
	if ref.Kind == "Role" {
		if role, ok := p["Role "+namespace+" "+ref.Name]; ok {
			return applied{rules: role.(*rbacv1.Role).Rules}
		}
		return applied{err: fmt.Sprintf("role.rbac.authorization.k8s.io %q not found", ref.Name)}
	}
	if role, ok := p["ClusterRole  "+ref.Name]; ok {
		return applied{rules: role.(*rbacv1.ClusterRole).Rules}
	}
	return applied{err: fmt.Sprintf("clusterrole.rbac.authorization.k8s.io %q not found", ref.Name)}
}

// subjectFor describes the first subject that is the user or one of their groups.
func subjectFor(u user.Info, subjects []rbacv1.Subject, namespace string) (string, bool) {
	for _, s := range subjects {
		if s.Kind == "User" && s.Name == u.GetName() || s.Kind == "Group" && slices.Contains(u.GetGroups(), s.Name) {
			return fmt.Sprintf("%s %q", s.Kind, s.Name), true
		}
		if s.Kind != "ServiceAccount" {
			continue
		}
		home := s.Namespace
		if home == "" {
			home = namespace
		}
		if home != "" && u.GetName() == "system:serviceaccount:"+home+":"+s.Name {
			return fmt.Sprintf("ServiceAccount %q", s.Name+"/"+home), true
		}
	}
	return "", false
}

func (p policy) rulesFor(u user.Info, namespace string) (rules []rbacv1.PolicyRule, errs []string) {
	for _, a := range p.applied(u, namespace) {
		rules = append(rules, a.rules...)
		if a.err != "" {
			errs = append(errs, a.err)
		}
	}
	return rules, errs
}

func (p policy) decide(attrs authorizer.Attributes) (allowed bool, reason string, errs []string) {
	for _, a := range p.applied(attrs.GetUser(), attrs.GetNamespace()) {
		for _, rule := range a.rules {
			if allows(rule, attrs) {
				return true, a.reason, nil
			}
		}
		if a.err != "" {
			errs = append(errs, a.err)
		}
	}
	return false, "", errs
}

func allows(rule rbacv1.PolicyRule, attrs authorizer.Attributes) bool {
	if !inOrAll(rule.Verbs, attrs.GetVerb()) {
		return false
	}
	if !attrs.IsResourceRequest() {
		return slices.ContainsFunc(rule.NonResourceURLs, func(url string) bool {
			prefix, wild := strings.CutSuffix(url, "*")
			return url == attrs.GetPath() || wild && strings.HasPrefix(attrs.GetPath(), prefix)
		})
	}
	resource := slices.Contains(rule.Resources, "*")
	if attrs.GetSubresource() == "" {
		resource = resource || slices.Contains(rule.Resources, attrs.GetResource())
	} else {
		resource = resource || slices.Contains(rule.Resources, attrs.GetResource()+"/"+attrs.GetSubresource()) ||
			slices.Contains(rule.Resources, "*/"+attrs.GetSubresource())
	}
	name := len(rule.ResourceNames) == 0 || slices.Contains(rule.ResourceNames, attrs.GetName())
	return inOrAll(rule.APIGroups, attrs.GetAPIGroup()) && resource && name
}

func inOrAll(set []string, s string) bool {
	return slices.Contains(set, s) || slices.Contains(set, "*")
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package rbac_test

import (
	"math/rand/v2"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
)

// chance draws objects and requests from a small world, so that they meet often.
type chance struct{ *rand.Rand }

func newChance(seed uint64) chance { return chance{rand.New(rand.NewPCG(seed, 13))} }

func (c chance) one(of ...string) string { return of[c.IntN(len(of))] }

func (c chance) some(least, most int, of ...string) []string {
	chosen := make([]string, 0, most)
	for range least + c.IntN(most-least+1) {
		chosen = append(chosen, c.one(of...))
	}
	return chosen
}

func (c chance) namespace() string { return c.one("a", "b") }

func (c chance) rule() rbacv1.PolicyRule {
	if c.IntN(4) == 0 {
		return rbacv1.PolicyRule{
			Verbs:           c.some(1, 2, "get", "post", "*"),
			NonResourceURLs: c.some(1, 2, "/healthz", "/healthz/*", "/api", "/api*", "*", "/version"),
		}
	}
	return rbacv1.PolicyRule{
		Verbs:         c.some(1, 2, "get", "list", "*"),
		APIGroups:     c.some(1, 2, "", "", "batch", "*"),
		Resources:     c.some(1, 2, "pods", "pods", "pods/log", "jobs", "*/log", "*/status", "*", "pods/*", "log"),
		ResourceNames: c.some(0, c.IntN(2), "x", "y"),
	}
}

func (c chance) rules() []rbacv1.PolicyRule {
	rules := make([]rbacv1.PolicyRule, 0, 4)
	for range c.IntN(5) {
		rules = append(rules, c.rule())
	}
	return rules
}

func (c chance) subjects(namespaced bool) []rbacv1.Subject {
	var subjects []rbacv1.Subject
	for range 1 + c.IntN(3) {
		switch c.IntN(4) {
		case 0:
			subjects = append(subjects, rbacv1.Subject{Kind: "User", APIGroup: rbacv1.GroupName, Name: c.one("ann", "ben", "system:serviceaccount:a:bot")})
		case 1:
			subjects = append(subjects, rbacv1.Subject{Kind: "Group", APIGroup: rbacv1.GroupName, Name: c.one("crew", "system:serviceaccounts", "ann")})
		case 2:
			subjects = append(subjects, rbacv1.Subject{Kind: "ServiceAccount", Namespace: c.namespace(), Name: c.one("bot", "default")})
		case 3:
			// Without a namespace: that of the binding, or nobody's.
			if namespaced || c.IntN(2) == 0 {
				subjects = append(subjects, rbacv1.Subject{Kind: "ServiceAccount", Name: c.one("bot", "default")})
			}
		}
	}
	return subjects
}

func (c chance) ref(namespaced bool) rbacv1.RoleRef {
	ref := rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: c.one("r1", "r2", "r3", "r3")}
	if namespaced && c.IntN(2) == 0 {
		ref.Kind = "Role"
	}
	return ref
}

func (c chance) object() runtime.Object {
	switch c.IntN(4) {
	case 0:
		return &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: c.namespace(), Name: c.one("r1", "r2", "r3")}, Rules: c.rules()}
	case 1:
		return &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: c.one("r1", "r2", "r3")}, Rules: c.rules()}
	case 2:
		return &rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Namespace: c.namespace(), Name: c.one("b1", "b2", "b3", "b4")},
			RoleRef:    c.ref(true), Subjects: c.subjects(true),
		}
	default:
		return &rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: c.one("b1", "b2", "b3", "b4")},
			RoleRef:    c.ref(false), Subjects: c.subjects(false),
		}
	}
}

func (c chance) user() user.Info {
	name := c.one("ann", "ben", "crew", "system:serviceaccount:a:bot", "system:serviceaccount:b:bot", "system:serviceaccount:b:default")
	return &user.DefaultInfo{Name: name, Groups: c.some(0, 3, "crew", "system:serviceaccounts", "system:authenticated", "ann")}
}

func (c chance) request() authorizer.AttributesRecord {
	if c.IntN(4) == 0 {
		return authorizer.AttributesRecord{User: c.user(), Verb: c.one("get", "post"), Path: c.one("/healthz", "/healthz/etcd", "/api", "/apis", "/version", "*")}
	}
	return authorizer.AttributesRecord{
		User: c.user(), ResourceRequest: true, Verb: c.one("get", "get", "list", "delete"),
		Namespace: c.one("a", "b", ""), APIGroup: c.one("", "", "batch", "apps"),
		Resource: c.one("pods", "pods", "jobs", "log", "*"), Subresource: c.one("", "", "log", "status", "*"), Name: c.one("", "x", "y", "z"),
	}
}

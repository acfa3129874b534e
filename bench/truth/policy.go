// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"math/rand/v2"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// object is a Role, ClusterRole, RoleBinding or ClusterRoleBinding.
type object interface {
	metav1.Object
	runtime.Object
}

// chance makes random choices from few things, so that they meet often.
type chance struct {
	*rand.Rand
	// tag ends the names of cluster roles: those of one policy are never those
	// of another, which a slow controller may yet write.
	tag string
}

func newChance(seed uint64, policy int) chance {
	return chance{rand.New(rand.NewPCG(seed, uint64(policy))), fmt.Sprintf("-%d", policy)}
}

func (c chance) one(of ...string) string { return of[c.IntN(len(of))] }

// in tells once in n times that something is so.
func (c chance) in(n int) bool { return c.IntN(n) == 0 }

func (c chance) some(least, most int, of ...string) []string {
	var chosen []string
	for range least + c.IntN(most-least+1) {
		chosen = append(chosen, c.one(of...))
	}
	return chosen
}

func (c chance) namespace() string { return c.one("a", "b") }

// policy is roles and bindings, some of them to roles that are missing.
func (c chance) policy() []object {
	var all []object
	for _, namespace := range []string{"a", "b"} {
		for i := range 1 + c.IntN(3) {
			all = append(all, c.role(namespace, fmt.Sprintf("r%d", i+1)))
		}
		for i := range 1 + c.IntN(5) {
			all = append(all, c.binding(namespace, fmt.Sprintf("b%d", i+1)))
		}
	}
	for i := range 2 + c.IntN(3) {
		all = append(all, c.role("", fmt.Sprintf("r%d", i+1)))
	}
	if c.in(2) {
		all = append(all, c.aggregate("r5", "part"), c.aggregate("r6", "whole"))
	}
	for i := range 1 + c.IntN(4) {
		all = append(all, c.binding("", fmt.Sprintf("b%d", i+1)))
	}
	return all
}

// role is one of a namespace, or of the cluster where there is none.
func (c chance) role(namespace, name string) object {
	var rules []rbacv1.PolicyRule
	for range c.IntN(6) {
		rules = append(rules, c.rule(namespace == ""))
	}
	if namespace != "" {
		return &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Rules: rules}
	}
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name + c.tag}, Rules: rules}
	if c.in(2) {
		role.Labels = map[string]string{c.one("part", "whole"): "of" + c.tag}
	}
	return role
}

// aggregate is a cluster role of the rules of those with a label. A part is
// itself part of the whole.
func (c chance) aggregate(name, label string) object {
	role := &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: name + c.tag},
		AggregationRule: &rbacv1.AggregationRule{ClusterRoleSelectors: []metav1.LabelSelector{
			{MatchLabels: map[string]string{label: "of" + c.tag}},
		}},
	}
	if label == "part" {
		role.Labels = map[string]string{"whole": "of" + c.tag}
	}
	return role
}

// rule is about resources, or about paths where these may be granted.
func (c chance) rule(paths bool) rbacv1.PolicyRule {
	if paths && c.in(4) {
		return rbacv1.PolicyRule{
			Verbs:           c.some(1, 2, "get", "post", "*"),
			NonResourceURLs: c.some(1, 2, "/healthz", "/healthz/*", "/api", "/api*", "*", "/metrics"),
		}
	}
	if c.in(6) {
		return rbacv1.PolicyRule{
			Verbs: c.some(1, 3, "bind", "escalate", "create", "update", "*"), APIGroups: []string{rbacv1.GroupName},
			Resources: c.some(1, 3, "roles", "clusterroles", "rolebindings"), ResourceNames: c.some(0, c.IntN(2), "r1", "r2", "r1"+c.tag),
		}
	}
	return rbacv1.PolicyRule{
		Verbs:         c.some(1, 3, "get", "get", "list", "create", "*", "*"),
		APIGroups:     c.some(1, 2, "", "", "batch", "apps", "*"),
		Resources:     c.some(1, 3, "pods", "pods", "pods/log", "jobs", "secrets", "*/log", "*/status", "*", "pods/*", "log"),
		ResourceNames: c.some(0, c.IntN(3), "x", "y"),
	}
}

// binding is one of a namespace, or of the cluster where there is none.
func (c chance) binding(namespace, name string) object {
	ref := rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: c.one("r1", "r2", "r3", "r4", "r5", "r6", "gone") + c.tag}
	if namespace != "" && c.in(2) {
		ref.Kind, ref.Name = "Role", c.one("r1", "r2", "r3", "gone")
	}
	if namespace == "" {
		return &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: name + c.tag}, RoleRef: ref, Subjects: c.subjects(false)}
	}
	return &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, RoleRef: ref, Subjects: c.subjects(true)}
}

// subjects are of every sort; only in a namespace may an account be without one.
func (c chance) subjects(namespaced bool) []rbacv1.Subject {
	var subjects []rbacv1.Subject
	for range c.IntN(6) {
		switch c.IntN(3) {
		case 0:
			subjects = append(subjects, rbacv1.Subject{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: c.one("ann", "ben", "cid", "system:serviceaccount:a:bot")})
		case 1:
			subjects = append(subjects, rbacv1.Subject{Kind: rbacv1.GroupKind, APIGroup: rbacv1.GroupName, Name: c.one("crew", "system:serviceaccounts", "system:serviceaccounts:a", "system:authenticated", "ann")})
		case 2:
			account := rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: c.namespace(), Name: c.one("bot", "default")}
			if namespaced && c.in(3) {
				account.Namespace = ""
			}
			subjects = append(subjects, account)
		}
	}
	return subjects
}

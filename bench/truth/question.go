// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/http"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// sort is what a question is about.
type sort string

const (
	access sort = "access" // may somebody do something? A SubjectAccessReview
	rules  sort = "rules"  // what may I do? A SelfSubjectRulesReview
	writes sort = "writes" // a role or binding, without effect, whose writer may lack what it grants
)

// identity is who asks, by impersonation.
type identity struct {
	User   string   `json:"user"`
	Groups []string `json:"groups,omitempty"`
}

// question is a request that has no effect.
type question struct {
	Sort   sort           `json:"sort"`
	As     identity       `json:"as"`
	Method string         `json:"method"`
	Path   string         `json:"path"`
	Body   runtime.Object `json:"body"`
}

// asker asks about others. It is in no group that a policy names, so that it
// never comes to see more than Kubernetes shows.
var asker = identity{User: "truth:asker", Groups: []string{"system:unauthenticated"}}

func (c chance) question(policy []object) question {
	switch n := c.IntN(20); {
	case n < 12:
		return c.access()
	case n < 15:
		return c.rulesOf()
	default:
		return c.write(policy)
	}
}

// identity is somebody whom policies name, or not.
func (c chance) identity() identity {
	switch c.IntN(3) {
	case 0:
		return identity{User: "system:serviceaccount:" + c.one("a:bot", "b:bot", "b:default", "c:bot")}
	default:
		return identity{User: c.one("ann", "ben", "cid", "dan"), Groups: c.some(0, 2, "crew", "system:serviceaccounts", "ann")}
	}
}

// writer is one of those who may write roles and bindings.
func (c chance) writer() identity {
	if c.in(3) {
		return identity{User: "system:serviceaccount:a:bot"}
	}
	return identity{User: c.one("ann", "ben"), Groups: c.some(0, 2, "crew", "system:serviceaccounts", "ann")}
}

func (c chance) access() question {
	u := c.identity()
	spec := authorizationv1.SubjectAccessReviewSpec{User: u.User, Groups: append(u.Groups, c.some(0, 2, "system:authenticated", "system:serviceaccounts", "system:serviceaccounts:a")...)}
	if c.in(30) {
		spec.Groups = append(spec.Groups, "system:masters")
	}
	if c.in(10) {
		spec.User = ""
		spec.Groups = append(spec.Groups, "crew")
	}
	if c.in(5) {
		spec.NonResourceAttributes = &authorizationv1.NonResourceAttributes{
			Verb: c.one("get", "post", "*"), Path: c.one("/healthz", "/healthz/etcd", "/api", "/apis/x", "/metrics", "*", ""),
		}
	} else {
		spec.ResourceAttributes = c.attributes()
	}
	review := &authorizationv1.SubjectAccessReview{Spec: spec}
	return question{access, asker, http.MethodPost, "/apis/authorization.k8s.io/v1/subjectaccessreviews", review}
}

func (c chance) attributes() *authorizationv1.ResourceAttributes {
	if c.in(6) {
		return &authorizationv1.ResourceAttributes{
			Namespace: c.one("a", "b", ""), Verb: c.one("bind", "escalate", "create", "update"), Group: rbacv1.GroupName,
			Resource: c.one("roles", "clusterroles", "rolebindings"), Name: c.one("", "r1", "r2", "r1"+c.tag),
		}
	}
	attributes := &authorizationv1.ResourceAttributes{
		Namespace: c.one("a", "a", "a", "b", "b", "b", "c", ""), Verb: c.one("get", "get", "list", "list", "create", "delete", "*"),
		Group: c.one("", "", "", "batch", "apps", "*"), Resource: c.one("pods", "pods", "pods", "jobs", "secrets", "log", "*"),
		Subresource: c.one("", "", "", "log", "status", "*"), Name: c.one("", "x", "y", "z"),
	}
	if c.in(10) {
		attributes.LabelSelector = &authorizationv1.LabelSelectorAttributes{RawSelector: c.one("k=v", "k in (", "k!=v")}
	}
	if c.in(10) {
		attributes.FieldSelector = &authorizationv1.FieldSelectorAttributes{RawSelector: c.one("spec.nodeName=n", "a in (b)")}
	}
	return attributes
}

func (c chance) rulesOf() question {
	review := &authorizationv1.SelfSubjectRulesReview{Spec: authorizationv1.SelfSubjectRulesReviewSpec{Namespace: c.one("a", "b", "c")}}
	return question{rules, c.identity(), http.MethodPost, "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", review}
}

// write makes an object of a policy's sort, or gives one of the policy another
// content.
func (c chance) write(policy []object) question {
	namespace, name := c.one("a", "b", ""), "new"
	asked := question{Sort: writes, As: c.identity(), Method: http.MethodPost}
	if !c.in(5) {
		asked.As = c.writer()
	}
	made := c.role(namespace, name)
	if c.in(2) {
		made = c.binding(namespace, name)
	} else if namespace == "" && c.in(5) {
		made = c.aggregate(name, "part")
	}
	asked.Path = pathOf(made, false)
	if old := policy[c.IntN(len(policy))]; c.in(2) {
		made = c.changed(old)
		asked.Method, asked.Path = http.MethodPut, pathOf(made, true)
	}
	asked.Path += "?dryRun=" + metav1.DryRunAll
	asked.Body = made
	return asked
}

// changed is an object with other rules or subjects, and sometimes another
// role, which is never lawful.
func (c chance) changed(old object) object {
	switch changed := old.DeepCopyObject().(type) {
	case *rbacv1.Role:
		changed.Rules = append(changed.Rules, c.rule(false))
		return changed
	case *rbacv1.ClusterRole:
		changed.Rules = append(changed.Rules, c.rule(true))
		return changed
	case *rbacv1.RoleBinding:
		changed.Subjects = c.subjects(true)
		if c.in(4) {
			changed.RoleRef = c.binding(changed.Namespace, "").(*rbacv1.RoleBinding).RoleRef
		}
		return changed
	case *rbacv1.ClusterRoleBinding:
		changed.Subjects = c.subjects(false)
		return changed
	}
	panic("a policy holds what is no RBAC object")
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

// Package access tells what a policy amounts to: who reaches what, as a picture
// (Draw); what in it does harm, or is of no use (Review); and how much of it a
// subject needs, by what an audit log says they did (Least).
//
// All of it is reckoned from RBAC objects by the room rbac, which decides
// requests as well. Read fetches these objects; the rest is pure.
package access

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/pager"

	"github.com/muster-identity/muster/rbac"
)

// A Policy is all that decides who may do what by RBAC, and the accounts that
// there are.
type Policy struct {
	ClusterRoles        []*rbacv1.ClusterRole
	Roles               []*rbacv1.Role
	ClusterRoleBindings []*rbacv1.ClusterRoleBinding
	RoleBindings        []*rbacv1.RoleBinding
	ServiceAccounts     []*corev1.ServiceAccount
}

// Read fetches the policy of a server. The caller must be allowed to list all of
// it in all namespaces.
func Read(ctx context.Context, client kubernetes.Interface) (*Policy, error) {
	policy := &Policy{}
	authorization, core := client.RbacV1(), client.CoreV1()
	for _, list := range []struct {
		resource string
		page     pager.ListPageFunc
	}{
		{"clusterroles", pager.SimplePageFunc(func(o metav1.ListOptions) (runtime.Object, error) {
			return authorization.ClusterRoles().List(ctx, o)
		})},
		{"roles", pager.SimplePageFunc(func(o metav1.ListOptions) (runtime.Object, error) {
			return authorization.Roles("").List(ctx, o)
		})},
		{"clusterrolebindings", pager.SimplePageFunc(func(o metav1.ListOptions) (runtime.Object, error) {
			return authorization.ClusterRoleBindings().List(ctx, o)
		})},
		{"rolebindings", pager.SimplePageFunc(func(o metav1.ListOptions) (runtime.Object, error) {
			return authorization.RoleBindings("").List(ctx, o)
		})},
		{"serviceaccounts", pager.SimplePageFunc(func(o metav1.ListOptions) (runtime.Object, error) {
			return core.ServiceAccounts("").List(ctx, o)
		})},
	} {
		pages := pager.New(list.page)
		pages.PageSize = 5000
		if err := pages.EachListItem(ctx, metav1.ListOptions{}, policy.add); err != nil {
			return nil, fmt.Errorf("listing %s: %w", list.resource, err)
		}
	}
	return policy, nil
}

func (p *Policy) add(object runtime.Object) error {
	switch object := object.(type) {
	case *rbacv1.ClusterRole:
		p.ClusterRoles = append(p.ClusterRoles, object)
	case *rbacv1.Role:
		p.Roles = append(p.Roles, object)
	case *rbacv1.ClusterRoleBinding:
		p.ClusterRoleBindings = append(p.ClusterRoleBindings, object)
	case *rbacv1.RoleBinding:
		p.RoleBindings = append(p.RoleBindings, object)
	case *corev1.ServiceAccount:
		p.ServiceAccounts = append(p.ServiceAccounts, object)
	default:
		return fmt.Errorf("%T is no part of a policy", object)
	}
	return nil
}

// binding is a RoleBinding or a ClusterRoleBinding.
type binding struct {
	rbac.Ref
	labels   map[string]string
	role     rbac.Ref
	subjects []rbacv1.Subject
}

// bindings are all of the policy: those of the cluster first, then by namespace
// and name. A service account among the subjects has its namespace.
func (p *Policy) bindings() []binding {
	var all []binding
	for _, b := range p.ClusterRoleBindings {
		all = append(all, newBinding("ClusterRoleBinding", b.ObjectMeta, b.RoleRef, b.Subjects))
	}
	for _, b := range p.RoleBindings {
		all = append(all, newBinding("RoleBinding", b.ObjectMeta, b.RoleRef, b.Subjects))
	}
	slices.SortFunc(all, func(a, b binding) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return all
}

func newBinding(kind string, meta metav1.ObjectMeta, ref rbacv1.RoleRef, subjects []rbacv1.Subject) binding {
	b := binding{
		Ref:      rbac.Ref{Kind: kind, Namespace: meta.Namespace, Name: meta.Name},
		labels:   meta.Labels,
		role:     rbac.Ref{Kind: ref.Kind, Name: ref.Name},
		subjects: slices.Clone(subjects),
	}
	if ref.Kind == "Role" {
		b.role.Namespace = meta.Namespace
	}
	for i := range b.subjects {
		if s := &b.subjects[i]; s.Kind == rbacv1.ServiceAccountKind && s.Namespace == "" {
			s.Namespace = meta.Namespace
		}
	}
	return b
}

// rules are those of every role there is.
func (p *Policy) rules() map[rbac.Ref][]rbacv1.PolicyRule {
	all := map[rbac.Ref][]rbacv1.PolicyRule{}
	for _, r := range p.ClusterRoles {
		all[rbac.Ref{Kind: "ClusterRole", Name: r.Name}] = r.Rules
	}
	for _, r := range p.Roles {
		all[rbac.Ref{Kind: "Role", Namespace: r.Namespace, Name: r.Name}] = r.Rules
	}
	return all
}

// accounts are the user names of the accounts that there are.
func (p *Policy) accounts() sets.Set[string] {
	all := sets.New[string]()
	for _, a := range p.ServiceAccounts {
		all.Insert(serviceaccount.MakeUsername(a.Namespace, a.Name))
	}
	return all
}

// ParseSubject reads whom somebody means: group:NAME, user:NAME, NAMESPACE/NAME
// for a service account, or the name of a user, which is a service account's if
// it looks so.
func ParseSubject(text string) (rbacv1.Subject, error) {
	kind, name, said := strings.Cut(text, ":")
	switch {
	case said && kind == "group" && name != "":
		return rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: name}, nil
	case said && kind == "user" && name != "":
		return rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: name}, nil
	}
	if namespace, name, err := serviceaccount.SplitUsername(text); err == nil {
		return rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: name}, nil
	}
	namespace, name, slash := strings.Cut(text, "/")
	switch {
	case slash && namespace != "" && name != "" && !strings.Contains(name, "/"):
		return rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: name}, nil
	case text == "" || slash:
		return rbacv1.Subject{}, fmt.Errorf("%q is no subject: NAMESPACE/NAME for a service account, user:NAME or group:NAME", text)
	}
	return rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: text}, nil
}

// UsernameOf is the name by which requests of a user or a service account are
// known; empty for a group.
func UsernameOf(s rbacv1.Subject) string {
	switch s.Kind {
	case rbacv1.UserKind:
		return s.Name
	case rbacv1.ServiceAccountKind:
		return serviceaccount.MakeUsername(s.Namespace, s.Name)
	}
	return ""
}

// Names are the names of single objects that the policy's rules have.
func (p *Policy) Names() sets.Set[string] {
	all := sets.New[string]()
	for _, rules := range p.rules() {
		for _, rule := range rules {
			all.Insert(rule.ResourceNames...)
		}
	}
	return all
}

// NameForLeast makes a name for all that a subject needs.
func NameForLeast(s rbacv1.Subject) string { return named("least", subjectWords(s)...) }

// NameFor makes a name for a role that allows a subject one thing. Another subject
// or thing has another name, so that what is applied takes nothing from anybody.
func NameFor(s rbacv1.Subject, q rbac.Request) string {
	what := []string{q.Verb, q.Path}
	if q.ResourceRequest {
		what[1] = schema.GroupResource{Group: q.APIGroup, Resource: q.Resource}.String()
	}
	if q.Subresource != "" {
		what[1] += "~" + q.Subresource // a slash cannot be in a name
	}
	if q.Name != "" {
		what = append(what, q.Name)
	}
	return named("", append(subjectWords(s), what...)...)
}

// subjectWords name a subject. Namespaces and accounts have no colon and no capital in their
// names, and are told from users and groups by that these have their kind.
func subjectWords(s rbacv1.Subject) []string {
	if s.Kind == rbacv1.ServiceAccountKind {
		return []string{s.Namespace, s.Name}
	}
	return []string{s.Kind, s.Name}
}

// named joins words to a name that roles can have. What cannot be in a name is
// replaced, and a digest of the words then tells the name from others.
func named(first string, words ...string) string {
	name := strings.Trim(first+":"+strings.Join(words, ":"), ":")
	fit := strings.Map(func(r rune) rune {
		if r > ' ' && r < 0x7f && !strings.ContainsRune(`/%"'*`+"`", r) {
			return r
		}
		return '-'
	}, name)
	if fit != name {
		digest := sha256.Sum256([]byte(name))
		fit += ":" + hex.EncodeToString(digest[:4])
	}
	return fit
}

// Has tells whether there is a role or a binding of a name in a namespace; an empty
// one is that of ClusterRoles and ClusterRoleBindings.
func (p *Policy) Has(namespace, name string) bool {
	for _, b := range p.bindings() {
		if b.Namespace == namespace && b.Name == name {
			return true
		}
	}
	for ref := range p.rules() {
		if ref.Namespace == namespace && ref.Name == name {
			return true
		}
	}
	return false
}

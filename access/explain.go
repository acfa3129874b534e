// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package access

import (
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/muster-identity/muster/rbac"
)

// Index is the policy as the server's decisions see it.
func (p *Policy) Index() *rbac.Index {
	index := rbac.NewIndex()
	for _, r := range p.ClusterRoles {
		index.Set(r)
	}
	for _, r := range p.Roles {
		index.Set(r)
	}
	for _, b := range p.ClusterRoleBindings {
		index.Set(b)
	}
	for _, b := range p.RoleBindings {
		index.Set(b)
	}
	return index
}

// UserFor is who makes the requests of a subject: a user or a service account
// with the groups that follow from the name and those given, or a member of a
// group, of no name, with the groups that follow from that.
func UserFor(s rbacv1.Subject, groups ...string) user.Info {
	u := &user.DefaultInfo{Name: UsernameOf(s), Groups: slices.Clone(groups)}
	switch s.Kind {
	case rbacv1.ServiceAccountKind:
		u.Groups = append(u.Groups, serviceaccount.MakeGroupNames(s.Namespace)...)
	case rbacv1.GroupKind:
		u.Groups = append(u.Groups, s.Name)
	}
	if slices.ContainsFunc(u.Groups, func(g string) bool { return strings.HasPrefix(g, serviceaccount.ServiceAccountGroupPrefix) }) {
		u.Groups = append(u.Groups, serviceaccount.AllServiceAccountsGroup)
	}
	if u.Name == user.Anonymous || slices.Contains(u.Groups, user.AllUnauthenticated) {
		u.Groups = append(u.Groups, user.AllUnauthenticated)
	} else {
		u.Groups = append(u.Groups, user.AllAuthenticated)
	}
	slices.Sort(u.Groups)
	u.Groups = slices.Compact(u.Groups)
	return u
}

// Why is whether somebody may do something, and by what.
type Why struct {
	Allowed bool `json:"allowed"`
	// By are all grants that allow it, Nearest those that come near if there is
	// none.
	By      []rbac.Grant `json:"by,omitempty"`
	Nearest []rbac.Miss  `json:"nearest,omitempty"`
}

// Explain tells whether u may do what q asks for in namespace, and by what. It
// goes through the whole index, and so finds also the accounts of u's name in
// namespaces that Index.Nearest does not think of.
func Explain(index *rbac.Index, u user.Info, namespace string, q rbac.Request) Why {
	if ways := index.Ways(u, namespace, q); len(ways) > 0 {
		return Why{Allowed: true, By: ways}
	}
	why := Why{Nearest: index.Nearest(u, namespace, q)}
	home, name, err := serviceaccount.SplitUsername(u.GetName())
	if err != nil {
		return why
	}
	known := map[rbac.Ref]bool{}
	for _, miss := range why.Nearest {
		known[miss.Binding] = miss.Short == rbac.ShortSubject
	}
	var namesakes []rbac.Miss
	for _, g := range index.WhoCan(namespace, q) {
		if g.Subject.Kind == rbacv1.ServiceAccountKind && g.Subject.Name == name && !known[g.Binding] {
			namesakes = append(namesakes, rbac.Miss{
				Short: rbac.ShortSubject, Subject: g.Subject, Binding: g.Binding, Role: g.Role,
				Says: fmt.Sprintf("%s of %s would allow it, but is to %s, not to ServiceAccount %s/%s", g.Binding, g.Role, rbac.NameOf(g.Subject), home, name),
			})
		}
	}
	why.Nearest = append(namesakes, why.Nearest...)
	return why
}

// Suggest returns the smallest role that allows a request and its binding to the
// subject, both of the given name: a Role and a RoleBinding for what is in a
// namespace, a ClusterRole and a ClusterRoleBinding else.
func Suggest(subject rbacv1.Subject, name, namespace string, q rbac.Request) []runtime.Object {
	if !q.ResourceRequest {
		namespace = ""
	}
	return grant(subject, namespace, name, RulesFor([]rbac.Request{q}))
}

// RuleText tells a rule in words: get, list: pods.
func RuleText(rule rbacv1.PolicyRule) string {
	return ruleText(rule, func(words []string) string { return strings.Join(words, ", ") })
}

func ruleText(rule rbacv1.PolicyRule, list func([]string) string) string {
	what := slices.Clone(rule.NonResourceURLs)
	for _, resource := range rule.Resources {
		for _, group := range rule.APIGroups {
			what = append(what, qualified(resource, group))
		}
	}
	text := list(rule.Verbs) + ": " + list(what)
	if len(rule.ResourceNames) > 0 {
		text += " named " + list(rule.ResourceNames)
	}
	return text
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package rbac

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
	"k8s.io/apiserver/pkg/authentication/user"
)

// Short is in what a grant falls short of allowing a request.
type Short string

// What a grant may fall short in, the nearest first.
const (
	// ShortSubject: it is to somebody whose name is much the same.
	ShortSubject Short = "subject"
	// ShortRole: its role does not exist.
	ShortRole Short = "role"
	// ShortNamespace: it counts in another namespace.
	ShortNamespace Short = "namespace"
	// ShortName: it is for other objects of the resource.
	ShortName Short = "name"
	// ShortVerb: it is for other verbs.
	ShortVerb Short = "verb"
	// ShortPart: it is for the object or another part of it.
	ShortPart Short = "subresource"
	// ShortGroup: it is for a resource of that name in another API group.
	ShortGroup Short = "apiGroup"
)

var nearness = []Short{ShortSubject, ShortRole, ShortNamespace, ShortName, ShortVerb, ShortPart, ShortGroup}

// A Miss is a grant that comes near to what a request asks for.
type Miss struct {
	Short   Short          `json:"short"`
	Subject rbacv1.Subject `json:"subject"`
	Binding Ref            `json:"binding"`
	Role    Ref            `json:"role"`
	// Says tells in words what the grant is and what it is not.
	Says string `json:"says"`
}

// What Nearest looks at, at most: an answer has to come soon, whoever asks about
// whom.
const (
	// mostPlaces is in how many other namespaces.
	mostPlaces = 100
	// mostGrants is how many grants of a holder in a namespace.
	mostGrants = 200
)

// someOf are grants to u and their groups in some namespaces, of each not all if
// there are many.
func (x *Index) someOf(u user.Info, namespaces ...string) []*grant {
	var grants []*grant
	add := func(h holder) {
		held := x.holdings.get(h)
		grants = append(grants, held[:min(len(held), mostGrants)]...)
	}
	for _, namespace := range namespaces {
		add(holder{name: u.GetName(), namespace: namespace})
		for _, group := range u.GetGroups() {
			add(holder{group: true, name: group, namespace: namespace})
		}
	}
	return grants
}

// Nearest returns what u holds that comes nearest to what q asks for in
// namespace, the nearest first, with one miss for each binding. It costs what the
// bindings of u cost, and those of a few names that are easily confused with
// theirs; of many hundred, not all are looked at. What allows the request is no
// miss.
func (x *Index) Nearest(u user.Info, namespace string, q Request) []Miss {
	places := x.Places(u)
	scopes := []string{""}
	if q.ResourceRequest && namespace != "" {
		scopes = append(scopes, namespace)
	}
	return settled(x, func() []Miss {
		found := misses{}
		for _, g := range x.someOf(u, scopes...) {
			found.short(g, &q)
		}
		if q.ResourceRequest {
			for _, place := range places[:min(len(places), mostPlaces)] {
				if place != namespace {
					found.elsewhere(x.someOf(u, place), namespace, &q)
				}
			}
		}
		for _, other := range mistakable(u, namespace) {
			found.mistaken(x.someOf(other, scopes...), u, &q)
		}
		return found.sorted()
	})
}

// misses are the nearest by binding.
type misses map[bindingKey]Miss

func (m misses) add(g *grant, short Short, says string) {
	miss := Miss{Short: short, Subject: g.subject(), Binding: g.binding.key.ref(), Role: g.binding.role.key.ref()}
	miss.Says = fmt.Sprintf("%s of %s ", miss.Binding, miss.Role) + says
	before, there := m[g.binding.key]
	if !there || slices.Index(nearness, short) < slices.Index(nearness, before.Short) {
		m[g.binding.key] = miss
	}
}

func (m misses) sorted() []Miss {
	all := make([]Miss, 0, len(m))
	for _, miss := range m {
		all = append(all, miss)
	}
	slices.SortFunc(all, func(a, b Miss) int {
		return cmp.Or(cmp.Compare(slices.Index(nearness, a.Short), slices.Index(nearness, b.Short)),
			cmp.Compare(a.Binding.Namespace, b.Binding.Namespace), cmp.Compare(a.Binding.Name, b.Binding.Name))
	})
	return all
}

// short adds in what a grant that counts for the request falls short.
func (m misses) short(g *grant, q *Request) {
	rules := g.binding.role.rules.Load()
	if rules == nil {
		m.add(g, ShortRole, "is held, but the role does not exist")
		return
	}
	var verbs []string
	for i := range *rules {
		rule := &(*rules)[i]
		switch shortOf(rule, q) {
		case ShortVerb:
			verbs = append(verbs, rule.Verbs...)
			m.add(g, ShortVerb, fmt.Sprintf("allows %s on %s, not %s", strings.Join(distinct(verbs), ", "), q.target(), q.Verb))
		case ShortName:
			m.add(g, ShortName, fmt.Sprintf("allows to %s those of the %s that are named %s, not %s", q.Verb, q.target(), strings.Join(rule.ResourceNames, ", "), q.named()))
		case ShortPart:
			m.add(g, ShortPart, fmt.Sprintf("allows to %s %s, not %s", q.Verb, strings.Join(rule.Resources, ", "), q.target()))
		case ShortGroup:
			m.add(g, ShortGroup, fmt.Sprintf("allows to %s %s in the API group %q, not in %q", q.Verb, q.target(), strings.Join(rule.APIGroups, ", "), q.APIGroup))
		}
	}
}

// shortOf tells in what a rule falls short; empty if it matches, or is about
// something else.
func shortOf(rule *rbacv1.PolicyRule, q *Request) Short {
	verb := hasOrAll(rule.Verbs, q.Verb)
	if !q.ResourceRequest {
		if !verb && matchesPath(rule.NonResourceURLs, q.Path) {
			return ShortVerb
		}
		return ""
	}
	group, resource := hasOrAll(rule.APIGroups, q.APIGroup), matchesResource(rule.Resources, q)
	name := len(rule.ResourceNames) == 0 || slices.Contains(rule.ResourceNames, q.Name)
	switch {
	case group && resource && verb && !name:
		return ShortName
	case group && resource && !verb && name:
		return ShortVerb
	case group && !resource && verb && name && hasPartOf(rule.Resources, q.Resource):
		return ShortPart
	case !group && resource && verb && name:
		return ShortGroup
	}
	return ""
}

// hasPartOf tells whether a resource itself or any part of it is in a set.
func hasPartOf(set []string, resource string) bool {
	return slices.ContainsFunc(set, func(s string) bool {
		of, _, _ := strings.Cut(s, "/")
		return of == resource
	})
}

// elsewhere adds grants that would allow the request in their own namespace.
func (m misses) elsewhere(grants []*grant, namespace string, q *Request) {
	not := "not in the namespace " + namespace
	if namespace == "" {
		not = "not in the whole cluster"
	}
	for _, g := range grants {
		if g.binding.role.match(q) != nil {
			m.add(g, ShortNamespace, fmt.Sprintf("allows it in the namespace %s, %s", g.binding.key.namespace, not))
		}
	}
}

// mistaken adds grants that would allow the request, if they were to u.
func (m misses) mistaken(grants []*grant, u user.Info, q *Request) {
	for _, g := range grants {
		if g.binding.role.match(q) != nil {
			subject := g.subject()
			m.add(g, ShortSubject, fmt.Sprintf("would allow it, but is to %s, not to %s", NameOf(subject), NameOf(subjectFor(u))))
		}
	}
}

// mistakable are users and groups with which u is easily confused in a binding:
// an account of the same name in the namespace asked about or in default, and
// what people write for an account's name where it is a user's.
func mistakable(u user.Info, namespace string) []user.Info {
	var names []string
	if home, name, err := serviceaccount.SplitUsername(u.GetName()); err == nil {
		for _, other := range []string{namespace, "default"} {
			if other != "" && other != home {
				names = append(names, serviceaccount.MakeUsername(other, name))
			}
		}
		names = append(names, name, home+"/"+name, home+":"+name, "serviceaccount:"+home+":"+name)
	} else if home, name, found := strings.Cut(strings.Replace(u.GetName(), "/", ":", 1), ":"); found {
		names = append(names, serviceaccount.MakeUsername(home, name))
	}
	others := []user.Info{}
	if !slices.Contains(u.GetGroups(), u.GetName()) {
		others = append(others, &user.DefaultInfo{Groups: []string{u.GetName()}})
	}
	for _, name := range distinct(names) {
		others = append(others, &user.DefaultInfo{Name: name})
	}
	return others
}

// subjectFor is the subject that a binding to u would have.
func subjectFor(u user.Info) rbacv1.Subject {
	if namespace, name, err := serviceaccount.SplitUsername(u.GetName()); err == nil {
		return rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: name}
	}
	return rbacv1.Subject{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: u.GetName()}
}

// NameOf names a subject for people: ServiceAccount dev/reporter, or User jane.
func NameOf(s rbacv1.Subject) string {
	if s.Kind == rbacv1.ServiceAccountKind {
		return s.Kind + " " + s.Namespace + "/" + s.Name
	}
	return s.Kind + " " + s.Name
}

// target is what a request is about.
func (q *Request) target() string {
	switch {
	case !q.ResourceRequest:
		return q.Path
	case q.Subresource != "":
		return q.Resource + "/" + q.Subresource
	}
	return q.Resource
}

// named is the object that a request is about.
func (q *Request) named() string {
	if q.Name == "" {
		return "all of them"
	}
	return q.Name
}

// distinct leaves out what is there before.
func distinct(words []string) []string {
	var all []string
	for _, word := range words {
		if !slices.Contains(all, word) {
			all = append(all, word)
		}
	}
	return all
}

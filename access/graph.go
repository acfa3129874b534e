// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package access

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/muster-identity/muster/rbac"
)

// A Graph leads from subjects over bindings and roles to what these reach.
type Graph struct {
	// Nodes are sorted by column.
	Nodes []Node
	// Edges lead from a column to the next.
	Edges []Edge
}

// A Column is what nodes of one kind have in common.
type Column int

// The columns, from left to right.
const (
	Subjects Column = iota
	Bindings
	Roles
	Reach
)

// A Node is a box of the picture.
type Node struct {
	Column Column
	// Kind is that of the object; empty for what a role reaches.
	Kind string
	// Name is namespace/name, or the name of what is in no namespace.
	Name string
	// Lines are what a role reaches.
	Lines []string
	// Missing is set for an account or a role that does not exist.
	Missing bool
}

// An Edge joins two nodes by their places in Graph.Nodes.
type Edge struct{ From, To int }

// maxLines is how much of what a role reaches is told in a picture.
const maxLines = 10

// Graph is the part of the policy that concerns a namespace: its accounts, the
// bindings in it, and the ClusterRoleBindings that name its accounts or their
// groups. With a subject it is what that subject holds there. What everybody
// holds from the start is left out.
func (p *Policy) Graph(namespace string, subject *rbacv1.Subject) *Graph {
	d := &drawing{places: map[string]int{}, joined: map[Edge]bool{}, rules: p.rules(), accounts: p.accounts()}
	for _, a := range p.ServiceAccounts {
		account := rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: a.Namespace, Name: a.Name}
		if a.Namespace == namespace && (subject == nil || *subject == account) {
			d.subject(account)
		}
	}
	for _, b := range p.bindings() {
		if b.Namespace != "" && b.Namespace != namespace || b.labels[bootstrappingLabel] != "" {
			continue
		}
		for _, s := range b.subjects {
			switch {
			case subject != nil && !standsFor(s, *subject):
			case subject == nil && b.Namespace == "" && !ofNamespace(s, namespace):
			default:
				d.add(s, b)
			}
		}
	}
	return d.graph()
}

// bootstrappingLabel marks what exists from the start.
const bootstrappingLabel = "kubernetes.io/bootstrapping"

// ofNamespace tells whether a subject is an account of a namespace or a group
// that all of them are in.
func ofNamespace(s rbacv1.Subject, namespace string) bool {
	if s.Kind == rbacv1.ServiceAccountKind {
		return s.Namespace == namespace
	}
	return s.Kind == rbacv1.GroupKind && slices.Contains(append(serviceaccount.MakeGroupNames(namespace), user.AllAuthenticated), s.Name)
}

// standsFor tells whether a binding to s is one to the subject: they are the
// same, or s is a group that follows from what the subject is.
func standsFor(s, subject rbacv1.Subject) bool {
	switch {
	case s.Kind != rbacv1.GroupKind:
		return UsernameOf(s) != "" && UsernameOf(s) == UsernameOf(subject)
	case subject.Kind == rbacv1.GroupKind:
		return s.Name == subject.Name
	case subject.Kind == rbacv1.ServiceAccountKind:
		return ofNamespace(s, subject.Namespace)
	}
	return s.Name == user.AllAuthenticated
}

// drawing is a graph in the making.
type drawing struct {
	Graph
	places   map[string]int
	joined   map[Edge]bool
	rules    map[rbac.Ref][]rbacv1.PolicyRule
	accounts interface{ Has(string) bool }
}

func (d *drawing) subject(s rbacv1.Subject) int {
	n := Node{Column: Subjects, Kind: s.Kind, Name: s.Name}
	if s.Kind == rbacv1.ServiceAccountKind {
		n.Name, n.Missing = s.Namespace+"/"+s.Name, !d.accounts.Has(UsernameOf(s))
	}
	return d.place(n)
}

// add adds a way: a subject, a binding, its role and what that reaches.
func (d *drawing) add(s rbacv1.Subject, b binding) {
	rules, exists := d.rules[b.role]
	from, by := d.subject(s), d.place(Node{Column: Bindings, Kind: b.Kind, Name: nameOf(b.Ref)})
	role := d.place(Node{Column: Roles, Kind: b.role.Kind, Name: nameOf(b.role), Missing: !exists})
	d.join(from, by)
	d.join(by, role)
	if len(rules) > 0 {
		d.join(role, d.place(Node{Column: Reach, Name: b.role.String(), Lines: linesOf(rules)}))
	}
}

// place returns where a node is, and adds it if it is new.
func (d *drawing) place(n Node) int {
	key := fmt.Sprint(n.Column, n.Kind, " ", n.Name)
	at, there := d.places[key]
	if !there {
		at = len(d.Nodes)
		d.places[key] = at
		d.Nodes = append(d.Nodes, n)
	}
	return at
}

func (d *drawing) join(from, to int) {
	edge := Edge{from, to}
	if !d.joined[edge] {
		d.joined[edge] = true
		d.Edges = append(d.Edges, edge)
	}
}

// graph sorts the nodes: by column, and within one by where the edges come from,
// so that few of them cross.
func (d *drawing) graph() *Graph {
	order := make([]int, len(d.Nodes))
	for i := range order {
		order[i] = i
	}
	from := make([][]int, len(d.Nodes))
	for _, e := range d.Edges {
		from[e.To] = append(from[e.To], e.From)
	}
	rank := make([]float64, len(d.Nodes))
	for column := Subjects; column <= Reach; column++ {
		var here []int
		for i, n := range d.Nodes {
			if n.Column == column {
				here = append(here, i)
			}
		}
		slices.SortStableFunc(here, func(a, b int) int {
			return cmp.Or(cmp.Compare(middle(from[a], rank), middle(from[b], rank)), cmp.Compare(d.Nodes[a].Name, d.Nodes[b].Name))
		})
		for at, i := range here {
			rank[i] = float64(at)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(d.Nodes[a].Column, d.Nodes[b].Column), cmp.Compare(rank[a], rank[b]))
	})
	g, now := &Graph{}, make([]int, len(order))
	for at, i := range order {
		now[i] = at
		g.Nodes = append(g.Nodes, d.Nodes[i])
	}
	for _, e := range d.Edges {
		g.Edges = append(g.Edges, Edge{now[e.From], now[e.To]})
	}
	slices.SortFunc(g.Edges, func(a, b Edge) int { return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To)) })
	return g
}

// middle is the mean rank of some nodes.
func middle(nodes []int, rank []float64) float64 {
	if len(nodes) == 0 {
		return 0
	}
	sum := 0.0
	for _, node := range nodes {
		sum += rank[node]
	}
	return sum / float64(len(nodes))
}

func nameOf(r rbac.Ref) string {
	if r.Namespace != "" {
		return r.Namespace + "/" + r.Name
	}
	return r.Name
}

// linesOf tells rules in words, one each, as far as there is room.
func linesOf(rules []rbacv1.PolicyRule) []string {
	var lines []string
	for i, rule := range rules {
		if i == maxLines-1 && len(rules) > maxLines {
			return append(lines, fmt.Sprintf("and %d more rules", len(rules)-i))
		}
		lines = append(lines, lineOf(rule))
	}
	return lines
}

func lineOf(rule rbacv1.PolicyRule) string { return ruleText(rule, enumerated) }

// maxWords is how many of a list are told in a picture.
const maxWords = 6

func enumerated(words []string) string {
	if len(words) > maxWords {
		return fmt.Sprintf("%s and %d more", strings.Join(words[:maxWords-1], ", "), len(words)-maxWords+1)
	}
	return strings.Join(words, ", ")
}

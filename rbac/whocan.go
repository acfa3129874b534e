// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package rbac

import (
	"cmp"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
)

// A Ref names a role or a binding.
type Ref struct {
	// Kind is Role, ClusterRole, RoleBinding or ClusterRoleBinding.
	Kind string `json:"kind"`
	// Namespace is empty for a kind of the cluster.
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
}

// String names it for people: Role dev/reader, or ClusterRole reader.
func (r Ref) String() string {
	if r.Namespace != "" {
		return r.Kind + " " + r.Namespace + "/" + r.Name
	}
	return r.Kind + " " + r.Name
}

// A Grant is one way by which a subject may do something.
type Grant struct {
	// Subject is as in the binding. A service account always has its namespace.
	Subject rbacv1.Subject `json:"subject"`
	Binding Ref            `json:"binding"`
	Role    Ref            `json:"role"`
	// Rule is the first of the role's that allows it. It shares memory with the
	// index and must not be changed.
	Rule rbacv1.PolicyRule `json:"rule"`
}

// WhoCan is the reverse of Decide: it returns all subjects that may do what q
// asks for in namespace, with each binding by which they may. An empty namespace
// means the whole cluster. ClusterRoleBindings come first, then the RoleBindings
// of the namespace, each by name, with their subjects in their order. Paths are
// granted by ClusterRoleBindings alone.
//
// Subjects that can be nobody are left out, and a subject that a binding names
// twice is there once. A role is asked once, however many are bound to it.
func (x *Index) WhoCan(namespace string, q Request) []Grant {
	x.mu.Lock()
	defer x.mu.Unlock()
	if !q.ResourceRequest {
		namespace = ""
	}
	verdicts := map[*role]*rbacv1.PolicyRule{}
	var found []*binding
	for key, b := range x.bindings {
		if key.namespace != "" && key.namespace != namespace {
			continue
		}
		if _, asked := verdicts[b.role]; !asked {
			verdicts[b.role] = b.role.match(&q)
		}
		if verdicts[b.role] != nil {
			found = append(found, b)
		}
	}
	slices.SortFunc(found, func(a, b *binding) int {
		return cmp.Or(cmp.Compare(a.key.namespace, b.key.namespace), cmp.Compare(a.key.name, b.key.name))
	})
	var grants []Grant
	for _, b := range found {
		grants = b.appendGrants(grants, *verdicts[b.role])
	}
	return grants
}

// appendGrants appends what the binding gives to each of its subjects by rule.
func (b *binding) appendGrants(grants []Grant, rule rbacv1.PolicyRule) []Grant {
	for i := range b.grants {
		if b.names(b.grants[i].holder, i) {
			continue
		}
		grants = append(grants, b.grants[i].by(rule))
	}
	return grants
}

// names tells whether the holder is among the first n grants of the binding.
func (b *binding) names(h holder, n int) bool {
	return slices.ContainsFunc(b.grants[:n], func(g grant) bool { return g.holder == h })
}

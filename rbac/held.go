// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package rbac

import (
	"maps"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apiserver/pkg/authentication/user"
)

// Ways returns all grants by which u may do what q asks for in namespace, in the
// order in which Decide looks for one. A user who holds a binding several times
// has it once.
func (x *Index) Ways(u user.Info, namespace string, q Request) []Grant {
	return settled(x, func() []Grant {
		var ways []Grant
		for _, g := range x.heldBy(u, namespace, q.ResourceRequest) {
			if rule := g.binding.role.match(&q); rule != nil {
				ways = append(ways, g.by(*rule))
			}
		}
		return ways
	})
}

// heldBy are the grants to u and their groups that count for a request: those of
// the cluster, and for a resource those of the namespace.
func (x *Index) heldBy(u user.Info, namespace string, resource bool) []*grant {
	held := x.grantsTo(u, "")
	if resource && namespace != "" {
		held = append(held, x.grantsTo(u, namespace)...)
	}
	return held
}

// by is the grant for those outside, of a rule of its role.
func (g *grant) by(rule rbacv1.PolicyRule) Grant {
	return Grant{Subject: g.subject(), Binding: g.binding.key.ref(), Role: g.binding.role.key.ref(), Rule: rule}
}

// places tells in which namespaces a user or a group holds something by
// RoleBindings. Decisions do not need it, so it is made when somebody first asks
// for it, and kept by the writers from then on.
type places map[holder]map[string]struct{}

// Places returns the namespaces in which u or one of their groups holds something
// by a RoleBinding, sorted. The first call goes through all bindings.
func (x *Index) Places(u user.Info) []string {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.places == nil {
		x.places = places{}
		for _, b := range x.bindings {
			x.places.add(b)
		}
	}
	found := map[string]struct{}{}
	maps.Copy(found, x.places[holder{name: u.GetName()}])
	for _, group := range u.GetGroups() {
		maps.Copy(found, x.places[holder{group: true, name: group}])
	}
	return slices.Sorted(maps.Keys(found))
}

// add notes where the subjects of a binding hold something, if that is kept.
func (p places) add(b *binding) {
	if p == nil || b.key.namespace == "" {
		return
	}
	for i := range b.grants {
		who := b.grants[i].holder
		who.namespace = ""
		if p[who] == nil {
			p[who] = map[string]struct{}{}
		}
		p[who][b.key.namespace] = struct{}{}
	}
}

// remove forgets that a holder holds something in its namespace.
func (p places) remove(h holder) {
	if p == nil || h.namespace == "" {
		return
	}
	who := h
	who.namespace = ""
	delete(p[who], h.namespace)
	if len(p[who]) == 0 {
		delete(p, who)
	}
}

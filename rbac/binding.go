// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package rbac

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
)

// Kinds of bindings.
const (
	kindRoleBinding        = "RoleBinding"
	kindClusterRoleBinding = "ClusterRoleBinding"
)

// bindingKey names a binding; namespace is empty for a ClusterRoleBinding.
type bindingKey struct{ namespace, name string }

func (k bindingKey) ref() Ref {
	if k.namespace == "" {
		return Ref{Kind: kindClusterRoleBinding, Name: k.name}
	}
	return Ref{Kind: kindRoleBinding, Namespace: k.namespace, Name: k.name}
}

// A binding is what the index keeps of a RoleBinding or ClusterRoleBinding.
type binding struct {
	key    bindingKey
	role   *role
	grants []grant
}

// A grant is what a binding gives to one of its subjects.
type grant struct {
	binding *binding
	holder  holder
	// account tells that the subject is a ServiceAccount, and not a User of that
	// name.
	account bool
	// position is that of the subject in the binding. If a user is several of
	// the subjects, the first is named in the reason.
	position int
	reason   string
}

// newBinding compiles a binding to role.
func newBinding(key bindingKey, ref rbacv1.RoleRef, role *role, subjects []rbacv1.Subject) *binding {
	b := &binding{key: key, role: role, grants: make([]grant, 0, len(subjects))}
	reason := reasonPrefix(key, ref)
	for i := range subjects {
		if h, ok := holderOf(&subjects[i], key.namespace); ok {
			b.grants = append(b.grants, grant{
				binding:  b,
				holder:   h,
				account:  subjects[i].Kind == rbacv1.ServiceAccountKind,
				position: i,
				reason:   reason + describeSubject(&subjects[i], key.namespace),
			})
		}
	}
	return b
}

// reasonPrefix is all of a reason but the subject, as Kubernetes words it: a
// RoleBinding by name and namespace, in this order.
func reasonPrefix(key bindingKey, ref rbacv1.RoleRef) string {
	binding, name := key.ref(), key.name
	if key.namespace != "" {
		name += "/" + key.namespace
	}
	return "RBAC: allowed by " + binding.Kind + " " + strconv.Quote(name) + " of " + ref.Kind + " " + strconv.Quote(ref.Name) + " to "
}

// compareGrants orders the grants of one scope by the names of their bindings.
func compareGrants(a, b *grant) int {
	if byName := strings.Compare(a.binding.key.name, b.binding.key.name); byName != 0 {
		return byName
	}
	return cmp.Compare(a.position, b.position)
}

// A holding is all grants to a holder, in order. It is never changed where a
// reader can see it.
type holding []*grant

// find returns where a grant of the binding is, or would be. A holding has one
// grant of a binding at most.
func (h holding) find(key bindingKey) (int, bool) {
	return slices.BinarySearchFunc(h, key.name, func(g *grant, name string) int {
		return strings.Compare(g.binding.key.name, name)
	})
}

// with returns the holding with g in place of what an older state of the binding
// granted. If the binding names the holder twice, the first time counts.
func (h holding) with(g *grant) holding {
	i, found := h.find(g.binding.key)
	if found && h[i].binding == g.binding {
		return h
	}
	if found {
		changed := slices.Clone(h)
		changed[i] = g
		return changed
	}
	if i == len(h) {
		// Beyond the end of what any reader has: no need to copy, so that
		// loading bindings in the order of their names takes linear time. What
		// is appended to is always the newest holding, hence never twice.
		return append(h, g)
	}
	changed := make(holding, 0, len(h)+1)
	return append(append(append(changed, h[:i]...), g), h[i:]...)
}

// without returns the holding less what the binding granted. What a newer state
// of the binding grants stays.
func (h holding) without(b *binding) holding {
	i, found := h.find(b.key)
	if !found || h[i].binding != b {
		return h
	}
	if len(h) == 1 {
		return nil
	}
	return append(append(make(holding, 0, len(h)-1), h[:i]...), h[i+1:]...)
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package rbac

import (
	"fmt"
	"sync"
	"sync/atomic"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// Index holds the roles and bindings that exist, compiled for decisions. Its
// methods may be called from any goroutine.
//
// Objects may come in any order: a binding before its role, a deletion of what
// is not there, the same object twice. What Set and Delete have changed is in
// force when they return.
//
// An answer is that of one moment: it takes all writes before it into account
// and none after it, and is not put together from before and after a write.
// Readers do not lock to achieve this; they look again when a write came in
// between.
type Index struct {
	// version is odd while a write is under way, and another after each.
	version  atomic.Uint64
	holdings *table[holder, holding]

	// mu is held by writers. All below belongs to whoever holds it.
	mu       sync.Mutex
	roles    map[roleKey]*role // those that exist or that bindings refer to
	bindings map[bindingKey]*binding
	places   places // nil until somebody asks
}

// NewIndex makes an index of nothing, by which nobody may do anything.
func NewIndex() *Index {
	return &Index{
		holdings: newTable[holder, holding](),
		roles:    map[roleKey]*role{},
		bindings: map[bindingKey]*binding{},
	}
}

// Set takes the newest state of a Role, ClusterRole, RoleBinding or
// ClusterRoleBinding, and panics on anything else. The index keeps parts of the
// object, which must not be changed any more.
func (x *Index) Set(obj runtime.Object) {
	defer x.write()()
	switch obj := obj.(type) {
	case *rbacv1.Role:
		x.setRole(roleKey{kindRole, obj.Namespace, obj.Name}, obj.Rules)
	case *rbacv1.ClusterRole:
		x.setRole(roleKey{kind: kindClusterRole, name: obj.Name}, obj.Rules)
	case *rbacv1.RoleBinding:
		x.setBinding(bindingKey{obj.Namespace, obj.Name}, obj.RoleRef, obj.Subjects)
	case *rbacv1.ClusterRoleBinding:
		x.setBinding(bindingKey{name: obj.Name}, obj.RoleRef, obj.Subjects)
	default:
		panic(fmt.Sprintf("indexing RBAC: %T is no RBAC object", obj))
	}
}

// Delete forgets the object of obj's kind, namespace and name. It panics like
// Set; of obj nothing is kept.
func (x *Index) Delete(obj runtime.Object) {
	defer x.write()()
	switch obj := obj.(type) {
	case *rbacv1.Role:
		x.deleteRole(roleKey{kindRole, obj.Namespace, obj.Name})
	case *rbacv1.ClusterRole:
		x.deleteRole(roleKey{kind: kindClusterRole, name: obj.Name})
	case *rbacv1.RoleBinding:
		x.deleteBinding(bindingKey{obj.Namespace, obj.Name})
	case *rbacv1.ClusterRoleBinding:
		x.deleteBinding(bindingKey{name: obj.Name})
	default:
		panic(fmt.Sprintf("indexing RBAC: %T is no RBAC object", obj))
	}
}

// Version is another one after each write. What was decided before it changed may
// be decided otherwise now.
func (x *Index) Version() uint64 { return x.version.Load() }

// write begins a write and returns what ends it.
func (x *Index) write() (done func()) {
	x.mu.Lock()
	x.version.Add(1)
	return func() {
		x.version.Add(1)
		x.mu.Unlock()
	}
}

// looks is how often a reader looks before it waits for the writers.
const looks = 8

// settled returns what read finds at one moment. A write that takes place
// meanwhile voids what was found: half of it may be seen, and half missed.
func settled[T any](x *Index, read func() T) T {
	for range looks {
		before := x.version.Load()
		found := read()
		if before%2 == 0 && x.version.Load() == before {
			return found
		}
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	return read()
}

func (x *Index) setRole(key roleKey, rules []rbacv1.PolicyRule) {
	x.role(key).rules.Store(&rules)
}

func (x *Index) deleteRole(key roleKey) {
	r := x.role(key)
	r.rules.Store(nil)
	x.release(r)
}

func (x *Index) setBinding(key bindingKey, ref rbacv1.RoleRef, subjects []rbacv1.Subject) {
	old := x.bindings[key]
	role := x.role(roleKeyOf(ref, key.namespace))
	role.bound++
	b := newBinding(key, ref, role, subjects)
	x.bindings[key] = b
	for i := range b.grants {
		g := &b.grants[i]
		x.holdings.put(g.holder, x.holdings.get(g.holder).with(g))
	}
	x.places.add(b)
	if old != nil {
		x.retire(old)
	}
}

func (x *Index) deleteBinding(key bindingKey) {
	if b := x.bindings[key]; b != nil {
		delete(x.bindings, key)
		x.retire(b)
	}
}

// retire takes what a binding granted from those who still hold it.
func (x *Index) retire(b *binding) {
	for _, g := range b.grants {
		if rest := x.holdings.get(g.holder).without(b); len(rest) > 0 {
			x.holdings.put(g.holder, rest)
		} else {
			x.holdings.remove(g.holder)
			x.places.remove(g.holder)
		}
	}
	b.role.bound--
	x.release(b.role)
}

// role returns the place of a role, which may be one that does not exist.
func (x *Index) role(key roleKey) *role {
	r := x.roles[key]
	if r == nil {
		r = &role{key: key}
		x.roles[key] = r
	}
	return r
}

// release forgets the place of a role that neither exists nor is referred to.
func (x *Index) release(r *role) {
	if r.bound == 0 && r.rules.Load() == nil {
		delete(x.roles, r.key)
	}
}

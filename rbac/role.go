// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package rbac

import (
	"fmt"
	"strings"
	"sync/atomic"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Kinds of roles, as a binding's roleRef names them.
const (
	kindRole        = "Role"
	kindClusterRole = "ClusterRole"
)

// roleKey names a role; namespace is empty for a ClusterRole.
type roleKey struct{ kind, namespace, name string }

func (k roleKey) ref() Ref { return Ref{k.kind, k.namespace, k.name} }

// roleKeyOf is the role that a binding in namespace refers to. Only a Role is
// looked for in the binding's namespace.
func roleKeyOf(ref rbacv1.RoleRef, namespace string) roleKey {
	if ref.Kind == kindRole {
		return roleKey{kind: kindRole, namespace: namespace, name: ref.Name}
	}
	return roleKey{kind: ref.Kind, name: ref.Name}
}

// missing is the error for a role that does not exist, as Kubernetes words it
// where rules are collected to decide on a request.
func (k roleKey) missing() error {
	if err := k.unsupported(); err != nil {
		return err
	}
	return apierrors.NewNotFound(rbacv1.Resource(strings.ToLower(k.kind)), k.name)
}

// notFound is the same as the API words it, with the name of the resource.
func (k roleKey) notFound() error {
	return k.notFoundAs(rbacv1.Resource(strings.ToLower(k.kind) + "s"))
}

func (k roleKey) notFoundAs(resource schema.GroupResource) error {
	if err := k.unsupported(); err != nil {
		return err
	}
	return apierrors.NewNotFound(resource, k.name)
}

func (k roleKey) unsupported() error {
	if k.kind == kindRole || k.kind == kindClusterRole {
		return nil
	}
	return fmt.Errorf("unsupported role reference kind: %q", k.kind)
}

// A role is the place of a role's rules. Bindings lead to it whether the role
// exists or not, so that a change of the rules is one store here, however many
// are bound to it.
type role struct {
	key roleKey
	// rules is nil while the role does not exist.
	rules atomic.Pointer[[]rbacv1.PolicyRule]
	// bound counts the bindings that lead here; it belongs to the writer.
	bound int
}

// allows tells whether any rule matches, and whether there is such a role.
func (r *role) allows(request *Request) (allowed, exists bool) {
	return r.match(request) != nil, r.rules.Load() != nil
}

// match returns the first rule that matches, or nil.
func (r *role) match(request *Request) *rbacv1.PolicyRule {
	rules := r.rules.Load()
	if rules == nil {
		return nil
	}
	for i := range *rules {
		if rule := &(*rules)[i]; Matches(rule, request) {
			return rule
		}
	}
	return nil
}

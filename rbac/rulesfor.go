// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package rbac

import (
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apiserver/pkg/authentication/user"
)

// RulesFor returns the rules that apply to u in namespace: those held in the
// whole cluster, then those of the namespace, each by the names of the bindings.
// Roles that do not exist make the error; the rules returned hold nevertheless.
// An empty namespace means the whole cluster only. The rules share memory with
// the index and must not be changed.
func (x *Index) RulesFor(u user.Info, namespace string) ([]rbacv1.PolicyRule, error) {
	return x.settledRules(u, namespace, roleKey.missing)
}

// ConfirmNoEscalation returns nil if what u may do in namespace covers the
// wanted rules, and an *EscalationError else. An empty namespace means that they
// are wanted in the whole cluster. Roles that are missing are called after the
// resource that is written, whatever they are, as Kubernetes calls them.
func (x *Index) ConfirmNoEscalation(u user.Info, namespace string, written schema.GroupResource, wanted []rbacv1.PolicyRule) error {
	held, unresolved := x.settledRules(u, namespace, func(k roleKey) error { return k.notFoundAs(written) })
	return ConfirmNoEscalation(u, held, unresolved, wanted)
}

// RulesOf returns the rules of the role that a binding in namespace refers to;
// an empty namespace is that of a ClusterRoleBinding. A role that does not exist
// is apierrors.NotFound of it. The rules share memory with the index and must
// not be changed.
func (x *Index) RulesOf(namespace string, ref rbacv1.RoleRef) ([]rbacv1.PolicyRule, error) {
	key := roleKeyOf(ref, namespace)
	x.mu.Lock()
	defer x.mu.Unlock()
	if r := x.roles[key]; r != nil {
		if rules := r.rules.Load(); rules != nil {
			return *rules, nil
		}
	}
	return nil, key.notFound()
}

func (x *Index) settledRules(u user.Info, namespace string, missing func(roleKey) error) ([]rbacv1.PolicyRule, error) {
	type found struct {
		rules []rbacv1.PolicyRule
		errs  []error
	}
	f := settled(x, func() found {
		rules, errs := x.rulesFor(u, namespace, missing)
		return found{rules, errs}
	})
	return f.rules, utilerrors.NewAggregate(f.errs)
}

// rulesFor collects the rules of all that u holds. missing words the error for
// a role that does not exist.
func (x *Index) rulesFor(u user.Info, namespace string, missing func(roleKey) error) (rules []rbacv1.PolicyRule, errs []error) {
	grants := x.grantsTo(u, "")
	if namespace != "" {
		grants = append(grants, x.grantsTo(u, namespace)...)
	}
	for _, g := range grants {
		if held := g.binding.role.rules.Load(); held != nil {
			rules = append(rules, *held...)
		} else {
			errs = append(errs, missing(g.binding.role.key))
		}
	}
	return rules, errs
}

// grantsTo returns what u and their groups hold in one scope, one grant of each
// binding, by name.
func (x *Index) grantsTo(u user.Info, namespace string) []*grant {
	grants := slices.Clone(x.holdings.get(holder{name: u.GetName(), namespace: namespace}))
	for _, group := range u.GetGroups() {
		grants = append(grants, x.holdings.get(holder{group: true, name: group, namespace: namespace})...)
	}
	slices.SortFunc(grants, compareGrants)
	return slices.CompactFunc(grants, func(a, b *grant) bool { return a.binding.key == b.binding.key })
}

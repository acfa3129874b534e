// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
)

func roles() Resource {
	return &Definition[*rbacv1.Role]{
		GroupVersion: rbacv1.SchemeGroupVersion,
		Kind:         "Role", Plural: "roles", Singular: "role",
		New:     func() *rbacv1.Role { return &rbacv1.Role{} },
		NewList: func() runtime.Object { return &rbacv1.RoleList{} },
		Name:    pathSegmentName,
		Validate: func(role *rbacv1.Role) field.ErrorList {
			return validateRules(role.Rules, true)
		},
		CreateOnUpdate: true,
		Extend: func(env Environment, _ *genericregistry.Store, storage map[string]rest.Storage) error {
			return guardRoles(env, storage, "roles", roleGrant)
		},
	}
}

// roleGrant is what a write of the role gives away. A role cannot aggregate.
func roleGrant(role, _ *rbacv1.Role) grant { return grant{rules: role.Rules} }

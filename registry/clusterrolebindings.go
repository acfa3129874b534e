// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	rbacv1 "k8s.io/api/rbac/v1"
	rbacv1beta1 "k8s.io/api/rbac/v1beta1" // for its documentation, which Kubernetes shows
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
)

func clusterRoleBindings() Resource {
	return &Definition[*rbacv1.ClusterRoleBinding]{
		GroupVersion: rbacv1.SchemeGroupVersion,
		Kind:         "ClusterRoleBinding", Plural: "clusterrolebindings", Singular: "clusterrolebinding",
		ClusterScoped: true,
		New:           func() *rbacv1.ClusterRoleBinding { return &rbacv1.ClusterRoleBinding{} },
		NewList:       func() runtime.Object { return &rbacv1.ClusterRoleBindingList{} },
		Default:       func(binding *rbacv1.ClusterRoleBinding) { defaultBinding(&binding.RoleRef, binding.Subjects) },
		Name:          pathSegmentName,
		Validate: func(binding *rbacv1.ClusterRoleBinding) field.ErrorList {
			return append(validateRoleRef(binding.RoleRef, "ClusterRole"), validateSubjects(binding.Subjects, false)...)
		},
		ValidateUpdate: func(binding, old *rbacv1.ClusterRoleBinding) field.ErrorList {
			return validateSameRole(binding.RoleRef, old.RoleRef)
		},
		Columns: bindingColumns("clusterRoleBinding", rbacv1beta1.ClusterRoleBinding{}.SwaggerDoc()["roleRef"]),
		Row: func(binding *rbacv1.ClusterRoleBinding) []any {
			return bindingRow(binding, binding.RoleRef, binding.Subjects)
		},
		CreateOnUpdate: true,
		Extend: func(env Environment, _ *genericregistry.Store, storage map[string]rest.Storage) error {
			return guardBindings(env, storage, "clusterrolebindings", func(binding *rbacv1.ClusterRoleBinding) rbacv1.RoleRef { return binding.RoleRef })
		},
	}
}

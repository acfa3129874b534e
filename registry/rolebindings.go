// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	rbacv1beta1 "k8s.io/api/rbac/v1beta1" // for its documentation, which Kubernetes shows
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
)

func roleBindings() Resource {
	return &Definition[*rbacv1.RoleBinding]{
		GroupVersion: rbacv1.SchemeGroupVersion,
		Kind:         "RoleBinding", Plural: "rolebindings", Singular: "rolebinding",
		New:     func() *rbacv1.RoleBinding { return &rbacv1.RoleBinding{} },
		NewList: func() runtime.Object { return &rbacv1.RoleBindingList{} },
		Default: func(binding *rbacv1.RoleBinding) { defaultBinding(&binding.RoleRef, binding.Subjects) },
		Name:    pathSegmentName,
		Validate: func(binding *rbacv1.RoleBinding) field.ErrorList {
			return append(validateRoleRef(binding.RoleRef, "Role", "ClusterRole"), validateSubjects(binding.Subjects, true)...)
		},
		ValidateUpdate: func(binding, old *rbacv1.RoleBinding) field.ErrorList {
			return validateSameRole(binding.RoleRef, old.RoleRef)
		},
		Columns:        bindingColumns("roleBinding", rbacv1beta1.RoleBinding{}.SwaggerDoc()["roleRef"]),
		Row:            func(binding *rbacv1.RoleBinding) []any { return bindingRow(binding, binding.RoleRef, binding.Subjects) },
		CreateOnUpdate: true,
		Extend: func(env Environment, _ *genericregistry.Store, storage map[string]rest.Storage) error {
			return guardBindings(env, storage, "rolebindings", func(binding *rbacv1.RoleBinding) rbacv1.RoleRef { return binding.RoleRef })
		},
	}
}

// defaultBinding fills the API groups that a client may leave out (Kubernetes:
// pkg/apis/rbac/v1/defaults.go).
func defaultBinding(ref *rbacv1.RoleRef, subjects []rbacv1.Subject) {
	if ref.APIGroup == "" {
		ref.APIGroup = rbacv1.GroupName
	}
	for i := range subjects {
		subject := &subjects[i]
		if subject.APIGroup == "" && (subject.Kind == rbacv1.UserKind || subject.Kind == rbacv1.GroupKind) {
			subject.APIGroup = rbacv1.GroupName
		}
	}
}

func bindingColumns(kind, roleRef string) []metav1.TableColumnDefinition {
	return []metav1.TableColumnDefinition{
		nameColumn(),
		column("Role", "string", roleRef),
		ageColumn(),
		wide("Users", "string", "Users in the "+kind),
		wide("Groups", "string", "Groups in the "+kind),
		wide("ServiceAccounts", "string", "ServiceAccounts in the "+kind),
	}
}

func bindingRow(binding metav1.Object, ref rbacv1.RoleRef, subjects []rbacv1.Subject) []any {
	var users, groups, accounts []string
	for _, subject := range subjects {
		switch subject.Kind {
		case rbacv1.UserKind:
			users = append(users, subject.Name)
		case rbacv1.GroupKind:
			groups = append(groups, subject.Name)
		case rbacv1.ServiceAccountKind:
			accounts = append(accounts, subject.Namespace+"/"+subject.Name)
		}
	}
	return []any{
		binding.GetName(), ref.Kind + "/" + ref.Name, age(binding),
		strings.Join(users, ", "), strings.Join(groups, ", "), strings.Join(accounts, ", "),
	}
}

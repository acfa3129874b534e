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

func clusterRoles() Resource {
	return &Definition[*rbacv1.ClusterRole]{
		GroupVersion: rbacv1.SchemeGroupVersion,
		Kind:         "ClusterRole", Plural: "clusterroles", Singular: "clusterrole",
		ClusterScoped: true,
		New:           func() *rbacv1.ClusterRole { return &rbacv1.ClusterRole{} },
		NewList:       func() runtime.Object { return &rbacv1.ClusterRoleList{} },
		Name:          pathSegmentName,
		Validate: func(role *rbacv1.ClusterRole) field.ErrorList {
			return append(validateRules(role.Rules, false), validateAggregation(role.AggregationRule)...)
		},
		CreateOnUpdate: true,
		Extend: func(env Environment, _ *genericregistry.Store, storage map[string]rest.Storage) error {
			return guardRoles(env, storage, "clusterroles", clusterRoleGrant)
		},
	}
}

// clusterRoleGrant is what a write of the role gives away. An aggregation rule
// may gather anything, and to take one away may keep a role from being
// tightened; so both count.
func clusterRoleGrant(role, old *rbacv1.ClusterRole) grant {
	return grant{rules: role.Rules, aggregates: aggregates(role) || aggregates(old)}
}

func aggregates(role *rbacv1.ClusterRole) bool {
	return role != nil && role.AggregationRule != nil && len(role.AggregationRule.ClusterRoleSelectors) > 0
}

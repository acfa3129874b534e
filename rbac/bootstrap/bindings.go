// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package bootstrap

import (
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
	"k8s.io/apiserver/pkg/authentication/user"
)

// ClusterRoleBindings are those that exist from the start, each of the name of
// its role. By them an anonymous caller reads the server's version and whether it
// is well, and a fresh service account can besides discover the API, read the
// keys that verify tokens, and ask what it may do.
func ClusterRoleBindings() []*rbacv1.ClusterRoleBinding {
	return slices.Concat([]*rbacv1.ClusterRoleBinding{
		clusterBinding("cluster-admin", user.SystemPrivilegedGroup),
		clusterBinding("system:monitoring", user.MonitoringGroup),
		clusterBinding("system:discovery", user.AllAuthenticated),
		clusterBinding("system:basic-user", user.AllAuthenticated),
		clusterBinding("system:public-info-viewer", user.AllAuthenticated, user.AllUnauthenticated),
		clusterBinding("system:service-account-issuer-discovery", serviceaccount.AllServiceAccountsGroup),
		clusterBinding("system:cluster-trust-bundle-discovery", serviceaccount.AllServiceAccountsGroup),
		// Nobody: nodes have a narrower way (authz/node).
		clusterBinding("system:node"),
	}, componentBindings())
}

// RoleBindings are those that exist from the start.
func RoleBindings() []*rbacv1.RoleBinding {
	reader := "extension-apiserver-authentication-reader"
	return []*rbacv1.RoleBinding{{
		ObjectMeta: meta(metav1.NamespaceSystem, "system::"+reader),
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: reader},
		Subjects:   subjects(rbacv1.UserKind, user.KubeControllerManager, user.KubeScheduler),
	}}
}

// clusterBinding binds groups to a role.
func clusterBinding(role string, groups ...string) *rbacv1.ClusterRoleBinding {
	return bound(role, subjects(rbacv1.GroupKind, groups...)...)
}

func bound(role string, subjects ...rbacv1.Subject) *rbacv1.ClusterRoleBinding {
	return &rbacv1.ClusterRoleBinding{
		ObjectMeta: meta("", role),
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
		Subjects:   subjects,
	}
}

func subjects(kind string, names ...string) []rbacv1.Subject {
	var all []rbacv1.Subject
	for _, name := range names {
		all = append(all, rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: kind, Name: name})
	}
	return all
}

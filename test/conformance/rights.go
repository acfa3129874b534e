// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"context"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func rule(verb, group, resource string, names ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{Verbs: []string{verb}, APIGroups: []string{group}, Resources: []string{resource}, ResourceNames: names}
}

func user(name string) rbacv1.Subject {
	return rbacv1.Subject{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: name}
}

func (e *env) role(name string, rules ...rbacv1.PolicyRule) {
	e.Helper()
	_, err := e.client.RbacV1().Roles(e.ns).Create(e.Context(), &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: rules}, metav1.CreateOptions{})
	e.check(err)
}

// bind binds a Role or a ClusterRole in the test's namespace.
func (e *env) bind(name, kind, role string, subjects ...rbacv1.Subject) {
	e.Helper()
	_, err := e.client.RbacV1().RoleBindings(e.ns).Create(e.Context(), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: kind, Name: role},
		Subjects:   subjects,
	}, metav1.CreateOptions{})
	e.check(err)
}

// grant gives a user a role of its own in the test's namespace.
func (e *env) grant(role, to string, rules ...rbacv1.PolicyRule) {
	e.Helper()
	e.role(role, rules...)
	e.bind(role, "Role", role, user(to))
}

// clusterRole makes a cluster role that ends with the test. Its name should
// begin with that of the test's namespace.
func (e *env) clusterRole(role *rbacv1.ClusterRole) {
	e.Helper()
	_, err := e.client.RbacV1().ClusterRoles().Create(e.Context(), role, metav1.CreateOptions{})
	e.check(err)
	e.Cleanup(func() {
		if err := e.client.RbacV1().ClusterRoles().Delete(context.Background(), role.Name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			e.Errorf("deleting cluster role %q: %v", role.Name, err)
		}
	})
}

// bindEverywhere binds a cluster role in all namespaces until the test ends.
func (e *env) bindEverywhere(role string, subjects ...rbacv1.Subject) {
	e.Helper()
	made, err := e.client.RbacV1().ClusterRoleBindings().Create(e.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{GenerateName: e.ns + "-"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
		Subjects:   subjects,
	}, metav1.CreateOptions{})
	e.check(err)
	e.Cleanup(func() {
		if err := e.client.RbacV1().ClusterRoleBindings().Delete(context.Background(), made.Name, metav1.DeleteOptions{}); err != nil {
			e.Errorf("deleting cluster role binding %q: %v", made.Name, err)
		}
	})
}

// may asks whether somebody may do something, as one who may see no bindings.
func (e *env) may(spec authorizationv1.SubjectAccessReviewSpec) authorizationv1.SubjectAccessReviewStatus {
	e.Helper()
	answered, err := e.clientOf(e.reviewer()).AuthorizationV1().SubjectAccessReviews().Create(e.Context(), &authorizationv1.SubjectAccessReview{Spec: spec}, metav1.CreateOptions{})
	e.check(err)
	return answered.Status
}

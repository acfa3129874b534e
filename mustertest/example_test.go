// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package mustertest_test

import (
	"context"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/muster-identity/muster/mustertest"
)

// countSecrets stands for the program under test: it is given a client configuration, as rest.InClusterConfig would.
func countSecrets(ctx context.Context, config *rest.Config, namespace string) (int, error) {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return 0, err
	}
	secrets, err := client.CoreV1().Secrets(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return 0, err
	}
	return len(secrets.Items), nil
}

// testCounter would be called TestCounter in a file of your own.
func testCounter(t *testing.T) {
	server := mustertest.Start(t)
	server.Namespace("dev")
	counter := server.ServiceAccount("dev", "counter")

	// Nobody has allowed it yet.
	if _, err := countSecrets(t.Context(), counter, "dev"); !apierrors.IsForbidden(err) {
		t.Fatalf("counting without a role: got error %v, want Forbidden", err)
	}

	rbac := server.Client().RbacV1()
	role := &rbacv1.Role{
		ObjectMeta: metav1.ObjectMeta{Name: "count-secrets"},
		Rules:      []rbacv1.PolicyRule{{Verbs: []string{"list"}, APIGroups: []string{""}, Resources: []string{"secrets"}}},
	}
	if _, err := rbac.Roles("dev").Create(t.Context(), role, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	binding := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "counter"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: role.Name},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: "dev", Name: "counter"}},
	}
	if _, err := rbac.RoleBindings("dev").Create(t.Context(), binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}

	// A binding is in force when its creation has returned: there is nothing to wait for.
	if count, err := countSecrets(t.Context(), counter, "dev"); err != nil || count != 0 {
		t.Fatalf("counting: got %d, error %v, want 0", count, err)
	}
}

// A program under test meets a real server: what RBAC refuses in production is refused in the test.
func Example() {
	_ = testCounter
}

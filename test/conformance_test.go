// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package test

import (
	"flag"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/muster-identity/muster/mustertest"
	"github.com/muster-identity/muster/test/conformance"
)

var update = flag.Bool("update", false, "rewrite the pinned answers in conformance/testdata")

// promises are what a server keeps that Kubernetes does not promise.
func promises(admin *rest.Config) conformance.Target {
	return conformance.Target{
		Admin:                   admin,
		ImmediateRevocation:     true,
		ImmediateRBAC:           true,
		ImmediateDefaultAccount: true,
		ExactExpiry:             true,
	}
}

// The administrator is the server's own client, whom the hot lane does not know: this is the general lane.
func TestMusterIsAServerOfTheKubernetesAPIForIdentities(t *testing.T) {
	t.Parallel()
	target := promises(mustertest.Start(t).Admin())
	if *update {
		target.Rewrite = "conformance/testdata"
	}
	conformance.Run(t, target)
}

// This administrator is a service account, whose requests the hot lane takes.
func TestMusterIsTheSameServerInItsHotLane(t *testing.T) {
	t.Parallel()
	s := mustertest.Start(t)
	admin := s.ServiceAccount("default", "administrator")
	_, err := s.Client().RbacV1().ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "administrator"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: "default", Name: "administrator"}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	conformance.RunFrequent(t, promises(admin))
}

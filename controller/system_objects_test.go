// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/yaml"
)

func TestTheSystemNamespacesAreMadeWhereTheyAreMissing(t *testing.T) {
	t.Parallel()
	existing := activeNS("kube-system")
	existing.UID = "first"
	store := fakeStore(existing)
	for range 2 {
		if err := EnsureSystemNamespaces(t.Context(), store); err != nil {
			t.Fatal(err)
		}
	}
	list := &corev1.NamespaceList{}
	if err := store.List(t.Context(), list); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, namespace := range list.Items {
		names = append(names, namespace.Name)
		if namespace.Name == "kube-system" && namespace.UID != "first" {
			t.Error("kube-system was made anew")
		}
	}
	slices.Sort(names)
	want := []string{"default", "kube-node-lease", "kube-public", "kube-system"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("namespaces differ (-want +got):\n%s", diff)
	}
}

func TestADeletedSystemNamespaceIsMadeAgain(t *testing.T) {
	t.Parallel()
	store := fakeStore()
	controller := newSystemNamespaces(store)
	for range 2 { // the second step finds it there
		reconciled(t, controller, named("kube-node-lease"))
	}
	if err := store.Get(t.Context(), named("kube-node-lease"), &corev1.Namespace{}); err != nil {
		t.Error(err)
	}
}

func TestTheKubernetesServiceIsTheOneClientsAskFor(t *testing.T) {
	t.Parallel()
	store := fakeStore()
	name := types.NamespacedName{Namespace: "default", Name: "kubernetes"}
	controller := newKubernetesService(store, netip.MustParseAddr("10.0.0.1"), 6443)
	for range 2 {
		reconciled(t, controller, name)
		if err := EnsureKubernetesService(t.Context(), store, netip.MustParseAddr("10.0.0.1"), 6443); err != nil {
			t.Fatal(err)
		}
	}
	service := &corev1.Service{}
	if err := store.Get(t.Context(), name, service); err != nil {
		t.Fatal(err)
	}
	service.ResourceVersion = ""
	text, err := yaml.Marshal(service)
	if err != nil {
		t.Fatal(err)
	}
	want := `metadata:
  labels:
    component: apiserver
    provider: kubernetes
  name: kubernetes
  namespace: default
spec:
  clusterIP: 10.0.0.1
  clusterIPs:
  - 10.0.0.1
  ports:
  - name: https
    port: 443
    protocol: TCP
    targetPort: 6443
  sessionAffinity: None
  type: ClusterIP
status:
  loadBalancer: {}
`
	if diff := cmp.Diff(want, string(text)); diff != "" {
		t.Errorf("service differs (-want +got):\n%s", diff)
	}
}

func TestReplicasThatStartTogetherMayEachLeadTheKubernetesServiceToTheirPort(t *testing.T) {
	t.Parallel()
	ip := netip.MustParseAddr("10.0.0.1")
	store := fakeStore()
	if err := EnsureKubernetesService(t.Context(), store, ip, 1111); err != nil {
		t.Fatal(err)
	}
	others := []int{2222, 3333}
	overtaken := interceptor.NewClient(store, interceptor.Funcs{
		Update: func(ctx context.Context, c client.WithWatch, obj client.Object, options ...client.UpdateOption) error {
			if len(others) > 0 {
				port := others[0]
				others = others[1:]
				if err := EnsureKubernetesService(ctx, store, ip, port); err != nil {
					return err
				}
			}
			return c.Update(ctx, obj, options...)
		},
	})
	if err := EnsureKubernetesService(t.Context(), overtaken, ip, 4444); err != nil {
		t.Fatal(err)
	}
	service := &corev1.Service{}
	if err := store.Get(t.Context(), types.NamespacedName{Namespace: "default", Name: "kubernetes"}, service); err != nil {
		t.Fatal(err)
	}
	if port := service.Spec.Ports[0].TargetPort.IntValue(); port != 4444 || len(others) > 0 {
		t.Errorf("the service leads to port %d, and %d replicas were not heard", port, len(others))
	}
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package server_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	apidiscoveryv2 "k8s.io/api/apidiscovery/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/muster-identity/muster/mustertest"
)

func TestBothFormsOfDiscoveryListTheGroupsInTheOrderOfKubernetes(t *testing.T) {
	t.Parallel()
	discovery := mustertest.Start(t).Client().Discovery().RESTClient()
	fetch := func(accept string, into any) {
		t.Helper()
		body, err := discovery.Get().AbsPath("/apis").SetHeader("Accept", accept).Do(t.Context()).Raw()
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(body, into); err != nil {
			t.Fatal(err)
		}
	}
	var list metav1.APIGroupList
	var aggregated apidiscoveryv2.APIGroupDiscoveryList
	fetch("application/json", &list)
	fetch("application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList", &aggregated)
	got := map[string][]string{}
	for _, group := range list.Groups {
		got["list"] = append(got["list"], group.Name)
	}
	for _, group := range aggregated.Items {
		got["aggregated"] = append(got["aggregated"], group.Name)
	}
	// The order of kube-apiserver's priorities, as far as the groups are served; then Muster's own.
	want := []string{
		"events.k8s.io", "authentication.k8s.io", "authorization.k8s.io", "batch", "certificates.k8s.io",
		"rbac.authorization.k8s.io", "admissionregistration.k8s.io", "coordination.k8s.io",
		"identity.muster.id",
	}
	if diff := cmp.Diff(map[string][]string{"list": want, "aggregated": want}, got); diff != "" {
		t.Errorf("groups (-want +got):\n%s", diff)
	}
}

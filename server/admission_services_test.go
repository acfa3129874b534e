// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func TestAServiceOfAWebhookIsAtItsClusterIPOrExternalName(t *testing.T) {
	t.Parallel()
	ports := []corev1.ServicePort{{Port: 443}}
	tests := map[string]struct {
		spec      corev1.ServiceSpec
		port      int32
		want, err string
	}{
		"a cluster IP":     {corev1.ServiceSpec{Type: corev1.ServiceTypeClusterIP, ClusterIP: "10.0.0.9", Ports: ports}, 443, "10.0.0.9", ""},
		"another port":     {corev1.ServiceSpec{Type: corev1.ServiceTypeClusterIP, ClusterIP: "10.0.0.9", Ports: ports}, 80, "", `no service port 80 found for service "hook"`},
		"no cluster IP":    {corev1.ServiceSpec{Type: corev1.ServiceTypeClusterIP, ClusterIP: "None", Ports: ports}, 443, "", `cannot route to service with ClusterIP "None"`},
		"an external name": {corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "hook.example"}, 443, "hook.example", ""},
	}
	for name, test := range tests {
		service := &corev1.Service{Spec: test.spec}
		service.Name = "hook"
		host, err := serviceHost(service, test.port)
		text := ""
		if err != nil {
			text = err.Error()
		}
		if host != test.want || text != test.err {
			t.Errorf("%s: got %q, %q; want %q, %q", name, host, text, test.want, test.err)
		}
	}
}

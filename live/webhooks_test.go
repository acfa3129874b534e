// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package live

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestAWebhookIsWhereItsURLOrItsServiceIs(t *testing.T) {
	t.Parallel()
	service := func(port *int32, path *string) admissionregistrationv1.WebhookClientConfig {
		return admissionregistrationv1.WebhookClientConfig{Service: &admissionregistrationv1.ServiceReference{Namespace: "ops", Name: "hook", Port: port, Path: path}}
	}
	for name, test := range map[string]struct {
		client admissionregistrationv1.WebhookClientConfig
		want   []string
	}{
		"a URL":                       {admissionregistrationv1.WebhookClientConfig{URL: new("https://hook.example")}, []string{"https://hook.example"}},
		"a service":                   {service(nil, nil), []string{"https://hook.ops.svc:443/"}},
		"a service with a port":       {service(new(int32(8443)), new("")), []string{"https://hook.ops.svc:8443/"}},
		"a service with a path":       {service(nil, new("/review")), []string{"https://hook.ops.svc:443/review"}},
		"a path without a slash":      {service(nil, new("review")), []string{"https://hook.ops.svc:443/review"}},
		"a path that ends in one":     {service(nil, new("/a/b/")), []string{"https://hook.ops.svc:443/a/b/"}},
		"nothing, which is not valid": {admissionregistrationv1.WebhookClientConfig{}, nil},
	} {
		if got := webhookOf(&test.client, nil).URLs; !cmp.Equal(test.want, got) {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}

func TestAViewKeepsWebhookConfigurationsOnlyIfAskedTo(t *testing.T) {
	t.Parallel()
	rules := []admissionregistrationv1.RuleWithOperations{
		{Rule: admissionregistrationv1.Rule{APIGroups: []string{"", "apps"}}}, {Rule: admissionregistrationv1.Rule{APIGroups: []string{"batch"}}},
	}
	config := &admissionregistrationv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "hooks", UID: "1", ResourceVersion: "7"},
		Webhooks:   []admissionregistrationv1.MutatingWebhook{{ClientConfig: admissionregistrationv1.WebhookClientConfig{URL: new("https://hook.example")}, Rules: rules}},
	}
	resource := admissionregistrationv1.Resource("mutatingwebhookconfigurations")
	v := New(nil, nil)
	v.Commit(resource, config, false)
	if _, err := v.WebhookConfiguration(t.Context(), Mutating, "hooks"); !apierrors.IsNotFound(err) {
		t.Errorf("not asked to: %v", err)
	}
	if _, err := (Fresh{v}).WebhookConfiguration(t.Context(), Mutating, "hooks"); !apierrors.IsNotFound(err) {
		t.Errorf("not asked to: %v", err)
	}
	v.KeepWebhooks()
	v.Commit(resource, config, false)
	got, err := v.WebhookConfiguration(t.Context(), Mutating, "hooks")
	want := WebhookConfiguration{
		Meta:     Meta{Name: "hooks", UID: "1", Revision: 7},
		Webhooks: []Webhook{{URLs: []string{"https://hook.example"}, APIGroups: []string{"", "apps", "batch"}}},
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v; configuration differs (-want +got):\n%s", err, diff)
	}
}

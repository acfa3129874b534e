// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package test

import (
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/muster-identity/muster/mustertest"
	"github.com/muster-identity/muster/server"
)

// filed are the files of each plugin. %[1]s is the URL of a webhook, %[2]s who vouches for it.
var filed = map[string]string{
	"ValidatingAdmissionPolicy": `apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: small.static.k8s.io}
spec:
  matchConstraints: {resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [configmaps]}]}
  validations: [{expression: "!has(object.data) || object.data.size() < 3", message: is too large}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: small.static.k8s.io}
spec: {policyName: small.static.k8s.io, validationActions: [Deny]}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: no-others.static.k8s.io}
spec:
  matchConstraints: {resourceRules: [{apiGroups: [admissionregistration.k8s.io], apiVersions: [v1], operations: [CREATE], resources: [validatingadmissionpolicies]}]}
  validations: [{expression: "false", message: policies are in files here}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: no-others.static.k8s.io}
spec: {policyName: no-others.static.k8s.io, validationActions: [Deny]}
`,
	"MutatingAdmissionPolicy": `apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicy
metadata: {name: owned.static.k8s.io}
spec:
  reinvocationPolicy: Never
  matchConstraints: {resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [configmaps]}]}
  mutations: [{patchType: ApplyConfiguration, applyConfiguration: {expression: 'Object{metadata: Object.metadata{labels: {"team": "blue"}}}'}}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicyBinding
metadata: {name: owned.static.k8s.io}
spec: {policyName: owned.static.k8s.io}
`,
	"ValidatingAdmissionWebhook": `apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: hooks.static.k8s.io}
webhooks:
- name: judge.hook.example
  clientConfig: {url: "%[1]s/judge", caBundle: %[2]s}
  rules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [configmaps]}]
  sideEffects: None
  admissionReviewVersions: [v1]
`,
	"MutatingAdmissionWebhook": `apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: {name: hooks.static.k8s.io}
webhooks:
- name: change.hook.example
  clientConfig: {url: "%[1]s/change", caBundle: %[2]s}
  rules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [configmaps]}]
  sideEffects: None
  admissionReviewVersions: [v1]
`,
}

// writeFiled writes the files of all plugins, each into a folder, and the settings that name them.
func writeFiled(t *testing.T, dir string, hooks *hookServer) (settings string) {
	t.Helper()
	settings = filepath.Join(dir, "admission.yaml")
	text := "apiVersion: apiserver.config.k8s.io/v1\nkind: AdmissionConfiguration\nplugins:\n"
	ca := base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: hooks.Certificate().Raw}))
	for plugin, content := range filed {
		kind := strings.TrimSuffix(plugin, "Webhook") + "Configuration"
		if strings.HasSuffix(plugin, "Webhook") {
			kind, content = "WebhookAdmissionConfiguration", fmt.Sprintf(content, hooks.URL, ca)
		}
		text += fmt.Sprintf("- name: %s\n  configuration: {apiVersion: apiserver.config.k8s.io/v1, kind: %s, staticManifestsDir: %s}\n", plugin, kind, filepath.Join(dir, plugin))
		if err := os.MkdirAll(filepath.Join(dir, plugin), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, plugin, "all.yaml"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(settings, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return settings
}

func TestPoliciesAndWebhooksInFilesAreInForceFromTheFirstRequest(t *testing.T) {
	t.Parallel()
	dir, hooks := t.TempDir(), newHookServer(t)
	settings := writeFiled(t, dir, hooks)
	muster := mustertest.Start(t, func(o *server.Options) { o.Admission.ConfigFile = settings })
	client := muster.Client()
	create := func(client kubernetes.Interface, change func(*corev1.ConfigMap)) (*corev1.ConfigMap, error) {
		config := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{GenerateName: "c-"}, Data: map[string]string{"one": ""}}
		change(config)
		return client.CoreV1().ConfigMaps("default").Create(t.Context(), config, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	}
	large := func(c *corev1.ConfigMap) { c.Data["two"], c.Data["three"] = "", "" }
	if _, err := create(client, large); err == nil || !strings.Contains(err.Error(), "ValidatingAdmissionPolicy 'small.static.k8s.io' with binding 'small.static.k8s.io' denied request: is too large") {
		t.Errorf("against a policy in a file: %v", err)
	}
	if config, err := create(client, func(*corev1.ConfigMap) {}); err != nil || config.Labels["team"] != "blue" {
		t.Errorf("%v; labels %v, want those of a policy in a file", err, config.Labels)
	}
	if config, err := create(client, doing("count", "counted")); err != nil || config.Data["change"] != "1" {
		t.Errorf("%v; data %v, want those of a webhook in a file", err, config.Data)
	}
	if asked := len(hooks.of("/judge", "counted")); asked != 1 {
		t.Errorf("the webhook in a file that judges was asked %d times", asked)
	}
	_, err := client.AdmissionregistrationV1().ValidatingAdmissionPolicies().Create(t.Context(), smallPolicy("api"), metav1.CreateOptions{})
	if err == nil || !strings.Contains(err.Error(), "policies are in files here") {
		t.Errorf("a policy about policies: %v", err)
	}
	_, err = client.AdmissionregistrationV1().ValidatingAdmissionPolicies().Create(t.Context(), smallPolicy("api.static.k8s.io"), metav1.CreateOptions{})
	if err == nil {
		t.Error("a policy of the API has a name of those in files")
	}
	if list, err := client.AdmissionregistrationV1().ValidatingAdmissionPolicies().List(t.Context(), metav1.ListOptions{}); err != nil || len(list.Items) > 0 {
		t.Errorf("%d policies are in the API (%v)", len(list.Items), err)
	}

	// A file is read again when it changes. One that cannot be leaves what was read before.
	file := filepath.Join(dir, "ValidatingAdmissionPolicy", "all.yaml")
	rewrite := func(text string) {
		t.Helper()
		if err := os.WriteFile(file+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(file+".new", file); err != nil {
			t.Fatal(err)
		}
	}
	rewrite(strings.ReplaceAll(filed["ValidatingAdmissionPolicy"], "is too large", "is much too large"))
	much := func() string {
		if _, err := create(client, large); err == nil || !strings.Contains(err.Error(), "is much too large") {
			return fmt.Sprintf("after the file has changed: %v", err)
		}
		return ""
	}
	becomesRight(t, much)
	rewrite("nonsense")
	becomesRight(t, func() string {
		failures := metric(t, client, `apiserver_manifest_admission_config_controller_automatic_reloads_total\{[^}]*status="failure"[^}]*\}`)
		if failures == "" || failures == "0" {
			return "the failure is not counted"
		}
		return much()
	})
}

// smallPolicy is one that is for nothing.
func smallPolicy(name string) *admissionregistrationv1.ValidatingAdmissionPolicy {
	rule := creations()
	rule.APIGroups = []string{"example.com"}
	return &admissionregistrationv1.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: admissionregistrationv1.ValidatingAdmissionPolicySpec{
			MatchConstraints: &admissionregistrationv1.MatchResources{ResourceRules: []admissionregistrationv1.NamedRuleWithOperations{{RuleWithOperations: rule}}},
			Validations:      []admissionregistrationv1.Validation{{Expression: "true"}},
		},
	}
}

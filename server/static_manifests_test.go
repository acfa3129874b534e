// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
)

const (
	filedPolicy = `apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: small.static.k8s.io}
spec:
  matchConstraints: {resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [configmaps]}]}
  validations: [{expression: "object.data.size() < 5"}]
`
	filedBinding = `apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: small.static.k8s.io}
spec: {policyName: small.static.k8s.io, validationActions: [Deny]}
`
)

func TestPoliciesInFilesAreCompletedAndCheckedAsIfTheyWereCreated(t *testing.T) {
	t.Parallel()
	indented := func(text string) string {
		return "- " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n  ") + "\n"
	}
	replaced := func(old, with string) string { return strings.Replace(filedPolicy, old, with, 1) }
	for name, test := range map[string]struct {
		text    string
		refused string
	}{
		"a policy and its binding":    {filedPolicy + "---\n" + filedBinding, ""},
		"a list":                      {"apiVersion: v1\nkind: List\nitems:\n" + indented(filedPolicy) + indented(filedBinding), ""},
		"a list of policies":          {"apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingAdmissionPolicyList\nitems:\n" + indented(filedPolicy), ""},
		"a name of the API":           {replaced("small.static.k8s.io", "small"), `must have a name ending with ".static.k8s.io"`},
		"a name that nobody can have": {replaced("small.static.k8s.io", "No.static.k8s.io"), `metadata.name: Invalid value: "No": a lowercase RFC 1123 subdomain`},
		"two of a name":               {filedPolicy + "---\n" + filedPolicy, `duplicate name "small.static.k8s.io"`},
		"a bad expression":            {replaced("size() < 5", "size( < 5"), "spec.validations[0].expression: Invalid value"},
		"an unknown field":            {replaced("spec:", "spec:\n  speck: 1"), `unknown field "spec.speck"`},
		"no match":                    {replaced("resources: [configmaps]", "resources: []"), "spec.matchConstraints.resourceRules[0].resources: Required value"},
		"parameters":                  {replaced("spec:", "spec:\n  paramKind: {apiVersion: v1, kind: ConfigMap}"), "spec.paramKind is not supported for static manifests"},
		"a binding of nothing":        {filedBinding, `references policy "small.static.k8s.io" which does not exist in the manifest directory`},
		"another kind":                {strings.ReplaceAll(filedPolicy, "kind: Validating", "kind: Mutating"), "unknown field"},
		"a webhook": {
			"apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingWebhookConfiguration\nmetadata: {name: hooks.static.k8s.io}\n",
			"unsupported resource type *v1.ValidatingWebhookConfiguration",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "small.yaml"), []byte(test.text), 0o600); err != nil {
				t.Fatal(err)
			}
			files, err := newManifests()
			if err != nil {
				t.Fatal(err)
			}
			policies, _, _, err := files.loaders().LoadValidatingPolicyManifests(dir)
			if test.refused != "" {
				if err == nil || !strings.Contains(err.Error(), test.refused) {
					t.Errorf("got %v, want %s", err, test.refused)
				}
				return
			}
			if err != nil || len(policies) != 1 {
				t.Fatalf("%d policies, %v", len(policies), err)
			}
			if p := policies[0]; p.Name != "small.static.k8s.io" || *p.Spec.FailurePolicy != admissionregistrationv1.Fail || *p.Spec.MatchConstraints.MatchPolicy != admissionregistrationv1.Equivalent {
				t.Errorf("the policy %s is not complete: %v", p.Name, p.Spec)
			}
		})
	}
}

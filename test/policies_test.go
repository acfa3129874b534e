// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package test

import (
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/muster-identity/muster/mustertest"
)

// onCreation matches the creation of a resource of the core group, with each of labels in the object.
func onCreation(resource string, labels map[string]string) *admissionregistrationv1.MatchResources {
	return &admissionregistrationv1.MatchResources{
		ObjectSelector: &metav1.LabelSelector{MatchLabels: labels},
		ResourceRules: []admissionregistrationv1.NamedRuleWithOperations{{RuleWithOperations: admissionregistrationv1.RuleWithOperations{
			Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create},
			Rule:       admissionregistrationv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{resource}},
		}}},
	}
}

func TestPoliciesDoHereWhatTheyDoInKubernetes(t *testing.T) {
	t.Parallel()
	client := mustertest.Start(t).Client()
	for name, story := range map[string]func(*testing.T, kubernetes.Interface){
		"an expression that does not fit the kind is told in the status": misfitsAreTold,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			story(t, client)
		})
	}
}

func misfitsAreTold(t *testing.T, client kubernetes.Interface) {
	policies := client.AdmissionregistrationV1().ValidatingAdmissionPolicies()
	policy := &admissionregistrationv1.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "misfit"},
		Spec: admissionregistrationv1.ValidatingAdmissionPolicySpec{
			MatchConstraints: onCreation("pods", nil),
			ParamKind:        &admissionregistrationv1.ParamKind{APIVersion: "v1", Kind: "ConfigMap"},
			Variables:        []admissionregistrationv1.Variable{{Name: "account", Expression: "object.spec.serviceAccountName"}},
			Validations: []admissionregistrationv1.Validation{
				{Expression: "variables.account != 'default' && has(params.data)"},
				{Expression: "object.spec.replicas < 5", MessageExpression: "'not ' + string(object.spec.nodename)"},
				{Expression: "params.dada.size() > 0"},
			},
		},
	}
	if _, err := policies.Create(t.Context(), policy, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	checked := func(generation int64) []admissionregistrationv1.ExpressionWarning {
		t.Helper()
		becomesRight(t, func() string {
			var err error
			if policy, err = policies.Get(t.Context(), "misfit", metav1.GetOptions{}); err != nil {
				return err.Error()
			}
			if policy.Status.ObservedGeneration != generation {
				return "the policy has not been checked"
			}
			return ""
		})
		if policy.Status.TypeChecking == nil {
			return nil
		}
		return policy.Status.TypeChecking.ExpressionWarnings
	}
	warnings := checked(1)
	want := [][2]string{
		{"spec.validations[1].expression", "undefined field 'replicas'"},
		{"spec.validations[1].messageExpression", "undefined field 'nodename'"},
		{"spec.validations[2].expression", "undefined field 'dada'"},
	}
	if len(warnings) != len(want) {
		t.Fatalf("%d warnings: %v", len(warnings), warnings)
	}
	for i, warning := range warnings {
		if warning.FieldRef != want[i][0] || !strings.HasPrefix(warning.Warning, "/v1, Kind=Pod: ") || !strings.Contains(warning.Warning, want[i][1]) {
			t.Errorf("%s: %s; want %s", warning.FieldRef, warning.Warning, want[i])
		}
	}
	policy.Spec.Validations = policy.Spec.Validations[:1]
	if _, err := policies.Update(t.Context(), policy, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if warnings := checked(2); len(warnings) != 0 {
		t.Errorf("of a policy that was mended: %v", warnings)
	}
}

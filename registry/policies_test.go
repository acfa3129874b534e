// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
)

// policyFaults are those of an object of a policy kind: base, changed by a merge
// of JSON. Of what the compiler of CEL says the first line counts.
func policyFaults[T Object](t *testing.T, resource Resource, base, change string) []string {
	t.Helper()
	d := resource.(*Definition[T])
	obj := d.New()
	for _, text := range []string{base, change} {
		if err := json.Unmarshal([]byte(text), obj); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
	d.Default(obj)
	var errs field.ErrorList
	if d.Validate != nil {
		errs = d.Validate(obj)
	}
	errs = append(errs, d.ValidateCreate(obj)...)
	var texts []string
	for _, err := range errs {
		first, _, _ := strings.Cut(err.Error(), "\n")
		texts = append(texts, first)
	}
	return texts
}

const anyPod = `"matchConstraints": {"resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}]}`

func TestAValidatingPolicyIsHeldToTheRulesOfKubernetes(t *testing.T) {
	t.Parallel()
	const base = `{"metadata": {"name": "own"}, "spec": {` + anyPod + `, "validations": [{"expression": "object.spec.serviceAccountName != 'default'"}]}}`
	for change, want := range map[string][]string{
		`{}`: nil,
		`{"spec": {"variables": [{"name": "a", "expression": "1"}], "validations": [{"expression": "variables.a == 1", "messageExpression": "'x'", "reason": "Forbidden"}]}}`: nil,
		`{"spec": {"paramKind": {"apiVersion": "v1", "kind": "ConfigMap"}, "matchConditions": [{"name": "x", "expression": "params.data.x == 'y'"}]}}`:                        nil,
		`{"spec": {"validations": []}}`: {
			"spec.validations: Required value: validations or auditAnnotations must contain at least one item",
			"spec.auditAnnotations: Required value: validations or auditAnnotations must contain at least one item",
		},
		`{"spec": {"matchConstraints": null}}`:                                   {"spec.matchConstraints: Required value"},
		`{"spec": {"matchConstraints": {"resourceRules": []}}}`:                  {"spec.matchConstraints.resourceRules: Required value"},
		`{"spec": {"failurePolicy": "Maybe"}}`:                                   {`spec.failurePolicy: Unsupported value: "Maybe": supported values: "Fail", "Ignore"`},
		`{"spec": {"paramKind": {"apiVersion": "v1", "kind": ""}}}`:              {"spec.paramKind.kind: Required value"},
		`{"spec": {"validations": [{"expression": " "}]}}`:                       {"spec.validations[0].expression: Required value: expression is not specified"},
		`{"spec": {"validations": [{"expression": "nobody"}]}}`:                  {`spec.validations[0].expression: Invalid value: "nobody": compilation failed: ERROR: <input>:1:1: undeclared reference to 'nobody' (in container '')`},
		`{"spec": {"validations": [{"expression": "1"}]}}`:                       {`spec.validations[0].expression: Invalid value: "1": must evaluate to bool but got int`},
		`{"spec": {"validations": [{"expression": "true", "message": "a\nb"}]}}`: {`spec.validations[0].message: Invalid value: "a\nb": must not contain line breaks`},
		`{"spec": {"validations": [{"expression": "true", "reason": "Odd"}]}}`:   {`spec.validations[0].reason: Unsupported value: "Odd": supported values: "Forbidden", "Invalid", "RequestEntityTooLarge"`},
		`{"spec": {"variables": [{"name": "if", "expression": "1"}]}}`:           {`spec.variables[0].name: Invalid value: "if": must be a valid CEL identifier`},
		`{"spec": {"auditAnnotations": [{"key": "k", "valueExpression": ""}]}}`:  {"spec.auditAnnotations[0].valueExpression: Required value: valueExpression is not specified"},
		`{"metadata": {"name": "x.static.k8s.io"}}`:                              {`metadata.name: Invalid value: "x.static.k8s.io": ` + reservedForManifests},
	} {
		t.Run(change, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(want, policyFaults[*admissionregistrationv1.ValidatingAdmissionPolicy](t, validatingAdmissionPolicies(), base, change)); diff != "" {
				t.Errorf("faults (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAMutatingPolicyIsHeldToTheRulesOfKubernetes(t *testing.T) {
	t.Parallel()
	const base = `{"metadata": {"name": "own"}, "spec": {` + anyPod + `, "reinvocationPolicy": "Never",
		"mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": "[JSONPatch{op: 'add', path: '/metadata/labels/a', value: 'b'}]"}}]}}`
	for change, want := range map[string][]string{
		`{}`:                                   nil,
		`{"spec": {"reinvocationPolicy": ""}}`: {"spec.reinvocationPolicy: Required value"},
		`{"spec": {"mutations": []}}`:          {"spec.mutations: Required value: mutations must contain at least one item"},
		`{"spec": {"mutations": [{"patchType": "Odd"}]}}`: {`spec.mutations[0].patchType: Unsupported value: "Odd": supported values: "ApplyConfiguration", "JSONPatch"`},
		`{"spec": {"mutations": [{"patchType": "ApplyConfiguration", "jsonPatch": null}]}}`: {
			"spec.mutations[0].applyConfiguration: Required value: must be specified when patchType is ApplyConfiguration",
		},
		`{"spec": {"matchConstraints": {"resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["DELETE"], "resources": ["pods"]}]}}}`: {
			`spec.matchConstraints.resourceRules.operations: Unsupported value: "DELETE": supported values: "*", "CONNECT", "CREATE", "UPDATE"`,
		},
	} {
		t.Run(change, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(want, policyFaults[*admissionregistrationv1.MutatingAdmissionPolicy](t, mutatingAdmissionPolicies(), base, change)); diff != "" {
				t.Errorf("faults (-want +got):\n%s", diff)
			}
		})
	}
}

func TestABindingOfAPolicyIsHeldToTheRulesOfKubernetes(t *testing.T) {
	t.Parallel()
	const base = `{"metadata": {"name": "own"}, "spec": {"policyName": "own", "validationActions": ["Deny"]}}`
	for change, want := range map[string][]string{
		`{}`: nil,
		`{"spec": {"paramRef": {"name": "a", "parameterNotFoundAction": "Deny"}}}`: nil,
		`{"spec": {"policyName": ""}}`:                                             {"spec.policyName: Required value"},
		`{"spec": {"validationActions": []}}`:                                      {"spec.validationActions: Required value: at least one validation action is required"},
		`{"spec": {"validationActions": ["Audit", "Audit"]}}`:                      {`spec.validationActions[1]: Duplicate value: "Audit"`},
		`{"spec": {"validationActions": ["Odd"]}}`:                                 {`spec.validationActions[0]: Unsupported value: "Odd": supported values: "Audit", "Deny", "Warn"`},
		`{"spec": {"paramRef": {}}}`: {
			"spec.paramRef: Required value: one of name or selector must be specified",
			"spec.paramRef.parameterNotFoundAction: Required value",
		},
		`{"spec": {"paramRef": {"name": "a", "selector": {}, "parameterNotFoundAction": "Allow"}}}`: {
			"spec.paramRef.name: Forbidden: name and selector are mutually exclusive",
			"spec.paramRef.selector: Forbidden: name and selector are mutually exclusive",
		},
	} {
		t.Run(change, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(want, policyFaults[*admissionregistrationv1.ValidatingAdmissionPolicyBinding](t, validatingAdmissionPolicyBindings(), base, change)); diff != "" {
				t.Errorf("faults (-want +got):\n%s", diff)
			}
		})
	}
}

// nosy may read the ConfigMaps of dev and nothing else.
type nosy struct{}

func (nosy) Authorize(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	if a.GetResource() == "configmaps" && a.GetNamespace() == "dev" {
		return authorizer.DecisionAllow, "", nil
	}
	return authorizer.DecisionNoOpinion, "", nil
}

type onConfigMaps struct{}

func (onConfigMaps) ParamKind(context.Context, bool, string) (*admissionregistrationv1.ParamKind, error) {
	return &admissionregistrationv1.ParamKind{APIVersion: "v1", Kind: "ConfigMap"}, nil
}

func TestNobodyReadsThroughAPolicyWhatTheyMayNot(t *testing.T) {
	t.Parallel()
	scheme, err := NewScheme(Table())
	if err != nil {
		t.Fatal(err)
	}
	guard := &paramGuard{authorizer: nosy{}, kinds: scheme, policies: onConfigMaps{}}
	ctx := genericapirequest.WithUser(t.Context(), &user.DefaultInfo{Name: "jane"})
	kind, _ := onConfigMaps{}.ParamKind(ctx, false, "")
	got := guard.mayReadAll(ctx, kind).ToAggregate()
	want := `spec.paramKind: Forbidden: user jane must have "get" permission on all objects of the referenced paramKind (kind=ConfigMap, apiVersion=v1)`
	if got == nil || got.Error() != want {
		t.Errorf("a policy: got %v, want %s", got, want)
	}
	if errs := guard.mayRead(ctx, &admissionregistrationv1.ParamRef{Namespace: "dev", Name: "a"}, "own", false); len(errs) > 0 {
		t.Errorf("a binding to what may be read: %v", errs)
	}
	got = guard.mayRead(ctx, &admissionregistrationv1.ParamRef{Namespace: "prod", Name: "a"}, "own", false).ToAggregate()
	want = `spec.paramRef: Forbidden: user jane does not have "get" permission on the object referenced by paramRef`
	if got == nil || got.Error() != want {
		t.Errorf("a binding to what may not: got %v, want %s", got, want)
	}
}

func TestTypesOfTheHubConvertToThemselves(t *testing.T) {
	t.Parallel()
	scheme, err := NewScheme(Table())
	if err != nil {
		t.Fatal(err)
	}
	from := &admissionregistrationv1.ValidatingAdmissionPolicy{}
	from.Name, from.Kind = "own", "Odd"
	to := &admissionregistrationv1.ValidatingAdmissionPolicy{}
	if err := scheme.Convert(from, to, nil); err != nil || to.Name != "own" || to.Kind != "" {
		t.Errorf("got %v of kind %q, error %v", to.Name, to.Kind, err)
	}
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

type hook = admissionregistrationv1.MutatingWebhook

// goodHook is a webhook with its defaults, changed by a merge of JSON.
func goodHook(t testing.TB, changes ...string) hook {
	t.Helper()
	made := hook{}
	for _, change := range append([]string{`{"name": "a.hook.example", "clientConfig": {"url": "https://hook.example/review"}, "sideEffects": "None",
		"admissionReviewVersions": ["v1"], "rules": [{"apiGroups": ["apps.example"], "apiVersions": ["v1"], "resources": ["ships"], "operations": ["CREATE"]}]}`}, changes...) {
		if err := json.Unmarshal([]byte(change), &made); err != nil {
			t.Fatalf("%s: %v", change, err)
		}
	}
	defaultWebhook(&made)
	return made
}

func TestAWebhookConfigurationIsHeldToTheRulesOfKubernetes(t *testing.T) {
	t.Parallel()
	const service = `{"clientConfig": {"url": null, "service": `
	rule := func(change string) string { return `{"rules": [{` + change + `}]}` }
	tests := map[string][]string{
		`{}`: nil,
		`{"timeoutSeconds": 30, "failurePolicy": "Ignore", "matchPolicy": "Exact", "sideEffects": "NoneOnDryRun", "reinvocationPolicy": "IfNeeded"}`:                         nil,
		service + `{"namespace": "ops", "name": "hook", "path": "/review/"}}}`:                                                                                               nil,
		`{"matchConditions": [{"name": "ours", "expression": "request.resource.group == 'apps.example' && !authorizer.group('').resource('pods').check('get').allowed()"}]}`: nil,
		`{"name": "short"}`:               {`webhooks[0].name: Invalid value: "short": should be a domain with at least three segments separated by dots`},
		`{"timeoutSeconds": 31}`:          {"webhooks[0].timeoutSeconds: Invalid value: 31: the timeout value must be between 1 and 30 seconds"},
		`{"timeoutSeconds": 0}`:           {"webhooks[0].timeoutSeconds: Invalid value: 0: the timeout value must be between 1 and 30 seconds"},
		`{"failurePolicy": "x"}`:          {`webhooks[0].failurePolicy: Unsupported value: "x": supported values: "Fail", "Ignore"`},
		`{"matchPolicy": "x"}`:            {`webhooks[0].matchPolicy: Unsupported value: "x": supported values: "Equivalent", "Exact"`},
		`{"sideEffects": "Some"}`:         {`webhooks[0].sideEffects: Unsupported value: "Some": supported values: "None", "NoneOnDryRun"`},
		`{"sideEffects": null}`:           {`webhooks[0].sideEffects: Required value: must specify one of None, NoneOnDryRun`},
		`{"reinvocationPolicy": "x"}`:     {`webhooks[0].reinvocationPolicy: Unsupported value: "x": supported values: "IfNeeded", "Never"`},
		`{"admissionReviewVersions": []}`: {"webhooks[0].admissionReviewVersions: Required value: must specify one of v1, v1beta1"},
		`{"admissionReviewVersions": ["v2", "v2"]}`: {
			`webhooks[0].admissionReviewVersions[1]: Invalid value: "v2": duplicate version`,
			`webhooks[0].admissionReviewVersions: Invalid value: ["v2","v2"]: must include at least one of v1, v1beta1`,
		},
		`{"namespaceSelector": {"matchLabels": {"a b": ""}}}`:                         {`webhooks[0].namespaceSelector.matchLabels: Invalid value: "a b": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')`},
		`{"clientConfig": {"url": null}}`:                                             {"webhooks[0].clientConfig: Required value: exactly one of url or service is required"},
		`{"clientConfig": {"service": {"namespace": "ops", "name": "hook"}}}`:         {"webhooks[0].clientConfig: Required value: exactly one of url or service is required"},
		`{"clientConfig": {"url": "http://hook.example"}}`:                            {`webhooks[0].clientConfig.url: Invalid value: "http": 'https' is the only allowed URL scheme; desired format: https://host[/path]`},
		service + `{"name": "hook"}}}`:                                                {"webhooks[0].clientConfig.service.name: Required value"},
		rule(`"operations": [], "apiGroups": [], "apiVersions": [], "resources": []`): {"webhooks[0].rules[0].operations: Required value", "webhooks[0].rules[0].apiGroups: Required value", "webhooks[0].rules[0].apiVersions: Required value", "webhooks[0].rules[0].resources: Required value"},
		rule(`"operations": ["*", "PATCH"], "apiGroups": ["*", "a"], "apiVersions": ["*", ""], "resources": ["*", "a"], "scope": "x"`): {
			`webhooks[0].rules[0].operations: Invalid value: ["*","PATCH"]: if '*' is present, must not specify other operations`,
			`webhooks[0].rules[0].operations[1]: Unsupported value: "PATCH": supported values: "*", "CONNECT", "CREATE", "DELETE", "UPDATE"`,
			`webhooks[0].rules[0].apiGroups: Invalid value: ["*","a"]: if '*' is present, must not specify other API groups`,
			`webhooks[0].rules[0].apiVersions: Invalid value: ["*",""]: if '*' is present, must not specify other API versions`,
			"webhooks[0].rules[0].apiVersions[1]: Required value",
			`webhooks[0].rules[0].resources: Invalid value: ["*","a"]: if '*' is present, must not specify other resources without subresources`,
			`webhooks[0].rules[0].scope: Unsupported value: "x": supported values: "*", "Cluster", "Namespaced"`,
		},
		rule(`"operations": ["*"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["a/*", "a/b", "*/c", "d/c", "*/*", ""]`): {
			`webhooks[0].rules[0].resources[1]: Invalid value: "a/b": if 'a/*' is present, must not specify a/b`,
			`webhooks[0].rules[0].resources[3]: Invalid value: "d/c": if '*/c' is present, must not specify d/c`,
			"webhooks[0].rules[0].resources[5]: Required value",
			`webhooks[0].rules[0].resources: Invalid value: ["a/*","a/b","*/c","d/c","*/*",""]: if '*/*' is present, must not specify other resources`,
		},
		`{"matchConditions": [{"name": "x", "expression": " "}, {"expression": "true"}, {"name": "x", "expression": "true"}]}`: {
			"webhooks[0].matchConditions[0].expression: Required value",
			"webhooks[0].matchConditions[1].name: Required value",
			`webhooks[0].matchConditions[2].name: Duplicate value: "x"`,
		},
		`{"matchConditions": [{"name": "x", "expression": "1"}]}`: {`webhooks[0].matchConditions[0].expression: Invalid value: "1": must evaluate to bool but got int`},
	}
	conditions := newMatchConditions()
	for change, want := range tests {
		got := errorTexts(validateWebhooks([]hook{goodHook(t, change)}, nil, conditions))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: errors (-want +got):\n%s", change, diff)
		}
	}
	broken := `{"matchConditions": [{"name": "x", "expression": "object.metadata.name == nobody"}]}`
	errs := validateWebhooks([]hook{goodHook(t, broken)}, nil, conditions)
	if len(errs) != 1 || errs[0].Type != field.ErrorTypeInvalid || !strings.Contains(errs[0].Detail, "undeclared reference to 'nobody'") {
		t.Errorf("a condition that does not compile: %v", errs)
	}
	twice := validateWebhooks([]hook{goodHook(t), goodHook(t)}, nil, conditions)
	if got, want := errorTexts(twice), []string{`webhooks[1].name: Duplicate value: "a.hook.example"`}; !slices.Equal(got, want) {
		t.Errorf("two webhooks of one name: %q, want %q", got, want)
	}
}

// What was accepted once, by an older server, may stay when something else is
// changed, and may not come in anew.
func TestAnUpdateIsForgivenWhatWasSoBefore(t *testing.T) {
	t.Parallel()
	conditions := newMatchConditions()
	for _, old := range []string{
		`{"sideEffects": "Unknown"}`,
		`{"admissionReviewVersions": ["v2"]}`,
		`{"objectSelector": {"matchExpressions": [{"key": "a", "operator": "In", "values": ["-"]}]}}`,
		`{"matchConditions": [{"name": "x", "expression": "gone()"}]}`,
	} {
		was, is := []hook{goodHook(t, old)}, []hook{goodHook(t, old, `{"timeoutSeconds": 5}`)}
		if errs := validateWebhooks(is, leniencyFor(was), conditions); len(errs) > 0 {
			t.Errorf("%s, as before: %v", old, errs)
		}
		if errs := validateWebhooks(is, leniencyFor([]hook{goodHook(t)}), conditions); len(errs) == 0 {
			t.Errorf("%s is accepted anew", old)
		}
	}
	was := []hook{goodHook(t), goodHook(t)}
	if errs := validateWebhooks(was, leniencyFor(was), conditions); len(errs) > 0 {
		t.Errorf("two of one name, as before: %v", errs)
	}
}

func TestWhatAWebhookConfigurationLeavesOpenIsFilledIn(t *testing.T) {
	t.Parallel()
	scheme, err := NewScheme(webhookConfigurationKinds())
	if err != nil {
		t.Fatal(err)
	}
	client := admissionregistrationv1.WebhookClientConfig{Service: &admissionregistrationv1.ServiceReference{Namespace: "ops", Name: "hook"}}
	rules := func() []admissionregistrationv1.RuleWithOperations {
		return []admissionregistrationv1.RuleWithOperations{{}}
	}
	validating := &admissionregistrationv1.ValidatingWebhookConfiguration{Webhooks: []admissionregistrationv1.ValidatingWebhook{{ClientConfig: *client.DeepCopy(), Rules: rules()}}}
	mutating := &admissionregistrationv1.MutatingWebhookConfiguration{Webhooks: []hook{{ClientConfig: *client.DeepCopy(), Rules: rules()}}}
	scheme.Default(validating)
	scheme.Default(mutating)
	want := hook{
		ClientConfig:  admissionregistrationv1.WebhookClientConfig{Service: &admissionregistrationv1.ServiceReference{Namespace: "ops", Name: "hook", Port: new(int32(443))}},
		Rules:         []admissionregistrationv1.RuleWithOperations{{Rule: admissionregistrationv1.Rule{Scope: new(admissionregistrationv1.AllScopes)}}},
		FailurePolicy: new(admissionregistrationv1.Fail), MatchPolicy: new(admissionregistrationv1.Equivalent), TimeoutSeconds: new(int32(10)),
		NamespaceSelector: &metav1.LabelSelector{}, ObjectSelector: &metav1.LabelSelector{},
	}
	if diff := cmp.Diff(want, webhookOfValidating(&validating.Webhooks[0])); diff != "" {
		t.Errorf("validating (-want +got):\n%s", diff)
	}
	want.ReinvocationPolicy = new(admissionregistrationv1.NeverReinvocationPolicy)
	if diff := cmp.Diff(want, mutating.Webhooks[0]); diff != "" {
		t.Errorf("mutating (-want +got):\n%s", diff)
	}
}

func TestRulesWithoutEffectAndReservedNamesAreToldOf(t *testing.T) {
	t.Parallel()
	idle := goodHook(t, `{"rules": [{"apiGroups": ["", "authentication.k8s.io"], "apiVersions": ["v1"], "resources": ["pods", "tokenreviews", "tokenreviews"], "operations": ["*"]},
		{"apiGroups": ["*"], "apiVersions": ["v1"], "resources": ["tokenreviews"], "operations": ["*"]}]}`)
	want := []string{
		`metadata.name: names ending with ".static.k8s.io" are reserved for static manifest-based configurations and cannot be managed via the API`,
		"webhooks[0].rules[0]: tokenreviews.authentication.k8s.io is excluded from admission webhooks; this rule will have no effect",
	}
	if diff := cmp.Diff(want, webhookWarnings("a.static.k8s.io", []hook{idle})); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
	if errs := validateStaticSuffix("a.static.k8s.io"); len(errs) != 1 || len(validateStaticSuffix("a.example")) > 0 {
		t.Errorf("a reserved name: %v", errs)
	}
}

func TestGroupsAreServedForTheirResourcesAlone(t *testing.T) {
	t.Parallel()
	served := GroupVersions(webhookConfigurationKinds())
	if len(served) != 1 || served[0] != admissionregistrationv1.SchemeGroupVersion {
		t.Errorf("the kinds of webhooks are served in %v, want their own group", served)
	}
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"github.com/muster-identity/muster/mustertest"
	"github.com/muster-identity/muster/server"
)

// admissionSettings holds pods to a standard that no namespace asks for, but for one namespace, and has a file with the credentials
// for webhooks.
const admissionSettings = `apiVersion: apiserver.config.k8s.io/v1
kind: AdmissionConfiguration
plugins:
- name: PodSecurity
  configuration:
    apiVersion: pod-security.admission.config.k8s.io/v1
    kind: PodSecurityConfiguration
    defaults: {enforce: baseline, enforce-version: latest}
    exemptions: {namespaces: [default]}
- name: ValidatingAdmissionWebhook
  configuration:
    apiVersion: apiserver.config.k8s.io/v1
    kind: WebhookAdmissionConfiguration
    kubeConfigFile: %s
`

// quay is a server whose admission is tried. Each story has a namespace of its name, with that as its label: what a story
// writes there are config maps.
type quay struct {
	client   kubernetes.Interface
	warnings *warnings
	// events is the audit log.
	events string
	hooks  *hookServer
}

// What k8s.io/apiserver does with policies and webhooks it does here too: with our stores, our authorizer and our plugins at
// rest. One server has all stories at the same time.
func TestAdmissionDoesHereWhatItDoesInKubernetes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	policy, events := filepath.Join(dir, "policy.json"), filepath.Join(dir, "audit.log")
	if err := os.WriteFile(policy, []byte(auditPolicy), 0o600); err != nil {
		t.Fatal(err)
	}
	hooks := newHookServer(t)
	settings, credentials := filepath.Join(dir, "admission.yaml"), filepath.Join(dir, "hooks.kubeconfig")
	for file, text := range map[string]string{settings: fmt.Sprintf(admissionSettings, credentials), credentials: hooks.kubeconfig()} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	muster := mustertest.Start(t, func(o *server.Options) {
		o.Audit.PolicyFile, o.Audit.LogOptions.Path, o.Admission.ConfigFile = policy, events, settings
	})
	config := muster.Admin()
	q := &quay{warnings: &warnings{}, events: events, hooks: hooks}
	config.WarningHandlerWithContext, config.QPS = q.warnings, -1
	var err error
	if q.client, err = kubernetes.NewForConfig(config); err != nil {
		t.Fatal(err)
	}
	for name, story := range map[string]func(*quay, *testing.T, string){
		"misfits":     (*quay).misfitsAreToldInTheStatus,
		"audit":       (*quay).aPolicyWritesIntoTheAuditLog,
		"warn":        (*quay).aPolicyWarnsAndAudits,
		"params":      (*quay).aPolicyGoesByItsParameters,
		"where":       (*quay).aPolicyHoldsWhereItsSelectorsSay,
		"authorizer":  (*quay).aPolicyAsksWhoMayDoWhat,
		"failure":     (*quay).aPolicyThatFailsRefusesUnlessToldOtherwise,
		"conditions":  (*quay).aPolicyHasConditions,
		"patches":     (*quay).aMutatingPolicyPatches,
		"matched":     (*quay).aWebhookIsAskedWhatItsConditionsAndSelectorsMatch,
		"reinvoked":   (*quay).aWebhookIsAskedAgainIfNeeded,
		"dry":         (*quay).aWebhookIsToldOfDryRuns,
		"unreachable": (*quay).aWebhookThatIsAwayRefusesUnlessToldOtherwise,
		"slow":        (*quay).aWebhookHasSoMuchTime,
		"remarks":     (*quay).aWebhookWarnsAndAudits,
		"settings":    (*quay).aPluginGoesByItsSettings,
		"standards":   (*quay).aNamespaceIsHeldToItsStandard,
	} {
		muster.Namespace(name)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			story(q, t, name)
		})
	}
}

// warnings are those that a client was sent.
type warnings struct {
	mu  sync.Mutex
	all []string // guarded by mu
}

// HandleWarningHeaderWithContext keeps a warning.
func (w *warnings) HandleWarningHeaderWithContext(_ context.Context, _ int, _ string, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all = append(w.all, text)
}

func (w *warnings) have(text string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Contains(w.all, text)
}

// creations match the creation of config maps.
func creations() admissionregistrationv1.RuleWithOperations {
	return admissionregistrationv1.RuleWithOperations{
		Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create},
		Rule:       admissionregistrationv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"configmaps"}},
	}
}

// in selects a namespace.
func in(namespace string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: namespace}}
}

// try writes a config map, or what would come of it if dry.
func (q *quay) try(t *testing.T, namespace string, dry bool, change func(*corev1.ConfigMap)) (*corev1.ConfigMap, error) {
	t.Helper()
	config := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{GenerateName: "c-", Labels: map[string]string{"here": ""}}, Data: map[string]string{"some": ""}}
	change(config)
	options := metav1.CreateOptions{}
	if dry {
		options.DryRun = []string{metav1.DryRunAll}
	}
	return q.client.CoreV1().ConfigMaps(namespace).Create(t.Context(), config, options)
}

// refused waits until a config map is refused with such a text: what decides has to be known first.
func (q *quay) refused(t *testing.T, namespace, text string, change func(*corev1.ConfigMap)) {
	t.Helper()
	becomesRight(t, func() string {
		_, err := q.try(t, namespace, true, change)
		if err == nil || !strings.Contains(err.Error(), text) {
			return fmt.Sprintf("got %v, want it refused: %s", err, text)
		}
		return ""
	})
}

func (q *quay) accepted(t *testing.T, namespace string, change func(*corev1.ConfigMap)) {
	t.Helper()
	if _, err := q.try(t, namespace, true, change); err != nil {
		t.Errorf("refused: %v", err)
	}
}

func plain(*corev1.ConfigMap) {}

func labelled(key, value string) func(*corev1.ConfigMap) {
	return func(c *corev1.ConfigMap) { c.Labels[key] = value }
}

// annotated waits until the audit log has an event about namespace with the annotation, and returns its value.
func (q *quay) annotated(t *testing.T, namespace, key string) string {
	t.Helper()
	value := ""
	becomesRight(t, func() string {
		log, err := os.ReadFile(q.events)
		if err != nil {
			return err.Error()
		}
		for line := range strings.Lines(string(log)) {
			var event struct {
				UserAgent   string
				ObjectRef   *struct{ Namespace string }
				Annotations map[string]string
			}
			// The server's own config map for the namespace is not meant.
			if json.Unmarshal([]byte(line), &event) == nil && event.ObjectRef != nil && event.ObjectRef.Namespace == namespace && event.UserAgent != "muster-controllers" {
				if found, ok := event.Annotations[key]; ok {
					value = found
					return ""
				}
			}
		}
		return "no event about " + namespace + " has " + key
	})
	return value
}

// enforce makes a policy for the config maps of a namespace, and the binding.
func (q *quay) enforce(t *testing.T, name string, policy admissionregistrationv1.ValidatingAdmissionPolicySpec, binding admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec) {
	t.Helper()
	if policy.MatchConstraints == nil {
		policy.MatchConstraints = &admissionregistrationv1.MatchResources{NamespaceSelector: in(name)}
	}
	policy.MatchConstraints.ResourceRules = []admissionregistrationv1.NamedRuleWithOperations{{RuleWithOperations: creations()}}
	policies := q.client.AdmissionregistrationV1().ValidatingAdmissionPolicies()
	if _, err := policies.Create(t.Context(), &admissionregistrationv1.ValidatingAdmissionPolicy{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: policy}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	binding.PolicyName = name
	if binding.ValidationActions == nil {
		binding.ValidationActions = []admissionregistrationv1.ValidationAction{admissionregistrationv1.Deny}
	}
	bindings := q.client.AdmissionregistrationV1().ValidatingAdmissionPolicyBindings()
	if _, err := bindings.Create(t.Context(), &admissionregistrationv1.ValidatingAdmissionPolicyBinding{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: binding}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func (q *quay) misfitsAreToldInTheStatus(t *testing.T, name string) {
	policies := q.client.AdmissionregistrationV1().ValidatingAdmissionPolicies()
	onPods := creations()
	onPods.Resources = []string{"pods"}
	policy := &admissionregistrationv1.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: admissionregistrationv1.ValidatingAdmissionPolicySpec{
			MatchConstraints: &admissionregistrationv1.MatchResources{ResourceRules: []admissionregistrationv1.NamedRuleWithOperations{{RuleWithOperations: onPods}}},
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
			if policy, err = policies.Get(t.Context(), name, metav1.GetOptions{}); err != nil {
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
	found := checked(1)
	want := [][2]string{
		{"spec.validations[1].expression", "undefined field 'replicas'"},
		{"spec.validations[1].messageExpression", "undefined field 'nodename'"},
		{"spec.validations[2].expression", "undefined field 'dada'"},
	}
	if len(found) != len(want) {
		t.Fatalf("%d warnings: %v", len(found), found)
	}
	for i, warning := range found {
		if warning.FieldRef != want[i][0] || !strings.HasPrefix(warning.Warning, "/v1, Kind=Pod: ") || !strings.Contains(warning.Warning, want[i][1]) {
			t.Errorf("%s: %s; want %s", warning.FieldRef, warning.Warning, want[i])
		}
	}
	policy.Spec.Validations = policy.Spec.Validations[:1]
	if _, err := policies.Update(t.Context(), policy, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if found := checked(2); len(found) != 0 {
		t.Errorf("of a policy that was mended: %v", found)
	}
}

func (q *quay) aPolicyWritesIntoTheAuditLog(t *testing.T, name string) {
	q.enforce(t, name, admissionregistrationv1.ValidatingAdmissionPolicySpec{
		Validations:      []admissionregistrationv1.Validation{{Expression: "!('bad' in object.metadata.labels)", Message: "is bad"}},
		AuditAnnotations: []admissionregistrationv1.AuditAnnotation{{Key: "by", ValueExpression: "'asked by ' + request.userInfo.username"}},
	}, admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec{})
	q.refused(t, name, "is bad", labelled("bad", ""))
	q.accepted(t, name, plain)
	if got := q.annotated(t, name, "audit/by"); got != "asked by system:apiserver" {
		t.Errorf("the log says %q", got)
	}
}

func (q *quay) aPolicyWarnsAndAudits(t *testing.T, name string) {
	q.enforce(t, name, admissionregistrationv1.ValidatingAdmissionPolicySpec{
		Validations: []admissionregistrationv1.Validation{{Expression: "'team' in object.metadata.labels", MessageExpression: "'belongs to nobody'"}},
	}, admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec{
		ValidationActions: []admissionregistrationv1.ValidationAction{admissionregistrationv1.Warn, admissionregistrationv1.Audit},
	})
	becomesRight(t, func() string {
		if _, err := q.try(t, name, true, plain); err != nil {
			return err.Error()
		}
		if !q.warnings.have("Validation failed for ValidatingAdmissionPolicy 'warn' with binding 'warn': belongs to nobody") {
			return "nobody is warned"
		}
		return ""
	})
	value := q.annotated(t, name, "validation.policy.admission.k8s.io/validation_failure")
	var failures []struct {
		Message, Policy, Binding string
		ExpressionIndex          int
		ValidationActions        []string
	}
	if err := json.Unmarshal([]byte(value), &failures); err != nil || len(failures) != 1 {
		t.Fatalf("the log says %s (%v)", value, err)
	}
	if f := failures[0]; f.Message != "belongs to nobody" || f.Policy != name || f.Binding != name || !slices.Equal(f.ValidationActions, []string{"Warn", "Audit"}) {
		t.Errorf("the log says %s", value)
	}
}

func (q *quay) aPolicyGoesByItsParameters(t *testing.T, name string) {
	limits := q.client.CoreV1().ConfigMaps("default")
	limit, err := limits.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "limit"}, Data: map[string]string{"most": "1"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	q.enforce(t, name, admissionregistrationv1.ValidatingAdmissionPolicySpec{
		ParamKind:   &admissionregistrationv1.ParamKind{APIVersion: "v1", Kind: "ConfigMap"},
		Validations: []admissionregistrationv1.Validation{{Expression: "object.data.size() <= int(params.data.most)", MessageExpression: "'at most ' + params.data.most"}},
	}, admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec{
		ParamRef: &admissionregistrationv1.ParamRef{Name: "limit", Namespace: "default", ParameterNotFoundAction: new(admissionregistrationv1.DenyAction)},
	})
	holds := func(n int) func(*corev1.ConfigMap) {
		return func(c *corev1.ConfigMap) {
			for i := range n - 1 {
				c.Data[fmt.Sprint("key", i)] = ""
			}
		}
	}
	q.refused(t, name, "at most 1", holds(2))
	q.accepted(t, name, holds(1))
	limit.Data["most"] = "2"
	if _, err := limits.Update(t.Context(), limit, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	q.refused(t, name, "at most 2", holds(3))
	q.accepted(t, name, holds(2))
	if err := limits.Delete(t.Context(), "limit", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	q.refused(t, name, "no params found for policy binding with `Deny` parameterNotFoundAction", plain)
}

func (q *quay) aPolicyHoldsWhereItsSelectorsSay(t *testing.T, name string) {
	namespace, err := q.client.CoreV1().Namespaces().Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	namespace.Labels["tier"] = "gold"
	if _, err := q.client.CoreV1().Namespaces().Update(t.Context(), namespace, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	q.enforce(t, name, admissionregistrationv1.ValidatingAdmissionPolicySpec{
		MatchConstraints: &admissionregistrationv1.MatchResources{
			NamespaceSelector: in(name), ObjectSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"watched": "yes"}},
		},
		Validations: []admissionregistrationv1.Validation{{Expression: "namespaceObject.metadata.labels.tier != 'gold'", MessageExpression: "namespaceObject.metadata.name + ' is gold'"}},
	}, admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec{
		MatchResources: &admissionregistrationv1.MatchResources{ObjectSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"bound": "yes"}}},
	})
	both := func(c *corev1.ConfigMap) { c.Labels["watched"], c.Labels["bound"] = "yes", "yes" }
	q.refused(t, name, "where is gold", both)
	q.accepted(t, name, labelled("watched", "yes"))
	q.accepted(t, name, labelled("bound", "yes"))
	q.accepted(t, "default", both)
}

func (q *quay) aPolicyAsksWhoMayDoWhat(t *testing.T, name string) {
	q.enforce(t, name, admissionregistrationv1.ValidatingAdmissionPolicySpec{
		Variables: []admissionregistrationv1.Variable{
			{Name: "account", Expression: "authorizer.serviceAccount(request.namespace, object.metadata.labels['for'])"},
			{Name: "reads", Expression: "variables.account.group('').resource('secrets').namespace(request.namespace).name('papers').check('get')"},
		},
		Validations: []admissionregistrationv1.Validation{
			{Expression: "variables.reads.allowed()", MessageExpression: "object.metadata.labels['for'] + ' may not read papers'"},
			{Expression: "authorizer.requestResource.check('create').allowed()", Message: "who asks may not create"},
			{Expression: "!variables.account.path('/metrics').check('get').allowed()", Message: "reads metrics"},
		},
	}, admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec{})
	q.refused(t, name, "clerk may not read papers", labelled("for", "clerk"))
	role := &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: "reads"}, Rules: []rbacv1.PolicyRule{{Verbs: []string{"get"}, APIGroups: []string{""}, Resources: []string{"secrets"}, ResourceNames: []string{"papers"}}}}
	if _, err := q.client.RbacV1().Roles(name).Create(t.Context(), role, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := q.client.RbacV1().RoleBindings(name).Create(t.Context(), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "reads"}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "reads"},
		Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: name, Name: "clerk"}},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	q.accepted(t, name, labelled("for", "clerk")) // at once: a binding that was answered is in force
	if _, err := q.try(t, name, true, labelled("for", "mate")); err == nil {
		t.Error("one account passes for another")
	}
}

func (q *quay) aPolicyThatFailsRefusesUnlessToldOtherwise(t *testing.T, name string) {
	broken := admissionregistrationv1.ValidatingAdmissionPolicySpec{
		MatchConstraints: &admissionregistrationv1.MatchResources{NamespaceSelector: in(name), ObjectSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"asks": "strict"}}},
		Validations:      []admissionregistrationv1.Validation{{Expression: "object.metadata.labels.missing == 'x'"}},
	}
	lenient := *broken.DeepCopy()
	lenient.FailurePolicy = new(admissionregistrationv1.Ignore)
	lenient.MatchConstraints.ObjectSelector.MatchLabels["asks"] = "lenient"
	// A policy that does decide tells that the one before is in force.
	lenient.Validations = append(lenient.Validations, admissionregistrationv1.Validation{Expression: "!('bad' in object.metadata.labels)", Message: "is bad"})
	q.enforce(t, name, broken, admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec{})
	q.enforce(t, name+"-lenient", lenient, admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec{})
	q.refused(t, name, "expression 'object.metadata.labels.missing == 'x'' resulted in error: no such key: missing", labelled("asks", "strict"))
	q.refused(t, name, "is bad", func(c *corev1.ConfigMap) { c.Labels["asks"], c.Labels["bad"] = "lenient", "" })
	q.accepted(t, name, labelled("asks", "lenient"))
}

func (q *quay) aPolicyHasConditions(t *testing.T, name string) {
	q.enforce(t, name, admissionregistrationv1.ValidatingAdmissionPolicySpec{
		MatchConditions: []admissionregistrationv1.MatchCondition{
			{Name: "not-exempt", Expression: "!('exempt' in object.metadata.labels)"},
			{Name: "by-a-writer", Expression: "authorizer.group('').resource('configmaps').namespace(request.namespace).check('create').allowed()"},
		},
		Validations: []admissionregistrationv1.Validation{{Expression: "false", Message: "never", Reason: new(metav1.StatusReasonRequestEntityTooLarge)}},
	}, admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec{})
	q.refused(t, name, "never", plain)
	q.accepted(t, name, labelled("exempt", ""))
	if _, err := q.try(t, name, true, plain); !apierrors.IsRequestEntityTooLargeError(err) {
		t.Errorf("the reason of the policy is not that of the answer: %v", err)
	}
}

func (q *quay) aPluginGoesByItsSettings(t *testing.T, name string) {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "host"},
		Spec:       corev1.PodSpec{HostNetwork: true, Containers: []corev1.Container{{Name: "main", Image: "x"}}},
	}
	for namespace, want := range map[string]bool{name: false, "default": true} {
		_, err := q.client.CoreV1().Pods(namespace).Create(t.Context(), pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if want != (err == nil) || !want && !strings.Contains(err.Error(), `violates PodSecurity "baseline:latest": host namespaces (hostNetwork=true)`) {
			t.Errorf("in %s: %v", namespace, err)
		}
	}
}

// What is there already is told of when a namespace asks for a standard, and what will make pods when it is written.
func (q *quay) aNamespaceIsHeldToItsStandard(t *testing.T, name string) {
	const violation = `violate PodSecurity "baseline:latest": host namespaces (hostNetwork=true)`
	ask := func(labels string, dry ...string) error {
		patch := []byte(`{"metadata":{"labels":` + labels + `}}`)
		_, err := q.client.CoreV1().Namespaces().Patch(t.Context(), name, types.MergePatchType, patch, metav1.PatchOptions{DryRun: dry})
		return err
	}
	if err := ask(`{"pod-security.kubernetes.io/enforce":"privileged","pod-security.kubernetes.io/warn":"baseline","pod-security.kubernetes.io/audit":"baseline"}`); err != nil {
		t.Fatal(err)
	}
	spec := corev1.PodSpec{HostNetwork: true, RestartPolicy: corev1.RestartPolicyNever, Containers: []corev1.Container{{Name: "main", Image: "x"}}}
	if _, err := q.client.CoreV1().Pods(name).Create(t.Context(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "host"}, Spec: spec}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if !q.warnings.have("would " + violation) {
		t.Error("nobody is warned of the pod")
	}
	if got := q.annotated(t, name, "pod-security.kubernetes.io/audit-violations"); got != "would "+violation {
		t.Errorf("the log says %q", got)
	}
	job := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: "host"}, Spec: batchv1.JobSpec{Template: corev1.PodTemplateSpec{Spec: spec}}}
	job.Spec.Template.Spec.HostPID = true
	if _, err := q.client.BatchV1().Jobs(name).Create(t.Context(), job, metav1.CreateOptions{}); err != nil {
		t.Errorf("a job is refused, which is for its pods: %v", err)
	}
	if !q.warnings.have(`would violate PodSecurity "baseline:latest": host namespaces (hostNetwork=true, hostPID=true)`) {
		t.Error("nobody is warned of the job")
	}
	if err := ask(`{"pod-security.kubernetes.io/enforce":"baseline"}`, metav1.DryRunAll); err != nil {
		t.Error(err)
	}
	for _, text := range []string{`existing pods in namespace "standards" violate the new PodSecurity enforce level "baseline:latest"`, `host: host namespaces`} {
		if !q.warnings.have(text) {
			t.Errorf("nobody is told: %s", text)
		}
	}
	if err := ask(`{"pod-security.kubernetes.io/enforce":"none"}`); !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "must be one of privileged, baseline, restricted") {
		t.Errorf("a standard that there is not: %v", err)
	}
}

func (q *quay) aMutatingPolicyPatches(t *testing.T, name string) {
	// The first looks at what the second does, and is asked again.
	for policy, mutation := range map[string]admissionregistrationv1.Mutation{
		name + "-a": {PatchType: admissionregistrationv1.PatchTypeApplyConfiguration, ApplyConfiguration: &admissionregistrationv1.ApplyConfiguration{
			Expression: `Object{metadata: Object.metadata{annotations: {"seen": object.?data[?"stamp"].orValue("nothing")}}}`,
		}},
		name + "-b": {PatchType: admissionregistrationv1.PatchTypeJSONPatch, JSONPatch: &admissionregistrationv1.JSONPatch{
			Expression: `[JSONPatch{op: "add", path: "/data/" + jsonpatch.escapeKey("stamp"), value: variables.stamp}]`,
		}},
	} {
		if _, err := q.client.AdmissionregistrationV1().MutatingAdmissionPolicies().Create(t.Context(), &admissionregistrationv1.MutatingAdmissionPolicy{
			ObjectMeta: metav1.ObjectMeta{Name: policy},
			Spec: admissionregistrationv1.MutatingAdmissionPolicySpec{
				MatchConstraints: &admissionregistrationv1.MatchResources{
					NamespaceSelector: in(name), ResourceRules: []admissionregistrationv1.NamedRuleWithOperations{{RuleWithOperations: creations()}},
				},
				ReinvocationPolicy: admissionregistrationv1.IfNeededReinvocationPolicy,
				MatchConditions:    []admissionregistrationv1.MatchCondition{{Name: "wanted", Expression: "!('leave' in object.metadata.labels)"}},
				Variables:          []admissionregistrationv1.Variable{{Name: "stamp", Expression: "request.namespace + '/' + string(object.metadata.labels.size())"}},
				Mutations:          []admissionregistrationv1.Mutation{mutation},
			},
		}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		if _, err := q.client.AdmissionregistrationV1().MutatingAdmissionPolicyBindings().Create(t.Context(), &admissionregistrationv1.MutatingAdmissionPolicyBinding{
			ObjectMeta: metav1.ObjectMeta{Name: policy}, Spec: admissionregistrationv1.MutatingAdmissionPolicyBindingSpec{PolicyName: policy},
		}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	becomesRight(t, func() string {
		config, err := q.try(t, name, true, labelled("one", ""))
		if err != nil {
			return err.Error()
		}
		if config.Data["stamp"] != "patches/2" || config.Annotations["seen"] != "patches/2" {
			return fmt.Sprintf("data %v, annotations %v", config.Data, config.Annotations)
		}
		return ""
	})
	if config, err := q.try(t, name, true, labelled("leave", "")); err != nil || len(config.Data) != 1 || len(config.Annotations) > 0 {
		t.Errorf("what the conditions exclude has data %v, annotations %v (%v)", config.Data, config.Annotations, err)
	}
}

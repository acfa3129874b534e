// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package test

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// hookServer is a webhook at each path: it does what the object's annotation "do" says, and notes that it was asked.
type hookServer struct {
	*httptest.Server
	mu sync.Mutex
	// asked has, by path, what was asked, and shown what who asked had to show. Guarded by mu.
	asked map[string][]admissionv1.AdmissionRequest
	shown map[string]string
}

// kubeconfig has what is shown to this server.
func (h *hookServer) kubeconfig() string {
	return fmt.Sprintf("{apiVersion: v1, kind: Config, users: [{name: '%s', user: {username: muster, password: for-hooks}}]}", strings.TrimPrefix(h.URL, "https://"))
}

func newHookServer(t *testing.T) *hookServer {
	h := &hookServer{asked: map[string][]admissionv1.AdmissionRequest{}, shown: map[string]string{}}
	h.Server = httptest.NewTLSServer(http.HandlerFunc(h.answer))
	t.Cleanup(h.Close)
	return h
}

func (h *hookServer) answer(w http.ResponseWriter, r *http.Request) {
	var review admissionv1.AdmissionReview
	var config corev1.ConfigMap
	if err := json.NewDecoder(r.Body).Decode(&review); err != nil || json.Unmarshal(review.Request.Object.Raw, &config) != nil {
		http.Error(w, "no review", http.StatusBadRequest)
		return
	}
	h.mu.Lock()
	h.asked[r.URL.Path] = append(h.asked[r.URL.Path], *review.Request)
	h.shown[r.URL.Path], _, _ = r.BasicAuth()
	h.mu.Unlock()
	response := &admissionv1.AdmissionResponse{UID: review.Request.UID, Allowed: true}
	switch config.Annotations["do"] {
	case "refuse":
		response.Allowed, response.Result = false, &metav1.Status{Message: "refused at " + r.URL.Path}
	case "wait":
		<-r.Context().Done() // the server hangs up
		return
	case "remark":
		response.Warnings, response.AuditAnnotations = []string{"remarked at " + r.URL.Path}, map[string]string{"remark": "seen"}
	case "count":
		if r.URL.Path == "/judge" { // it may not change anything
			break
		}
		patch := fmt.Sprintf(`[{"op":"add","path":"/data%s","value":%q}]`, r.URL.Path, fmt.Sprint(len(config.Data)))
		response.Patch, response.PatchType = []byte(patch), new(admissionv1.PatchTypeJSONPatch)
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(&admissionv1.AdmissionReview{TypeMeta: review.TypeMeta, Response: response})
}

// of are the requests that a path was asked about, of one object.
func (h *hookServer) of(path, object string) []admissionv1.AdmissionRequest {
	h.mu.Lock()
	defer h.mu.Unlock()
	var found []admissionv1.AdmissionRequest
	for _, request := range h.asked[path] {
		if request.Name == object {
			found = append(found, request)
		}
	}
	return found
}

// hook is a validating webhook for the config maps of a namespace.
func (q *quay) hook(namespace, path string, change func(*admissionregistrationv1.ValidatingWebhook)) admissionregistrationv1.ValidatingWebhook {
	hook := admissionregistrationv1.ValidatingWebhook{
		Name:                    strings.TrimPrefix(path, "/") + ".hook.example",
		ClientConfig:            q.reached(path),
		NamespaceSelector:       in(namespace),
		Rules:                   []admissionregistrationv1.RuleWithOperations{creations()},
		SideEffects:             new(admissionregistrationv1.SideEffectClassNone),
		AdmissionReviewVersions: []string{"v1"},
	}
	change(&hook)
	return hook
}

func (q *quay) reached(path string) admissionregistrationv1.WebhookClientConfig {
	return admissionregistrationv1.WebhookClientConfig{
		URL: new(q.hooks.URL + path), CABundle: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: q.hooks.Certificate().Raw}),
	}
}

// ask puts webhooks into force.
func (q *quay) ask(t *testing.T, name string, hooks ...admissionregistrationv1.ValidatingWebhook) {
	t.Helper()
	_, err := q.client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Create(t.Context(),
		&admissionregistrationv1.ValidatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: name}, Webhooks: hooks}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

// doing has the webhooks do something about a config map.
func doing(what, name string) func(*corev1.ConfigMap) {
	return func(c *corev1.ConfigMap) {
		c.Name, c.GenerateName, c.Annotations = name, "", map[string]string{"do": what}
	}
}

func (q *quay) aWebhookIsAskedWhatItsConditionsAndSelectorsMatch(t *testing.T, name string) {
	q.ask(t, name, q.hook(name, "/matched", func(h *admissionregistrationv1.ValidatingWebhook) {
		h.ObjectSelector = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "unselected", Operator: metav1.LabelSelectorOpDoesNotExist}}}
		h.MatchConditions = []admissionregistrationv1.MatchCondition{{Name: "no-exempt", Expression: "!object.metadata.name.startsWith('exempt-')"}}
	}))
	q.refused(t, name, `admission webhook "matched.hook.example" denied the request: refused at /matched`, doing("refuse", "one"))
	q.accepted(t, name, doing("refuse", "exempt-one"))
	q.accepted(t, name, func(c *corev1.ConfigMap) {
		doing("refuse", "two")(c)
		c.Labels["unselected"] = ""
	})
	q.accepted(t, "default", doing("refuse", "three"))
	for _, never := range []string{"exempt-one", "two", "three"} {
		if asked := q.hooks.of("/matched", never); len(asked) > 0 {
			t.Errorf("the webhook was asked about %s", never)
		}
	}
}

// What a webhook changes the ones before it see, if they want to: their second answer counts.
func (q *quay) aWebhookIsAskedAgainIfNeeded(t *testing.T, name string) {
	hook := func(path string, again admissionregistrationv1.ReinvocationPolicyType) admissionregistrationv1.MutatingWebhook {
		return admissionregistrationv1.MutatingWebhook{
			Name: strings.TrimPrefix(path, "/") + ".hook.example", ClientConfig: q.reached(path), NamespaceSelector: in(name),
			Rules: []admissionregistrationv1.RuleWithOperations{creations()}, ReinvocationPolicy: &again,
			SideEffects: new(admissionregistrationv1.SideEffectClassNone), AdmissionReviewVersions: []string{"v1"},
		}
	}
	_, err := q.client.AdmissionregistrationV1().MutatingWebhookConfigurations().Create(t.Context(), &admissionregistrationv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Webhooks: []admissionregistrationv1.MutatingWebhook{
			hook("/again", admissionregistrationv1.IfNeededReinvocationPolicy), hook("/once", admissionregistrationv1.NeverReinvocationPolicy), hook("/last", admissionregistrationv1.IfNeededReinvocationPolicy),
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	tries := 0
	becomesRight(t, func() string {
		tries++
		object := fmt.Sprint("c-", tries)
		config, err := q.try(t, name, true, doing("count", object))
		if err != nil {
			return err.Error()
		}
		// Each writes how many entries it saw: 1, 2, 3, and the first once more, when all are there.
		if config.Data["again"] != "4" || config.Data["once"] != "2" {
			return fmt.Sprintf("the data are %v", config.Data)
		}
		if first, second := len(q.hooks.of("/again", object)), len(q.hooks.of("/once", object)); first != 2 || second != 1 {
			t.Errorf("asked %d and %d times", first, second)
		}
		return ""
	})
}

func (q *quay) aWebhookIsToldOfDryRuns(t *testing.T, name string) {
	class := func(class admissionregistrationv1.SideEffectClass) func(*admissionregistrationv1.ValidatingWebhook) {
		return func(h *admissionregistrationv1.ValidatingWebhook) { h.SideEffects = &class }
	}
	q.ask(t, name, q.hook(name, "/dry", class(admissionregistrationv1.SideEffectClassNoneOnDryRun)))
	q.refused(t, name, "refused at /dry", doing("refuse", "tried"))
	if asked := q.hooks.of("/dry", "tried"); len(asked) == 0 || asked[0].DryRun == nil || !*asked[0].DryRun {
		t.Errorf("the webhook is not told that this is a dry run: %v", asked)
	}
	if _, err := q.try(t, name, false, doing("", "meant")); err != nil {
		t.Fatal(err)
	}
	if asked := q.hooks.of("/dry", "meant"); len(asked) != 1 || asked[0].DryRun == nil || *asked[0].DryRun {
		t.Errorf("the webhook is told that this is a dry run: %v", asked)
	}
	for _, effects := range []admissionregistrationv1.SideEffectClass{admissionregistrationv1.SideEffectClassSome, admissionregistrationv1.SideEffectClassUnknown} {
		_, err := q.client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Create(t.Context(), &admissionregistrationv1.ValidatingWebhookConfiguration{
			ObjectMeta: metav1.ObjectMeta{Name: name + "-effects"}, Webhooks: []admissionregistrationv1.ValidatingWebhook{q.hook(name, "/dry", class(effects))},
		}, metav1.CreateOptions{})
		if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), `webhooks[0].sideEffects: Unsupported value: "`+string(effects)+`"`) {
			t.Errorf("side effects %s: %v", effects, err)
		}
	}
}

func (q *quay) aWebhookThatIsAwayRefusesUnlessToldOtherwise(t *testing.T, name string) {
	away := func(asks string, policy admissionregistrationv1.FailurePolicyType) func(*admissionregistrationv1.ValidatingWebhook) {
		return func(h *admissionregistrationv1.ValidatingWebhook) {
			h.Name, h.FailurePolicy = asks+".hook.example", &policy
			h.ClientConfig.URL = new("https://127.0.0.1:1/")
			h.ObjectSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"asks": asks}}
		}
	}
	q.ask(t, name, q.hook(name, "/", away("strict", admissionregistrationv1.Fail)), q.hook(name, "/", away("lenient", admissionregistrationv1.Ignore)))
	q.refused(t, name, `failed calling webhook "strict.hook.example": failed to call webhook: Post "https://127.0.0.1:1/?timeout=10s": dial tcp 127.0.0.1:1: connect: connection refused`, labelled("asks", "strict"))
	q.accepted(t, name, labelled("asks", "lenient"))
	if got := q.annotated(t, name, "failed-open.validating.webhook.admission.k8s.io/round_0_index_0"); got != "lenient.hook.example" {
		t.Errorf("the log says that %q failed open", got)
	}
	if _, err := q.try(t, name, true, labelled("asks", "strict")); !apierrors.IsInternalError(err) {
		t.Errorf("the refusal is %v", err)
	}
}

func (q *quay) aWebhookHasSoMuchTime(t *testing.T, name string) {
	quick := func(asks string, policy admissionregistrationv1.FailurePolicyType) func(*admissionregistrationv1.ValidatingWebhook) {
		return func(h *admissionregistrationv1.ValidatingWebhook) {
			h.Name, h.FailurePolicy, h.TimeoutSeconds = asks+"-slow.hook.example", &policy, new(int32(1))
			h.ObjectSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"asks": asks}}
		}
	}
	q.ask(t, name, q.hook(name, "/slow", quick("strict", admissionregistrationv1.Fail)), q.hook(name, "/slow", quick("lenient", admissionregistrationv1.Ignore)))
	waits := func(asks string) func(*corev1.ConfigMap) {
		return func(c *corev1.ConfigMap) {
			doing("wait", "slow")(c)
			c.Labels["asks"] = asks
		}
	}
	q.refused(t, name, "refused at /slow", func(c *corev1.ConfigMap) { // both are in force
		doing("refuse", "any")(c)
		c.Labels["asks"] = "lenient"
	})
	start := time.Now()
	_, err := q.try(t, name, true, waits("strict"))
	if took := time.Since(start); !apierrors.IsInternalError(err) || !strings.Contains(err.Error(), "context deadline exceeded") || took < time.Second || took > 8*time.Second {
		t.Errorf("after %s: %v", took, err)
	}
	q.accepted(t, name, waits("lenient"))
}

func (q *quay) aWebhookWarnsAndAudits(t *testing.T, name string) {
	q.ask(t, name, q.hook(name, "/remarks", func(*admissionregistrationv1.ValidatingWebhook) {}))
	becomesRight(t, func() string {
		if _, err := q.try(t, name, true, doing("remark", "one")); err != nil {
			return err.Error()
		}
		if !q.warnings.have("remarked at /remarks") {
			return "nobody is warned"
		}
		return ""
	})
	if got := q.annotated(t, name, "remarks.hook.example/remark"); got != "seen" {
		t.Errorf("the log says %q", got)
	}
	q.hooks.mu.Lock()
	defer q.hooks.mu.Unlock()
	if got := q.hooks.shown["/remarks"]; got != "muster" {
		t.Errorf("who asks the webhook shows that it is %q, want what the file of its credentials says", got)
	}
}

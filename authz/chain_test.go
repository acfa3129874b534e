// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package authz_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"github.com/muster-identity/muster/authz"
	"github.com/muster-identity/muster/authz/node"
	"github.com/muster-identity/muster/live"
	"github.com/muster-identity/muster/rbac"
)

const head = "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthorizationConfiguration\nauthorizers:\n"

func builtin() authz.Builtin {
	graph := node.NewGraph(live.New(nil, nil))
	return authz.Builtin{RBAC: authz.NewRBAC(rbac.NewIndex()), Node: node.New(graph, nil)}
}

// chainOf is a chain by a file.
func chainOf(t *testing.T, text string) *authz.Chain {
	t.Helper()
	config, err := authz.ParseConfiguration([]byte(head + text))
	if err != nil {
		t.Fatal(err)
	}
	chain, err := authz.NewChain(config, builtin())
	if err != nil {
		t.Fatal(err)
	}
	return chain
}

// webhook is a service that answers as its status says, and counts.
type webhook struct {
	*httptest.Server
	calls  atomic.Int32
	status atomic.Pointer[authorizationv1.SubjectAccessReviewStatus]
}

func startWebhook(t *testing.T) *webhook {
	t.Helper()
	w := &webhook{}
	w.Server = httptest.NewTLSServer(http.HandlerFunc(func(out http.ResponseWriter, in *http.Request) {
		w.calls.Add(1)
		var review authorizationv1.SubjectAccessReview
		status := w.status.Load()
		if json.NewDecoder(in.Body).Decode(&review) != nil || status == nil {
			http.Error(out, "broken", http.StatusBadRequest) // is not tried again
			return
		}
		review.Status = *status
		out.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(out).Encode(review)
	}))
	t.Cleanup(w.Close)
	return w
}

// kubeconfig is a file that leads to the webhook.
func (w *webhook) kubeconfig(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "webhook.kubeconfig")
	text := "apiVersion: v1\nkind: Config\ncurrent-context: x\ncontexts: [{name: x, context: {cluster: x}}]\n" +
		"clusters: [{name: x, cluster: {server: " + w.URL + ", insecure-skip-tls-verify: true}}]\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// entry is the webhook in a configuration; more are further fields.
func (w *webhook) entry(t *testing.T, name, policy, more string) string {
	return "- {type: Webhook, name: " + name + ", webhook: {timeout: 3s, failurePolicy: " + policy + ", subjectAccessReviewVersion: v1, matchConditionSubjectAccessReviewVersion: v1, " +
		more + "connectionInfo: {type: KubeConfigFile, kubeConfigFile: " + w.kubeconfig(t) + "}}}\n"
}

func getPod(name, namespace string) authorizer.AttributesRecord {
	return authorizer.AttributesRecord{User: &user.DefaultInfo{Name: name}, ResourceRequest: true, Verb: "get", Resource: "pods", Namespace: namespace, Name: "p", APIVersion: "v1"}
}

func TestTheFirstOpinionCounts(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, text string
		asked      authorizer.AttributesRecord
		want       authorizer.Decision
		reason     string
	}{
		{"nobody has an opinion", "- {type: Node, name: node}\n- {type: RBAC, name: rbac}\n", getPod("ann", "a"), authorizer.DecisionNoOpinion, ""},
		{"all may", "- {type: RBAC, name: rbac}\n- {type: AlwaysAllow, name: alwaysallow}\n", getPod("ann", "a"), authorizer.DecisionAllow, ""},
		{"nobody may", "- {type: AlwaysDeny, name: alwaysdeny}\n", getPod("ann", "a"), authorizer.DecisionNoOpinion, "alwaysdeny: Everything is forbidden."},
		{
			"a node is told by whom", "- {type: Node, name: node}\n- {type: RBAC, name: rbac}\n",
			authorizer.AttributesRecord{User: &user.DefaultInfo{Name: "system:node:n1", Groups: []string{"system:nodes"}}, ResourceRequest: true, Verb: "get", Resource: "secrets", Namespace: "a", Name: "s"},
			authorizer.DecisionNoOpinion, "node: no relationship found between node 'n1' and this object",
		},
		{
			"masters come first", "- {type: AlwaysDeny, name: alwaysdeny}\n",
			authorizer.AttributesRecord{User: &user.DefaultInfo{Name: "root", Groups: []string{"system:masters"}}, Verb: "get", Path: "/x"},
			authorizer.DecisionAllow, "",
		},
	} {
		chain := chainOf(t, test.text)
		decision, reason, err := chain.Authorize(t.Context(), test.asked)
		if decision != test.want || reason != test.reason || err != nil {
			t.Errorf("%s: got %v, %q, %v", test.name, decision, reason, err)
		}
		if aware := chain.ConditionsAwareAuthorize(t.Context(), test.asked); aware.IsAllow() != (decision == authorizer.DecisionAllow) {
			t.Errorf("%s: with conditions %v", test.name, aware)
		}
	}
}

func TestAWebhookIsAskedAsItsEntrySays(t *testing.T) {
	t.Parallel()
	w := startWebhook(t)
	inA := `matchConditions: [{expression: "has(request.resourceAttributes) && request.resourceAttributes.namespace == 'a'"}], `
	cached := "authorizedTTL: 1h, unauthorizedTTL: 1h, "
	uncached := "authorizedTTL: 1h, unauthorizedTTL: 1h, cacheAuthorizedRequests: false, cacheUnauthorizedRequests: false, "
	yes := &authorizationv1.SubjectAccessReviewStatus{Allowed: true, Reason: "it is Monday"}
	no := &authorizationv1.SubjectAccessReviewStatus{Denied: true, Reason: "it is Friday"}
	silent := &authorizationv1.SubjectAccessReviewStatus{Reason: "who knows"}
	for _, test := range []struct {
		name, policy, more string
		answer             *authorizationv1.SubjectAccessReviewStatus // nil: it is broken
		namespace          string
		want               authorizer.Decision
		reason             string
		fails              bool
		calls              int32 // of two questions
	}{
		{"it allows", "Deny", cached + inA, yes, "a", authorizer.DecisionAllow, "it is Monday", false, 1},
		{"it denies", "NoOpinion", cached + inA, no, "a", authorizer.DecisionDeny, "it is Friday", false, 1},
		{"it has no opinion", "NoOpinion", uncached, silent, "a", authorizer.DecisionNoOpinion, "hook: who knows", false, 2},
		{"its answers are not kept", "NoOpinion", uncached, yes, "a", authorizer.DecisionAllow, "it is Monday", false, 2},
		{"it is not its business", "Deny", cached + inA, no, "b", authorizer.DecisionNoOpinion, "", false, 0},
		{"it fails open", "NoOpinion", cached, nil, "a", authorizer.DecisionNoOpinion, "", true, 2},
		{"it fails closed", "Deny", cached, nil, "a", authorizer.DecisionDeny, "", true, 2},
		{"a condition fails", "Deny", cached + `matchConditions: [{expression: "request.resourceAttributes.namespace.size() / 0 == 1"}], `, yes, "a", authorizer.DecisionDeny, "", true, 0},
	} {
		chain := chainOf(t, w.entry(t, "hook", test.policy, test.more)+"- {type: RBAC, name: rbac}\n")
		w.status.Store(test.answer)
		before := w.calls.Load()
		for range 2 {
			decision, reason, err := chain.Authorize(t.Context(), getPod("ann", test.namespace))
			if decision != test.want || reason != test.reason || (err != nil) != test.fails {
				t.Errorf("%s: got %v, %q, %v", test.name, decision, reason, err)
			}
		}
		if calls := w.calls.Load() - before; calls != test.calls {
			t.Errorf("%s: it was asked %d times, want %d", test.name, calls, test.calls)
		}
	}
}

func TestWhatCannotListRulesSaysSo(t *testing.T) {
	t.Parallel()
	w := startWebhook(t)
	rulesOf := func(text string, u user.Info) (bool, string) {
		_, _, incomplete, err := chainOf(t, text).RulesFor(t.Context(), u, "a")
		if err == nil {
			return incomplete, ""
		}
		return incomplete, err.Error()
	}
	ann, n1 := &user.DefaultInfo{Name: "ann"}, &user.DefaultInfo{Name: "system:node:n1", Groups: []string{"system:nodes"}}
	const nodeAndRBAC = "- {type: Node, name: node}\n- {type: RBAC, name: rbac}\n"
	if incomplete, text := rulesOf(nodeAndRBAC, ann); incomplete || text != "" {
		t.Errorf("of a person: %v, %q", incomplete, text)
	}
	if incomplete, text := rulesOf(nodeAndRBAC, n1); !incomplete || text != "node authorizer does not support user rule resolution" {
		t.Errorf("of a node: %v, %q", incomplete, text)
	}
	if incomplete, text := rulesOf(w.entry(t, "hook", "Deny", "authorizedTTL: 1s, unauthorizedTTL: 1s, ")+nodeAndRBAC, ann); !incomplete || text != "webhook authorizer does not support user rule resolution" {
		t.Errorf("with a webhook: %v, %q", incomplete, text)
	}
}

func TestAConfigurationIsReplacedWithinWhatWasThereAtTheStart(t *testing.T) {
	t.Parallel()
	w := startWebhook(t)
	w.status.Store(&authorizationv1.SubjectAccessReviewStatus{Allowed: true})
	chain := chainOf(t, "- {type: RBAC, name: rbac}\n")
	may := func() bool {
		decision, _, _ := chain.Authorize(context.Background(), getPod("ann", "a"))
		return decision == authorizer.DecisionAllow
	}
	replace := func(text string) error {
		config, err := authz.ParseConfiguration([]byte(head+text), chain.Kept()...)
		if err != nil {
			return err
		}
		return chain.Replace(config)
	}
	hook := w.entry(t, "hook", "Deny", "authorizedTTL: 1s, unauthorizedTTL: 1s, ")
	if err := replace(hook + "- {type: RBAC, name: rbac}\n"); err != nil || !may() {
		t.Errorf("with a webhook: %v", err)
	}
	for text, want := range map[string]string{
		hook: "missing required types: [RBAC]",
		hook + "- {type: RBAC, name: rbac}\n- {type: AlwaysAllow, name: alwaysallow}\n": "authorizer type AlwaysAllow is not allowed if it was not enabled at initial server startup",
		hook + "- {type: RBAC, name: rbac}\n- {type: Node, name: node}\n":               "authorizer type Node is not allowed if it was not enabled at initial server startup",
	} {
		if err := replace(text); err == nil || !strings.Contains(err.Error(), want) || !may() {
			t.Errorf("error %v, want %q; and the old configuration has to stay", err, want)
		}
	}
	if err := replace("- {type: RBAC, name: rbac}\n"); err != nil || may() {
		t.Errorf("without the webhook: %v, allowed %v", err, may())
	}
}

func TestConfigurationsOfAllVersionsAreReadAndBadOnesRefused(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"v1", "v1beta1", "v1alpha1"} {
		text := strings.Replace(head, "/v1\n", "/"+version+"\n", 1) + "- {type: RBAC, name: rbac}\n"
		config, err := authz.ParseConfiguration([]byte(text))
		if err != nil || len(config.Authorizers) != 1 || config.Authorizers[0].Type != authz.TypeRBAC {
			t.Errorf("%s: %v, %v", version, config, err)
		}
	}
	for text, want := range map[string]string{
		"":               "at least one authorization mode must be defined",
		"kind: nonsense": "failed to load AuthorizationConfiguration from file: ",
		head + "- {type: RBAC, name: rbac, odd: 1}\n":                      `unknown field "authorizers[0].odd"`,
		head + "- {type: ABAC, name: abac}\n":                              `authorizers[0].type: Unsupported value: "ABAC": supported values: "AlwaysAllow", "AlwaysDeny", "Node", "RBAC", "Webhook"`,
		head + "- {type: RBAC, name: roles}\n":                             "expected name rbac for authorizer RBAC instead of roles",
		head + "- {type: RBAC, name: rbac}\n- {type: RBAC, name: again}\n": `authorizers[1].type: Duplicate value: "RBAC"`,
		head + "- {type: RBAC, name: rbac, webhook: {}}\n":                 "may only be specified when type=Webhook",
		head + "- {type: Webhook, name: w}\n":                              "authorizers[0].webhook: Required value: required when type=Webhook",
		head + "- {type: Webhook, name: w, webhook: {timeout: 31s}}\n":     "must be > 0s and <= 30s",
		head + `- {type: Webhook, name: w, webhook: {matchConditionSubjectAccessReviewVersion: v1, matchConditions: [{expression: "nobody"}]}}` + "\n": "undeclared reference to 'nobody'",
	} {
		if _, err := authz.ParseConfiguration([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q:\nerror %v, want %q", text, err, want)
		}
	}
	_, err := authz.NewChain(&apiserver.AuthorizationConfiguration{Authorizers: []apiserver.AuthorizerConfiguration{{Type: "ABAC"}}}, builtin())
	if err == nil || !strings.Contains(err.Error(), "unknown authorization mode ABAC specified") {
		t.Errorf("error %v", err)
	}
}

func BenchmarkChain(b *testing.B) {
	config, err := authz.ParseConfiguration([]byte(head + "- {type: Node, name: node}\n- {type: RBAC, name: rbac}\n"))
	if err != nil {
		b.Fatal(err)
	}
	parts := builtin()
	binding, role := binding("b", "r"), clusterRole()
	parts.RBAC.Apply(binding, false)
	parts.RBAC.Apply(role, false)
	chain, err := authz.NewChain(config, parts)
	if err != nil {
		b.Fatal(err)
	}
	asked := &authorizer.AttributesRecord{User: ann(), ResourceRequest: true, Verb: "get", Resource: "pods", Namespace: "a", Name: "p"}
	b.ReportAllocs()
	for b.Loop() {
		if decision, _, _ := chain.Authorize(b.Context(), asked); decision != authorizer.DecisionAllow {
			b.Fatal("refused")
		}
	}
}

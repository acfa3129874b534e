// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/muster-identity/muster/mustertest"
	"github.com/muster-identity/muster/server"
)

// deck is a server with an agent that runs on two nodes, as the pods of a
// DaemonSet do, and may act as the node on which it runs to list pods there.
type deck struct {
	*mustertest.Server
	t testing.TB
	// events is the file of the audit log.
	events string
}

func newDeck(t testing.TB) *deck {
	t.Helper()
	policy, events := filepath.Join(t.TempDir(), "policy.yaml"), filepath.Join(t.TempDir(), "audit.log")
	const all = "apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nrules: [{level: Metadata, resources: [{group: '', resources: [pods]}]}]\n"
	if err := os.WriteFile(policy, []byte(all), 0o600); err != nil {
		t.Fatal(err)
	}
	d := &deck{t: t, events: events}
	d.Server = mustertest.Start(t, func(o *server.Options) {
		o.Audit.PolicyFile, o.Audit.LogOptions.Path = policy, events
	})
	d.Namespace("deck")
	d.ServiceAccount("deck", "agent")
	for _, node := range []string{"n1", "n2"} {
		if _, err := d.Client().CoreV1().Nodes().Create(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: node}}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		pod := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: "agent-" + node},
			Spec:       corev1.PodSpec{NodeName: node, ServiceAccountName: "agent", Containers: []corev1.Container{{Name: "agent", Image: "agent"}}},
		}
		if _, err := d.Client().CoreV1().Pods("deck").Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

// bound is the agent with a token bound to an object; "" for none.
func (d *deck) bound(kind, name string) *rest.Config {
	d.t.Helper()
	request := &authenticationv1.TokenRequest{}
	if kind != "" {
		request.Spec.BoundObjectRef = &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: kind, Name: name}
	}
	issued, err := d.Client().CoreV1().ServiceAccounts("deck").CreateToken(d.t.Context(), "agent", request, metav1.CreateOptions{})
	if err != nil {
		d.t.Fatal(err)
	}
	config := rest.AnonymousClientConfig(d.Admin())
	config.BearerToken = issued.Status.Token
	return config
}

// lets gives the agent what it may do, until the end that it returns.
func (d *deck) lets(name string, rules ...rbacv1.PolicyRule) (end func()) {
	d.t.Helper()
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: rules}
	if _, err := d.Client().RbacV1().ClusterRoles().Create(d.t.Context(), role, metav1.CreateOptions{}); err != nil {
		d.t.Fatal(err)
	}
	bindings := d.Client().RbacV1().ClusterRoleBindings()
	if _, err := bindings.Create(d.t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: name},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: "deck", Name: "agent"}},
	}, metav1.CreateOptions{}); err != nil {
		d.t.Fatal(err)
	}
	return func() {
		d.t.Helper()
		if err := bindings.Delete(d.t.Context(), name, metav1.DeleteOptions{}); err != nil {
			d.t.Fatal(err)
		}
	}
}

// asking is a request for the pods of a node, by the agent as somebody else.
type asking struct {
	as   rest.ImpersonationConfig
	verb string // list, unless told otherwise
	node string
}

// asks returns what the server says: nothing if it answers.
func (d *deck) asks(config *rest.Config, a asking) string {
	d.t.Helper()
	config = rest.CopyConfig(config)
	config.Impersonate = a.as
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		d.t.Fatal(err)
	}
	pods := client.CoreV1().Pods("deck")
	if a.verb == "get" {
		_, err = pods.Get(d.t.Context(), "agent-"+a.node, metav1.GetOptions{})
	} else {
		_, err = pods.List(d.t.Context(), metav1.ListOptions{FieldSelector: "spec.nodeName=" + a.node})
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

func asUser(name string, groups ...string) rest.ImpersonationConfig {
	return rest.ImpersonationConfig{UserName: name, Groups: groups}
}

// may is a rule of the API group of identities.
func may(verb, resource string, names ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{Verbs: []string{verb}, APIGroups: []string{"authentication.k8s.io"}, Resources: []string{resource}, ResourceNames: names}
}

// mayOn is a rule about pods.
func mayOn(mode string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{Verbs: []string{"impersonate-on:" + mode + ":list"}, APIGroups: []string{""}, Resources: []string{"pods"}}
}

const onNode = `cannot impersonate-on:associated-node:list resource "pods" in API group "" in the namespace "deck"`

// The agent of each node acts as that node and as no other, and only for what it
// may do so; the node's own rights bound it, too.
func TestAnAgentActsAsTheNodeOnWhichItRuns(t *testing.T) {
	t.Parallel()
	d := newDeck(t)
	end := d.lets("agent", may("impersonate:associated-node", "nodes"), mayOn("associated-node"))
	first, second, by := d.bound("Pod", "agent-n1"), d.bound("Pod", "agent-n2"), d.bound("Node", "n1")
	n1, n2 := asUser("system:node:n1"), asUser("system:node:n2")
	for name, test := range map[string]struct {
		config *rest.Config
		asking
		want string
	}{
		"its node":                        {first, asking{as: n1, node: "n1"}, ""},
		"the other's node":                {second, asking{as: n2, node: "n2"}, ""},
		"the node that its token is for":  {by, asking{as: n1, node: "n1"}, ""},
		"another node":                    {first, asking{as: n2, node: "n2"}, `cannot impersonate-on:arbitrary-node:list resource "pods"`},
		"its node, with no node at all":   {d.bound("", ""), asking{as: n1, node: "n1"}, `cannot impersonate-on:arbitrary-node:list resource "pods"`},
		"its node, for another verb":      {first, asking{as: n1, node: "n1", verb: "get"}, `cannot impersonate-on:associated-node:get resource "pods"`},
		"its node, for another's pods":    {first, asking{as: n1, node: "n2"}, "can only list/watch pods with spec.nodeName field selector"},
		"its node, and a group":           {first, asking{as: asUser("system:node:n1", "system:masters"), node: "n1"}, `cannot impersonate resource "users" in API group "" at the cluster scope`},
		"its node, and a UID":             {first, asking{as: rest.ImpersonationConfig{UserName: "system:node:n1", UID: "7"}, node: "n1"}, `cannot impersonate resource "users"`},
		"its node, and an extra":          {first, asking{as: rest.ImpersonationConfig{UserName: "system:node:n1", Extra: map[string][]string{"deck": {"lower"}}}, node: "n1"}, `cannot impersonate resource "users"`},
		"its node, in other words":        {first, asking{as: asUser("system:node:N1"), node: "n1"}, `cannot impersonate-on:user-info:list resource "pods"`},
		"itself, which needs no right to": {first, asking{as: asUser("system:serviceaccount:deck:agent"), node: "n1"}, `cannot impersonate-on:serviceaccount:list resource "pods"`},
	} {
		if got := d.asks(test.config, test.asking); (got == "") != (test.want == "") || !strings.Contains(got, test.want) {
			t.Errorf("acting as %s: %q, want %q", name, got, test.want)
		}
	}
	d.audited("impersonate:associated-node", "system:node:n1", "system:node:n2")
	end()
	for node, config := range map[string]*rest.Config{"n1": first, "n2": second} {
		if got := d.asks(config, asking{as: asUser("system:node:" + node), node: node}); !strings.Contains(got, onNode) {
			t.Errorf("the agent on %s, after its right is gone: %q, want %q", node, got, onNode)
		}
	}
	d.actsInOtherWays(t, first)
}

// actsInOtherWays has the agent take on others than nodes, and lose the right to.
// Nobody whom it takes on may do anything: that the refusal is theirs shows that
// they were taken on.
func (d *deck) actsInOtherWays(t *testing.T, agent *rest.Config) {
	t.Helper()
	taken := func(user string) string { return `User "` + user + `" cannot list resource "pods"` }
	const itself = "system:serviceaccount:deck:agent"
	refused := func(what string) string { return `User "` + itself + `" cannot ` + what }
	account := "system:serviceaccount:deck:default"
	for name, test := range map[string]struct {
		mode       string
		rules      []rbacv1.PolicyRule
		as         rest.ImpersonationConfig
		want       string
		afterwards string
	}{
		"a user": {
			"user-info",
			[]rbacv1.PolicyRule{may("impersonate:user-info", "users", "ann"), may("impersonate:user-info", "groups", "crew")},
			asUser("ann", "crew"), taken("ann"), refused(`impersonate-on:user-info:list resource "pods"`),
		},
		"a user among the privileged": {
			"user-info",
			[]rbacv1.PolicyRule{may("impersonate:user-info", "users"), may("impersonate:user-info", "groups")},
			asUser("ben", "system:masters"), "impersonating the system:masters group is not allowed", refused(`impersonate-on:user-info:list resource "pods"`),
		},
		"an account": {
			"serviceaccount",
			[]rbacv1.PolicyRule{may("impersonate:serviceaccount", "serviceaccounts", "default")},
			asUser(account), taken(account), refused(`impersonate-on:serviceaccount:list resource "pods"`),
		},
		"any node": {
			"arbitrary-node",
			[]rbacv1.PolicyRule{may("impersonate:arbitrary-node", "nodes", "n9")},
			asUser("system:node:n9"), "can only list/watch pods with spec.nodeName field selector", refused(`impersonate-on:arbitrary-node:list resource "pods"`),
		},
	} {
		end := d.lets(strings.ReplaceAll(name, " ", "-"), append(test.rules, mayOn(test.mode))...)
		for range 2 {
			if got := d.asks(agent, asking{as: test.as, node: "n1"}); !strings.Contains(got, test.want) {
				t.Errorf("acting as %s: %q, want %q", name, got, test.want)
			}
		}
		end()
		if got := d.asks(agent, asking{as: test.as, node: "n1"}); !strings.Contains(got, test.afterwards) {
			t.Errorf("acting as %s, after the right is gone: %q, want %q", name, got, test.afterwards)
		}
	}
}

// audited looks into the audit log for who was taken on under a constraint.
func (d *deck) audited(constraint string, want ...string) {
	d.t.Helper()
	data, err := os.ReadFile(d.events)
	if err != nil {
		d.t.Fatal(err)
	}
	var got []string
	for line := range bytes.Lines(data) {
		var event auditv1.Event
		if err := json.Unmarshal(line, &event); err != nil {
			d.t.Fatal(err)
		}
		if m := event.AuthenticationMetadata; m == nil || m.ImpersonationConstraint != constraint {
			continue
		}
		if as := event.ImpersonatedUser; as != nil && !slices.Contains(got, as.Username) {
			got = append(got, as.Username)
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		d.t.Errorf("audited under %s are %v, want %v", constraint, got, want)
	}
}

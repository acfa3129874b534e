// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package rbac_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"github.com/muster-identity/muster/rbac"
)

func TestRefusalsToEscalateReadAsInKubernetes(t *testing.T) {
	t.Parallel()
	bob := &user.DefaultInfo{Name: "bob", Groups: []string{"crew", "system:authenticated"}}
	pods := rbacv1.PolicyRule{Verbs: []string{"get", "list"}, APIGroups: []string{""}, Resources: []string{"pods"}}
	tests := []struct {
		name         string
		held, wanted []rbacv1.PolicyRule
		unresolved   error
		want         string
	}{
		{name: "nothing wanted"},
		{name: "all held", held: []rbacv1.PolicyRule{pods}, wanted: []rbacv1.PolicyRule{pods}},
		{
			name:       "all held, whatever else could not be found",
			held:       []rbacv1.PolicyRule{pods},
			unresolved: errors.New("lost"),
			wanted:     []rbacv1.PolicyRule{pods},
		},
		{
			name: "verbs on one resource are put together, lines are sorted",
			wanted: []rbacv1.PolicyRule{
				{Verbs: []string{"get", "create"}, APIGroups: []string{"batch", ""}, Resources: []string{"jobs"}},
				{Verbs: []string{"list"}, APIGroups: []string{""}, Resources: []string{"jobs"}},
			},
			want: `user "bob" (groups=["crew" "system:authenticated"]) is attempting to grant RBAC permissions not currently held:
{APIGroups:[""], Resources:["jobs"], Verbs:["get" "create" "list"]}
{APIGroups:["batch"], Resources:["jobs"], Verbs:["get" "create"]}`,
		},
		{
			name: "names and paths stand alone",
			held: []rbacv1.PolicyRule{pods},
			wanted: []rbacv1.PolicyRule{
				{Verbs: []string{"get", "delete"}, APIGroups: []string{""}, Resources: []string{"pods"}, ResourceNames: []string{"x", "y"}},
				{Verbs: []string{"get", "post"}, NonResourceURLs: []string{"/metrics"}},
			},
			want: `user "bob" (groups=["crew" "system:authenticated"]) is attempting to grant RBAC permissions not currently held:
{APIGroups:[""], Resources:["pods"], ResourceNames:["x"], Verbs:["delete"]}
{APIGroups:[""], Resources:["pods"], ResourceNames:["y"], Verbs:["delete"]}
{NonResourceURLs:["/metrics"], Verbs:["get"]}
{NonResourceURLs:["/metrics"], Verbs:["post"]}`,
		},
		{
			name:       "what could not be found is named",
			unresolved: errors.New(`clusterroles.rbac.authorization.k8s.io "gone" not found`),
			wanted:     []rbacv1.PolicyRule{{Verbs: []string{"*"}, APIGroups: []string{"*"}, Resources: []string{"*"}}},
			want: `user "bob" (groups=["crew" "system:authenticated"]) is attempting to grant RBAC permissions not currently held:
{APIGroups:["*"], Resources:["*"], Verbs:["*"]}; resolution errors: [clusterroles.rbac.authorization.k8s.io "gone" not found]`,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			err := rbac.ConfirmNoEscalation(bob, test.held, test.unresolved, test.wanted)
			if diff := cmp.Diff(test.want, textOf(err)); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
			if err != nil && !errors.Is(err, test.unresolved) && test.unresolved != nil {
				t.Error("the cause is not in the error")
			}
		})
	}
}

// Whoever holds rules can do whatever the rules that these cover allow: else
// covering would let people give away what they do not have.
func TestCoveredRulesAllowNothingThatTheHeldDoNot(t *testing.T) {
	t.Parallel()
	c := newChance(1)
	covered := 0
	for range 20000 {
		held, wanted := append(c.rules(), c.rules()...), c.rules()
		if len(wanted) == 0 || len(rbac.Uncovered(held, wanted)) > 0 {
			continue
		}
		covered++
		for range 20 {
			request := rbac.RequestOf(c.request())
			matches := func(rule rbacv1.PolicyRule) bool { return rbac.Matches(&rule, &request) }
			if slices.ContainsFunc(wanted, matches) && !slices.ContainsFunc(held, matches) {
				t.Fatalf("%v cover %v, which alone allow %v", held, wanted, request)
			}
		}
	}
	if covered < 100 {
		t.Errorf("only %d pairs of rules cover each other", covered)
	}
}

func TestTheIndexJudgesEscalationByAllThatAUserHolds(t *testing.T) {
	t.Parallel()
	index := rbac.NewIndex()
	bob := &user.DefaultInfo{Name: "bob", Groups: []string{"crew"}}
	index.Set(clusterRole("everywhere", "pods"))
	index.Set(bind("b", "everywhere", "crew"))
	index.Set(bind("dangling", "gone", "crew"))
	index.Set(&rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "here"}, Rules: clusterRole("", "secrets").Rules})
	index.Set(&rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "b"},
		RoleRef:    rbacv1.RoleRef{Kind: "Role", Name: "here"}, Subjects: []rbacv1.Subject{{Kind: "User", Name: "bob"}},
	})
	wanted := clusterRole("", "pods", "secrets").Rules
	if err := index.ConfirmNoEscalation(bob, "a", rbacv1.Resource("roles"), wanted); err != nil {
		t.Errorf("in the namespace: %v", err)
	}
	err := index.ConfirmNoEscalation(bob, "", rbacv1.Resource("rolebindings"), wanted)
	want := `user "bob" (groups=["crew"]) is attempting to grant RBAC permissions not currently held:
{APIGroups:[""], Resources:["secrets"], Verbs:["get"]}; resolution errors: [rolebindings.rbac.authorization.k8s.io "gone" not found]`
	if diff := cmp.Diff(want, textOf(err)); diff != "" {
		t.Errorf("in the cluster (-want +got):\n%s", diff)
	}
	// The authorizer's words for the same are those of a lister.
	got := index.Decide(bob, authorizer.AttributesRecord{User: bob, ResourceRequest: true, Verb: "get", Resource: "secrets"})
	if text := strings.Join(texts(got.Errors), "; "); text != `clusterrole.rbac.authorization.k8s.io "gone" not found` {
		t.Errorf("errors of the decision: %s", text)
	}
}

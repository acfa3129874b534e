// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package rbac_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"github.com/muster-identity/muster/rbac"
)

// Each history sets and deletes objects at random, deletions of what is not
// there and repetitions included. After each step the index must answer as if
// it had been built from what exists then.
func TestAnyHistoryLeavesTheIndexWithTheAnswersOfWhatExists(t *testing.T) {
	t.Parallel()
	const histories, steps, questions = 150, 40, 4
	allowed, refused, unresolved := 0, 0, 0
	for seed := range uint64(histories) {
		c := newChance(seed)
		index, want := rbac.NewIndex(), policy{}
		for step := range steps {
			obj := c.object()
			if step > steps/4 && c.IntN(3) == 0 {
				index.Delete(obj)
				want.delete(obj)
			} else {
				index.Set(obj)
				want.set(obj)
			}
			for range questions {
				request := c.request()
				checkDecision(t, index, want, request)
				checkRules(t, index, want, request)
				switch ok, _, errs := want.decide(request); {
				case ok:
					allowed++
				case errs != nil:
					unresolved++
				default:
					refused++
				}
			}
			if t.Failed() {
				t.Fatalf("history %d, step %d: %#v", seed, step, obj)
			}
		}
	}
	// A test of nothing but refusals would prove little.
	if least := histories * steps * questions / 25; allowed < least || refused < least || unresolved < least {
		t.Errorf("%d allowed, %d refused, %d for want of a role: want at least %d of each", allowed, refused, unresolved, least)
	}
}

func checkDecision(t *testing.T, index *rbac.Index, want policy, request authorizer.AttributesRecord) {
	t.Helper()
	got := index.Decide(request.User, request)
	allowed, reason, errs := want.decide(request)
	if got.Allowed != allowed || got.Reason != reason {
		t.Errorf("%#v: got (%v, %q), want (%v, %q)", request, got.Allowed, got.Reason, allowed, reason)
	}
	if found := texts(got.Errors); !slices.Equal(errs, found) {
		diff := cmp.Diff(errs, found)
		t.Errorf("errors of %#v (-want +got):\n%s", request, diff)
	}
}

func checkRules(t *testing.T, index *rbac.Index, want policy, request authorizer.AttributesRecord) {
	t.Helper()
	rules, err := index.RulesFor(request.User, request.Namespace)
	wantRules, wantErrs := want.rulesFor(request.User, request.Namespace)
	// Most are alike, which a comparison tells faster than one that could say what differs.
	if !equality.Semantic.DeepEqual(wantRules, rules) {
		diff := cmp.Diff(wantRules, rules, cmpopts.EquateEmpty())
		t.Errorf("rules for %v in %q (-want +got):\n%s", request.User, request.Namespace, diff)
	}
	var errs []error
	if err != nil {
		errs = err.(utilerrors.Aggregate).Errors()
	}
	if found := texts(errs); !slices.Equal(wantErrs, found) {
		diff := cmp.Diff(wantErrs, found)
		t.Errorf("errors of the rules for %v in %q (-want +got):\n%s", request.User, request.Namespace, diff)
	}
}

func texts(errs []error) (all []string) {
	for _, err := range errs {
		all = append(all, err.Error())
	}
	return all
}

func TestReasonsReadAsInKubernetes(t *testing.T) {
	t.Parallel()
	bot := &user.DefaultInfo{Name: "system:serviceaccount:a:bot", Groups: []string{"system:serviceaccounts", "system:authenticated"}}
	role := func(kind string) rbacv1.RoleRef {
		return rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: kind, Name: "r"}
	}
	inA := metav1.ObjectMeta{Namespace: "a", Name: "rb"}
	tests := []struct {
		name    string
		binding runtime.Object
		want    string
	}{
		{
			name:    "cluster role binding to a service account",
			binding: clusterBinding("rb", rbacv1.Subject{Kind: "ServiceAccount", Namespace: "a", Name: "bot"}),
			want:    `RBAC: allowed by ClusterRoleBinding "rb" of ClusterRole "r" to ServiceAccount "bot/a"`,
		},
		{
			name:    "cluster role binding to a user",
			binding: clusterBinding("rb", rbacv1.Subject{Kind: "User", Name: "system:serviceaccount:a:bot"}),
			want:    `RBAC: allowed by ClusterRoleBinding "rb" of ClusterRole "r" to User "system:serviceaccount:a:bot"`,
		},
		{
			name:    "cluster role binding to a group",
			binding: clusterBinding("rb", rbacv1.Subject{Kind: "Group", Name: "system:serviceaccounts"}),
			want:    `RBAC: allowed by ClusterRoleBinding "rb" of ClusterRole "r" to Group "system:serviceaccounts"`,
		},
		{
			name:    "role binding of a role to a service account without a namespace",
			binding: &rbacv1.RoleBinding{ObjectMeta: inA, RoleRef: role("Role"), Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Name: "bot"}}},
			want:    `RBAC: allowed by RoleBinding "rb/a" of Role "r" to ServiceAccount "bot/a"`,
		},
		{
			name:    "role binding of a cluster role to a group",
			binding: &rbacv1.RoleBinding{ObjectMeta: inA, RoleRef: role("ClusterRole"), Subjects: []rbacv1.Subject{{Kind: "Group", Name: "system:authenticated"}}},
			want:    `RBAC: allowed by RoleBinding "rb/a" of ClusterRole "r" to Group "system:authenticated"`,
		},
		{
			name: "the first of several subjects, in the order of the binding",
			binding: clusterBinding("rb", rbacv1.Subject{Kind: "User", Name: "ann"},
				rbacv1.Subject{Kind: "Group", Name: "system:authenticated"},
				rbacv1.Subject{Kind: "ServiceAccount", Namespace: "a", Name: "bot"}),
			want: `RBAC: allowed by ClusterRoleBinding "rb" of ClusterRole "r" to Group "system:authenticated"`,
		},
		{
			name:    "a name that needs quoting",
			binding: clusterBinding("rb", rbacv1.Subject{Kind: "Group", Name: "system:authenticated"}, rbacv1.Subject{Kind: "User", Name: `"`}),
			want:    `RBAC: allowed by ClusterRoleBinding "rb" of ClusterRole "r" to Group "system:authenticated"`,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			index := rbac.NewIndex()
			// Before the roles: the order must not matter.
			index.Set(test.binding)
			rules := []rbacv1.PolicyRule{{Verbs: []string{"get"}, APIGroups: []string{""}, Resources: []string{"pods"}}}
			index.Set(&rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "r"}, Rules: rules})
			index.Set(&rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "r"}, Rules: rules})
			got := index.Decide(bot, authorizer.AttributesRecord{ResourceRequest: true, Verb: "get", Namespace: "a", Resource: "pods", Name: "p"})
			if diff := cmp.Diff(rbac.Decision{Allowed: true, Reason: test.want}, got); diff != "" {
				t.Errorf("decision (-want +got):\n%s", diff)
			}
		})
	}
}

func clusterBinding(name string, subjects ...rbacv1.Subject) *rbacv1.ClusterRoleBinding {
	return &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "r"},
		Subjects:   subjects,
	}
}

func TestPathsAreNotGrantedInANamespace(t *testing.T) {
	t.Parallel()
	index := rbac.NewIndex()
	index.Set(&rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "r"}, Rules: []rbacv1.PolicyRule{{Verbs: []string{"get"}, NonResourceURLs: []string{"*"}}}})
	index.Set(&rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "b"},
		RoleRef:    rbacv1.RoleRef{Kind: "ClusterRole", Name: "r"}, Subjects: []rbacv1.Subject{{Kind: "User", Name: "ann"}},
	})
	ann := &user.DefaultInfo{Name: "ann"}
	if got := index.Decide(ann, authorizer.AttributesRecord{Verb: "get", Path: "/metrics", Namespace: "a"}); got.Allowed {
		t.Errorf("a path was allowed by a role binding: %s", got.Reason)
	}
}

func TestRulesOfARole(t *testing.T) {
	t.Parallel()
	index := rbac.NewIndex()
	rules := []rbacv1.PolicyRule{{Verbs: []string{"get"}, APIGroups: []string{""}, Resources: []string{"pods"}}}
	index.Set(&rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "r"}, Rules: rules})
	index.Set(&rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "empty"}})
	tests := []struct {
		name, namespace, kind, role string
		want                        []rbacv1.PolicyRule
		wantErr                     string
	}{
		{name: "a role in the binding's namespace", namespace: "a", kind: "Role", role: "r", want: rules},
		{name: "a role of another namespace", namespace: "b", kind: "Role", role: "r", wantErr: `roles.rbac.authorization.k8s.io "r" not found`},
		{name: "a role for a cluster role binding", kind: "Role", role: "r", wantErr: `roles.rbac.authorization.k8s.io "r" not found`},
		{name: "a cluster role in a namespace", namespace: "a", kind: "ClusterRole", role: "empty"},
		{name: "no such cluster role", kind: "ClusterRole", role: "r", wantErr: `clusterroles.rbac.authorization.k8s.io "r" not found`},
		{name: "no such kind", kind: "Group", role: "r", wantErr: `unsupported role reference kind: "Group"`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := index.RulesOf(test.namespace, rbacv1.RoleRef{Kind: test.kind, Name: test.role})
			if diff := cmp.Diff(test.wantErr, textOf(err)); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("rules (-want +got):\n%s", diff)
			}
		})
	}
}

func textOf(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestAnObjectOfAnotherKindIsAMistakeOfTheCaller(t *testing.T) {
	t.Parallel()
	index := rbac.NewIndex()
	for name, feed := range map[string]func(runtime.Object){"set": index.Set, "delete": index.Delete} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s took a list", name)
				}
			}()
			feed(&rbacv1.RoleList{})
		}()
	}
	// And the index still works.
	index.Set(&rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "r"}})
}

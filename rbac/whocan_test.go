// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package rbac_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"github.com/muster-identity/muster/rbac"
)

// Whom WhoCan names, Decide allows, and whom Decide allows, WhoCan names.
func TestWhoCanIsTheReverseOfDecide(t *testing.T) {
	t.Parallel()
	const policies, questions = 300, 10
	granted := 0
	for seed := range uint64(policies) {
		c := newChance(seed)
		index, want := rbac.NewIndex(), policy{}
		for range 20 {
			obj := c.object()
			index.Set(obj)
			want.set(obj)
		}
		for range questions {
			request := c.request()
			got := index.WhoCan(request.Namespace, rbac.RequestOf(request))
			if diff := cmp.Diff(want.whoCan(request), got); diff != "" {
				t.Fatalf("policy %d, %+v (-want +got):\n%s", seed, request, diff)
			}
			for range questions {
				request.User = c.user()
				_, named := subjectFor(request.User, subjectsOf(got), "")
				if decision := index.Decide(request.User, request); decision.Allowed != named {
					t.Fatalf("policy %d, %+v: allowed is %t, named is %t", seed, request, decision.Allowed, named)
				}
			}
			granted += len(got)
		}
	}
	if granted < policies {
		t.Errorf("only %d grants in %d policies", granted, policies)
	}
}

func subjectsOf(grants []rbac.Grant) (subjects []rbacv1.Subject) {
	for _, g := range grants {
		subjects = append(subjects, g.Subject)
	}
	return subjects
}

func TestWhoCanNamesEverySubjectByBindingAndRole(t *testing.T) {
	t.Parallel()
	secrets, paths := ruleFor("secrets"), rbacv1.PolicyRule{Verbs: []string{"get"}, NonResourceURLs: []string{"/metrics"}}
	index := rbac.NewIndex()
	index.Set(&rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "r"}, Rules: []rbacv1.PolicyRule{ruleFor("pods"), secrets, paths}})
	index.Set(clusterBinding("everywhere",
		rbacv1.Subject{Kind: "ServiceAccount", Namespace: "b", Name: "bot"},
		rbacv1.Subject{Kind: "User", APIGroup: rbacv1.GroupName, Name: "system:serviceaccount:b:cot"},
		rbacv1.Subject{Kind: "ServiceAccount", Name: "nobody"},
		rbacv1.Subject{Kind: "ServiceAccount", Namespace: "b", Name: "bot"}))
	index.Set(&rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "here"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "r"},
		Subjects:   []rbacv1.Subject{{Kind: "Group", APIGroup: rbacv1.GroupName, Name: "crew"}, {Kind: "ServiceAccount", Name: "bot"}},
	})
	role := rbac.Ref{Kind: "ClusterRole", Name: "r"}
	everywhere, here := rbac.Ref{Kind: "ClusterRoleBinding", Name: "everywhere"}, rbac.Ref{Kind: "RoleBinding", Namespace: "a", Name: "here"}
	inCluster := func(rule rbacv1.PolicyRule) []rbac.Grant {
		return []rbac.Grant{
			{Subject: rbacv1.Subject{Kind: "ServiceAccount", Namespace: "b", Name: "bot"}, Binding: everywhere, Role: role, Rule: rule},
			{Subject: rbacv1.Subject{Kind: "User", APIGroup: rbacv1.GroupName, Name: "system:serviceaccount:b:cot"}, Binding: everywhere, Role: role, Rule: rule},
		}
	}
	get := rbac.Request{Verb: "get", ResourceRequest: true, Resource: "secrets", Name: "s"}
	tests := []struct {
		name, namespace string
		request         rbac.Request
		want            []rbac.Grant
	}{
		{name: "in a namespace", namespace: "a", request: get, want: append(inCluster(secrets),
			rbac.Grant{Subject: rbacv1.Subject{Kind: "Group", APIGroup: rbacv1.GroupName, Name: "crew"}, Binding: here, Role: role, Rule: secrets},
			rbac.Grant{Subject: rbacv1.Subject{Kind: "ServiceAccount", Namespace: "a", Name: "bot"}, Binding: here, Role: role, Rule: secrets})},
		{name: "in another namespace", namespace: "c", request: get, want: inCluster(secrets)},
		{name: "in the whole cluster", request: get, want: inCluster(secrets)},
		{name: "on a path, for which no namespace counts", namespace: "a", request: rbac.Request{Verb: "get", Path: "/metrics"}, want: inCluster(paths)},
		{name: "what nobody may", namespace: "a", request: rbac.Request{Verb: "get", ResourceRequest: true, Resource: "secrets", Subresource: "x"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, index.WhoCan(test.namespace, test.request)); diff != "" {
				t.Errorf("grants (-want +got):\n%s", diff)
			}
		})
	}
}

// The asker waits for a human's eye-blink at most: 100 ms, and that is with the
// race detector and a busy machine.
func TestWhoCanIsInstantAtManyBindings(t *testing.T) { // not while other tests of this package want the processors
	index := largeIndex()
	_, request := me()
	const limit = 100 * time.Millisecond
	best := time.Hour
	for tries := 0; tries < 20 && best > limit; tries++ {
		start := time.Now()
		got := index.WhoCan("crowd", rbac.RequestOf(request))
		best = min(best, time.Since(start))
		if len(got) != 1 || got[0].Binding.Name != "me-last" {
			t.Fatalf("got %+v", got)
		}
	}
	if best > limit {
		t.Errorf("took %v", best)
	}
}

func BenchmarkWhoCan(b *testing.B) {
	for _, bindings := range []int{1000, 100_000} {
		b.Run(fmt.Sprintf("bindings=%d", bindings), func(b *testing.B) {
			index := indexOf(crowd(bindings))
			_, request := me()
			for b.Loop() {
				if got := index.WhoCan("crowd", rbac.RequestOf(request)); len(got) != 1 {
					b.Fatal(got)
				}
			}
		})
	}
}

// whoCan goes through all bindings in order, and through the subjects of each.
func (p policy) whoCan(attrs authorizer.Attributes) (grants []rbac.Grant) {
	for _, key := range p.sortedKeys() {
		switch b := p[key].(type) {
		case *rbacv1.ClusterRoleBinding:
			grants = append(grants, p.grantsBy(rbac.Ref{Kind: "ClusterRoleBinding", Name: b.Name}, b.RoleRef, b.Subjects, attrs)...)
		case *rbacv1.RoleBinding:
			if attrs.IsResourceRequest() && b.Namespace == attrs.GetNamespace() {
				grants = append(grants, p.grantsBy(rbac.Ref{Kind: "RoleBinding", Namespace: b.Namespace, Name: b.Name}, b.RoleRef, b.Subjects, attrs)...)
			}
		}
	}
	return grants
}

// sortedKeys has the ClusterRoleBindings before the RoleBindings.
func (p policy) sortedKeys() (keys []string) {
	for key := range p {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

func (p policy) grantsBy(binding rbac.Ref, ref rbacv1.RoleRef, subjects []rbacv1.Subject, attrs authorizer.Attributes) (grants []rbac.Grant) {
	role := rbac.Ref{Kind: ref.Kind, Name: ref.Name}
	if ref.Kind == "Role" {
		role.Namespace = binding.Namespace
	}
	rules := p.resolve(ref, binding.Namespace).rules
	i := slices.IndexFunc(rules, func(rule rbacv1.PolicyRule) bool { return allows(rule, attrs) })
	if i < 0 {
		return nil
	}
	// A user of a service account's name is that account: who was named before is
	// not named again.
	seen := map[string]bool{}
	for _, s := range subjects {
		if s.Kind == "ServiceAccount" && s.Namespace == "" {
			s.Namespace = binding.Namespace
		}
		who := s.Kind + " " + s.Name
		if s.Kind == "ServiceAccount" {
			who = "User system:serviceaccount:" + s.Namespace + ":" + s.Name
		}
		if nobody := s.Kind == "ServiceAccount" && s.Namespace == ""; !nobody && !seen[who] {
			grants = append(grants, rbac.Grant{Subject: s, Binding: binding, Role: role, Rule: rules[i]})
		}
		seen[who] = true
	}
	return grants
}

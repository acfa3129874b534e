// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	rbacv1ac "k8s.io/client-go/applyconfigurations/rbac/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
)

func clusterRole(name, label string, verbs ...string) *rbacv1.ClusterRole {
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name, UID: uidOf(name), Labels: map[string]string{label: "true"}}}
	for _, verb := range verbs {
		role.Rules = append(role.Rules, rbacv1.PolicyRule{Verbs: []string{verb}, APIGroups: []string{""}, Resources: []string{"pods"}})
	}
	return role
}

func uidOf(name string) types.UID { return types.UID("uid-of-" + name) }

func aggregating(name, label string) *rbacv1.ClusterRole {
	role := clusterRole(name, "any")
	role.AggregationRule = &rbacv1.AggregationRule{ClusterRoleSelectors: []metav1.LabelSelector{{MatchLabels: map[string]string{label: "true"}}}}
	return role
}

// counted counts the applies of a store and checks who makes them.
func counted(t *testing.T, store client.WithWatch, applies *int) client.Client {
	return interceptor.NewClient(store, interceptor.Funcs{
		Apply: func(ctx context.Context, c client.WithWatch, object runtime.ApplyConfiguration, options ...client.ApplyOption) error {
			*applies++
			applied := (&client.ApplyOptions{}).ApplyOptions(options)
			if applied.FieldManager != "clusterrole-aggregation-controller" || applied.Force == nil || !*applied.Force {
				t.Errorf("applied by %q, force %v", applied.FieldManager, applied.Force)
			}
			role := object.(*rbacv1ac.ClusterRoleApplyConfiguration)
			if role.UID == nil || *role.UID != uidOf(*role.Name) {
				t.Errorf("applied to whatever role is called %s", *role.Name)
			}
			return c.Apply(ctx, object, options...)
		},
	})
}

func verbsOf(t *testing.T, store client.Reader, name string) []string {
	t.Helper()
	role := &rbacv1.ClusterRole{}
	if err := store.Get(t.Context(), named(name), role); err != nil {
		t.Fatal(err)
	}
	var verbs []string
	for _, rule := range role.Rules {
		verbs = append(verbs, rule.Verbs...)
	}
	return verbs
}

func TestAnAggregatedRoleHoldsTheRulesOfTheRolesItSelects(t *testing.T) {
	t.Parallel()
	store := fakeStore(aggregating("all", "part"), clusterRole("b", "part", "watch", "list"), clusterRole("a", "part", "get", "list"), clusterRole("c", "other", "delete"))
	applies := 0
	controller := newClusterRoleAggregation(counted(t, store, &applies))
	for range 2 { // the second step has nothing to do
		reconciled(t, controller, named("all"))
	}
	if diff := cmp.Diff([]string{"get", "list", "watch"}, verbsOf(t, store, "all")); diff != "" || applies != 1 {
		t.Errorf("%d applies, want 1; verbs differ (-want +got):\n%s", applies, diff)
	}
	if err := store.Delete(t.Context(), clusterRole("b", "part")); err != nil {
		t.Fatal(err)
	}
	reconciled(t, controller, named("all"))
	if diff := cmp.Diff([]string{"get", "list"}, verbsOf(t, store, "all")); diff != "" || applies != 2 {
		t.Errorf("after a deletion: %d applies, want 2; verbs differ (-want +got):\n%s", applies, diff)
	}
}

func TestARoleThatAggregatesNothingKeepsItsRules(t *testing.T) {
	t.Parallel()
	store := fakeStore(clusterRole("plain", "part", "get"))
	applies := 0
	controller := newClusterRoleAggregation(counted(t, store, &applies))
	reconciled(t, controller, named("plain"))
	reconciled(t, controller, named("gone"))
	if got := verbsOf(t, store, "plain"); applies != 0 || len(got) != 1 {
		t.Errorf("%d applies, verbs %v", applies, got)
	}
}

func TestAnyRoleAsksForAllAggregatedOnes(t *testing.T) {
	t.Parallel()
	store := fakeStore(aggregating("one", "x"), aggregating("two", "y"), clusterRole("plain", "x"))
	var names []string
	for _, request := range newClusterRoleAggregation(store).aggregated(t.Context(), clusterRole("plain", "x")) {
		names = append(names, request.Name)
	}
	if diff := cmp.Diff([]string{"one", "two"}, names); diff != "" {
		t.Errorf("requests differ (-want +got):\n%s", diff)
	}
}

func TestASelectorThatCannotBeReadIsTriedOnce(t *testing.T) {
	t.Parallel()
	broken := aggregating("broken", "x")
	broken.AggregationRule.ClusterRoleSelectors[0].MatchExpressions = []metav1.LabelSelectorRequirement{{Key: "k", Operator: "Near"}}
	_, err := newClusterRoleAggregation(fakeStore(broken)).Reconcile(t.Context(), requestFor("broken"))
	if !isTerminal(err) {
		t.Errorf("got %v, want an error that is not tried again", err)
	}
}

func TestRolesThatAggregateEachOtherAreAllUpToDateFromTheStart(t *testing.T) {
	t.Parallel()
	admin, edit, view := aggregating("admin", "to-admin"), aggregating("edit", "to-edit"), aggregating("view", "to-view")
	edit.Labels = map[string]string{"to-admin": "true"}
	view.Labels = map[string]string{"to-edit": "true"}
	applies := 0
	store := fakeStore(admin, edit, view, clusterRole("reads", "to-view", "get"), clusterRole("writes", "to-edit", "create"))
	if err := EnsureAggregation(t.Context(), counted(t, store, &applies)); err != nil {
		t.Fatal(err)
	}
	want := map[string][]string{"view": {"get"}, "edit": {"get", "create"}, "admin": {"get", "create"}}
	for name, verbs := range want {
		if diff := cmp.Diff(verbs, verbsOf(t, store, name), cmpopts.SortSlices(strings.Compare)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if applies != len(want) {
		t.Errorf("%d roles were applied, want %d", applies, len(want))
	}
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package rbac_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/muster-identity/muster/rbac"
)

func TestARuleMatchesWhatTheReferenceAllows(t *testing.T) {
	t.Parallel()
	c := newChance(2)
	matched := 0
	const pairs = 50_000
	for range pairs {
		rule, attributes := c.rule(), c.request()
		request := rbac.RequestOf(attributes)
		got := rbac.Matches(&rule, &request)
		if want := allows(rule, attributes); got != want {
			t.Fatalf("%v matches %v: %t, want %t", rule, request, got, want)
		}
		if got {
			matched++
		}
	}
	if matched < pairs/50 {
		t.Errorf("only %d of %d match", matched, pairs)
	}
}

func TestEscalationIsRefusedWhereTheReferenceFindsRulesNotHeld(t *testing.T) {
	t.Parallel()
	lawful, refused := 0, 0
	for seed := range uint64(300) {
		c := newChance(seed)
		index, p := rbac.NewIndex(), policy{}
		for range 25 {
			obj := c.object()
			index.Set(obj)
			p.set(obj)
		}
		for range 20 {
			u, namespace, wanted := c.user(), c.one("a", "b", ""), c.rules()
			held, _ := p.rulesFor(u, namespace)
			err := index.ConfirmNoEscalation(u, namespace, rbacv1.Resource("roles"), wanted)
			if want := covers(held, wanted); (err == nil) != want {
				t.Fatalf("policy %d: %v in %q grants %v: lawful is %t, got error %v", seed, u, namespace, wanted, want, err)
			}
			switch {
			case err != nil:
				refused++
			case len(wanted) > 0:
				lawful++
			}
		}
	}
	if lawful < 100 || refused < 100 {
		t.Errorf("%d lawful, %d refused: want at least 100 of each", lawful, refused)
	}
}

// covers tells whether each single thing that is wanted is in one of the rules
// that are held.
func covers(held, wanted []rbacv1.PolicyRule) bool {
	within := func(single func(rbacv1.PolicyRule) bool) bool { return slices.ContainsFunc(held, single) }
	for _, w := range wanted {
		for _, verb := range w.Verbs {
			for _, url := range w.NonResourceURLs {
				if !within(func(h rbacv1.PolicyRule) bool { return inOrAll(h.Verbs, verb) && coversPath(h.NonResourceURLs, url) }) {
					return false
				}
			}
			for _, group := range w.APIGroups {
				for _, resource := range w.Resources {
					names := w.ResourceNames
					if len(names) == 0 {
						names = []string{""} // any
					}
					for _, name := range names {
						if !within(func(h rbacv1.PolicyRule) bool {
							return inOrAll(h.Verbs, verb) && inOrAll(h.APIGroups, group) && coversResource(h.Resources, resource) &&
								(len(h.ResourceNames) == 0 || name != "" && slices.Contains(h.ResourceNames, name))
						}) {
							return false
						}
					}
				}
			}
		}
	}
	return true
}

func coversPath(held []string, url string) bool {
	return slices.ContainsFunc(held, func(h string) bool {
		return h == url || strings.HasSuffix(h, "*") && strings.HasPrefix(url, strings.TrimRight(h, "*"))
	})
}

func coversResource(held []string, resource string) bool {
	_, sub, isSub := strings.Cut(resource, "/")
	return inOrAll(held, resource) || isSub && slices.Contains(held, "*/"+sub)
}

func TestAggregationIsThatOfTheReference(t *testing.T) {
	t.Parallel()
	for seed := range uint64(500) {
		c := newChance(seed)
		label := func() map[string]string { return map[string]string{"l": c.one("1", "2", "3")} }
		var roles []*rbacv1.ClusterRole
		for i := range 8 {
			roles = append(roles, &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("r", i), Labels: label()}, Rules: c.rules()})
		}
		role := roles[c.IntN(8)]
		role.AggregationRule = &rbacv1.AggregationRule{}
		var labels []string
		for range 1 + c.IntN(3) {
			selected := label()
			labels = append(labels, selected["l"])
			role.AggregationRule.ClusterRoleSelectors = append(role.AggregationRule.ClusterRoleSelectors, metav1.LabelSelector{MatchLabels: selected})
		}
		var want []rbacv1.PolicyRule
		for _, l := range labels {
			for _, part := range roles { // by name
				for _, rule := range part.Rules {
					if part != role && part.Labels["l"] == l && !slices.ContainsFunc(want, func(r rbacv1.PolicyRule) bool { return equality.Semantic.DeepEqual(r, rule) }) {
						want = append(want, rule)
					}
				}
			}
		}
		c.Shuffle(len(roles), func(i, j int) { roles[i], roles[j] = roles[j], roles[i] })
		got, err := rbac.Aggregate(role, roles)
		if err != nil {
			t.Fatal(err)
		}
		if !equality.Semantic.DeepEqual(want, got) {
			diff := cmp.Diff(want, got, cmpopts.EquateEmpty())
			t.Fatalf("seed %d (-want +got):\n%s", seed, diff)
		}
	}
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/wait"
)

// settleTimeout bounds the time until a policy is in force.
const settleTimeout = 30 * time.Second

// apply puts a policy in the place of the one in force, and waits until all of
// it decides.
func (s *side) apply(ctx context.Context, policy []object) error {
	s.rounds++
	for _, obj := range s.exists {
		if err := s.must(ctx, http.MethodDelete, pathOf(obj, true), nil, nil); err != nil {
			return err
		}
	}
	s.exists = nil
	if err := s.create(ctx, policy...); err != nil {
		return err
	}
	if err := s.awaitAggregation(ctx); err != nil {
		return err
	}
	return s.awaitSentinel(ctx)
}

func (s *side) create(ctx context.Context, objects ...object) error {
	for _, obj := range objects {
		if err := s.replace(ctx, obj); err != nil {
			return err
		}
		s.exists = append(s.exists, obj)
	}
	return nil
}

// replace makes an object that should not exist. The controller that aggregates
// cluster roles may have written one after its deletion.
func (s *side) replace(ctx context.Context, obj object) error {
	status, _, err := s.do(ctx, identity{}, http.MethodPost, pathOf(obj, false), obj)
	if err != nil || status == http.StatusCreated {
		return err
	}
	if status == http.StatusConflict {
		if err := s.must(ctx, http.MethodDelete, pathOf(obj, true), nil, nil); err != nil {
			return err
		}
	}
	return s.must(ctx, http.MethodPost, pathOf(obj, false), obj, nil)
}

// awaitAggregation waits until every aggregated cluster role has the rules of
// those that it selects.
func (s *side) awaitAggregation(ctx context.Context) error {
	return s.await(ctx, "the aggregation of cluster roles", func(ctx context.Context) (bool, error) {
		var all rbacv1.ClusterRoleList
		if err := s.must(ctx, http.MethodGet, rbacPath+"clusterroles", nil, &all); err != nil {
			return false, err
		}
		slices.SortFunc(all.Items, func(a, b rbacv1.ClusterRole) int { return strings.Compare(a.Name, b.Name) })
		for _, role := range all.Items {
			if role.AggregationRule != nil && !apiequality.Semantic.DeepEqual(role.Rules, aggregated(role, all.Items)) {
				return false, nil
			}
		}
		return true, nil
	})
}

// aggregated are the rules that a cluster role comes to have.
func aggregated(role rbacv1.ClusterRole, all []rbacv1.ClusterRole) (rules []rbacv1.PolicyRule) {
	for i := range role.AggregationRule.ClusterRoleSelectors {
		selector, err := metav1.LabelSelectorAsSelector(&role.AggregationRule.ClusterRoleSelectors[i])
		if err != nil {
			continue
		}
		for _, part := range all {
			if part.Name == role.Name || !selector.Matches(labels.Set(part.Labels)) {
				continue
			}
			for _, rule := range part.Rules {
				if !slices.ContainsFunc(rules, func(r rbacv1.PolicyRule) bool { return apiequality.Semantic.DeepEqual(r, rule) }) {
					rules = append(rules, rule)
				}
			}
		}
	}
	return rules
}

// awaitSentinel makes an object of each kind, the last ones to be made, and
// waits until they decide. Kubernetes' authorizer follows each kind by itself,
// and sees the changes of a kind in their order.
func (s *side) awaitSentinel(ctx context.Context) error {
	user := fmt.Sprintf("truth:sentinel-%d", s.rounds)
	subjects := []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: user}}
	rules := []rbacv1.PolicyRule{{Verbs: []string{"see"}, APIGroups: []string{"truth"}, Resources: []string{"sentinels"}}}
	name := metav1.ObjectMeta{Name: fmt.Sprintf("sentinel-%d", s.rounds)}
	local := name
	local.Namespace = "a"
	// The one in the namespace has another verb, so that both kinds of bindings are seen.
	localRules := []rbacv1.PolicyRule{{Verbs: []string{"hear"}, APIGroups: []string{"truth"}, Resources: []string{"sentinels"}}}
	err := s.create(
		ctx,
		&rbacv1.Role{ObjectMeta: local, Rules: localRules},
		&rbacv1.RoleBinding{ObjectMeta: local, Subjects: subjects, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name.Name}},
		&rbacv1.ClusterRole{ObjectMeta: name, Rules: rules},
		&rbacv1.ClusterRoleBinding{ObjectMeta: name, Subjects: subjects, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: name.Name}},
	)
	if err != nil {
		return err
	}
	return s.await(ctx, "the newest bindings to decide", func(ctx context.Context) (bool, error) {
		for _, verb := range []string{"see", "hear"} {
			review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
				User:               user,
				ResourceAttributes: &authorizationv1.ResourceAttributes{Namespace: "a", Verb: verb, Group: "truth", Resource: "sentinels"},
			}}
			a, err := s.ask(ctx, question{access, identity{}, http.MethodPost, "/apis/authorization.k8s.io/v1/subjectaccessreviews", review})
			if err != nil || !a.Allowed {
				return false, err
			}
		}
		return true, nil
	})
}

// await looks until something is so.
func (s *side) await(ctx context.Context, what string, look func(context.Context) (bool, error)) error {
	err := wait.PollUntilContextTimeout(ctx, 10*time.Millisecond, settleTimeout, true, look)
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%s: waiting for %s: not within %s", s.name, what, settleTimeout)
	}
	return err
}

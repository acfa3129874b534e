// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"
	rbacv1ac "k8s.io/client-go/applyconfigurations/rbac/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/muster-identity/muster/rbac"
)

// aggregationManager owns the rules of aggregated roles, as in Kubernetes
// (pkg/controller/clusterroleaggregation).
const aggregationManager = "clusterrole-aggregation-controller"

// clusterRoleAggregation writes into each role with an aggregation rule the rules
// of the roles that it selects.
type clusterRoleAggregation struct {
	client client.Client
}

func newClusterRoleAggregation(c client.Client) *clusterRoleAggregation {
	return &clusterRoleAggregation{client: c}
}

func (c *clusterRoleAggregation) register(m manager.Manager) error {
	return watching(m, "clusterrole-aggregation", 1).
		Watches(&rbacv1.ClusterRole{}, handler.EnqueueRequestsFromMapFunc(c.aggregated)).
		Complete(ordinary(c))
}

// aggregated asks for every aggregated role whichever role changed: there are few,
// and an old label may have selected what the new one does not.
func (c *clusterRoleAggregation) aggregated(ctx context.Context, _ client.Object) []reconcile.Request {
	roles, err := c.roles(ctx)
	if err != nil {
		// The cache is synced before events are delivered; it ends with ctx.
		return nil
	}
	var requests []reconcile.Request
	for _, role := range roles {
		if role.AggregationRule != nil {
			requests = append(requests, reconcile.Request{NamespacedName: types.NamespacedName{Name: role.Name}})
		}
	}
	return requests
}

// Reconcile brings the rules of one role up to date.
func (c *clusterRoleAggregation) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	role := &rbacv1.ClusterRole{}
	err := c.client.Get(ctx, request.NamespacedName, role)
	if err != nil || role.AggregationRule == nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	roles, err := c.roles(ctx)
	if err != nil {
		return reconcile.Result{}, err
	}
	rules, err := rbac.Aggregate(role, roles)
	if err != nil {
		// A selector that cannot be read stays so until the role changes.
		return reconcile.Result{}, reconcile.TerminalError(err)
	}
	if equality.Semantic.DeepEqual(rules, role.Rules) {
		return reconcile.Result{}, nil
	}
	if err := c.apply(ctx, role, rules); err != nil {
		return reconcile.Result{}, fmt.Errorf("aggregating cluster role %q: %w", role.Name, err)
	}
	return reconcile.Result{}, nil
}

// EnsureAggregation brings all aggregated roles up to date. The server calls it
// before it says that it is ready, so that a binding to one of the default roles
// is worth what it says from the first moment.
func EnsureAggregation(ctx context.Context, c client.Client) error {
	a := newClusterRoleAggregation(c)
	roles, err := a.roles(ctx)
	if err != nil {
		return err
	}
	changed := settleAggregation(roles)
	for _, role := range roles {
		rules, found := changed[role.Name]
		if !found {
			continue
		}
		if err := a.apply(ctx, role, rules); err != nil {
			return fmt.Errorf("aggregating cluster role %q: %w", role.Name, err)
		}
	}
	return nil
}

// settleAggregation returns the rules of the aggregated roles that are not up to
// date, and changes the roles accordingly. Aggregated roles may select each other,
// so it goes round until nothing changes; rules are only ever added on the way.
func settleAggregation(roles []*rbacv1.ClusterRole) map[string][]rbacv1.PolicyRule {
	changed := map[string][]rbacv1.PolicyRule{}
	for range roles {
		settled := true
		for _, role := range roles {
			if role.AggregationRule == nil {
				continue
			}
			rules, err := rbac.Aggregate(role, roles)
			if err != nil || equality.Semantic.DeepEqual(rules, role.Rules) {
				continue // a selector that cannot be read is the controller's to report
			}
			role.Rules, changed[role.Name], settled = rules, rules, false
		}
		if settled {
			break
		}
	}
	return changed
}

// apply takes the rules for its own, from whoever wrote them. Without its UID a
// role that was deleted meanwhile would rise again: to apply is to create.
func (c *clusterRoleAggregation) apply(ctx context.Context, to *rbacv1.ClusterRole, rules []rbacv1.PolicyRule) error {
	role := rbacv1ac.ClusterRole(to.Name).WithUID(to.UID)
	for _, rule := range rules {
		role.WithRules(rbacv1ac.PolicyRule().
			WithVerbs(rule.Verbs...).
			WithAPIGroups(rule.APIGroups...).
			WithResources(rule.Resources...).
			WithResourceNames(rule.ResourceNames...).
			WithNonResourceURLs(rule.NonResourceURLs...))
	}
	return c.client.Apply(ctx, role, client.FieldOwner(aggregationManager), client.ForceOwnership)
}

// roles are those of the cache, not to be changed.
func (c *clusterRoleAggregation) roles(ctx context.Context) ([]*rbacv1.ClusterRole, error) {
	list := &rbacv1.ClusterRoleList{}
	if err := c.client.List(ctx, list, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("listing cluster roles: %w", err)
	}
	roles := make([]*rbacv1.ClusterRole, len(list.Items))
	for i := range list.Items {
		roles[i] = &list.Items[i]
	}
	return roles, nil
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	admissionregistrationv1ac "k8s.io/client-go/applyconfigurations/admissionregistration/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// policyTypesManager owns the status of policies, as in Kubernetes
// (cmd/kube-controller-manager/names).
const policyTypesManager = "validatingadmissionpolicy-status-controller"

// policyTypes tells in the status of each policy which of its expressions do not
// fit the types that it is for (Kubernetes:
// pkg/controller/validatingadmissionpolicystatus). What a policy does, it does
// nevertheless.
type policyTypes struct {
	client client.Client
	// check finds what does not fit; nil if nobody looks.
	check func(*admissionregistrationv1.ValidatingAdmissionPolicy) []admissionregistrationv1.ExpressionWarning
}

func newPolicyTypes(c client.Client, check func(*admissionregistrationv1.ValidatingAdmissionPolicy) []admissionregistrationv1.ExpressionWarning) *policyTypes {
	return &policyTypes{client: c, check: check}
}

func (p *policyTypes) register(m manager.Manager) error {
	if p.check == nil {
		return nil
	}
	return watching(m, "policy-types", 1).
		For(&admissionregistrationv1.ValidatingAdmissionPolicy{}).
		Complete(ordinary(p))
}

// Reconcile checks the policy, once for each state of its spec. By its UID what was
// found is not written to another one of its name.
func (p *policyTypes) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	policy := &admissionregistrationv1.ValidatingAdmissionPolicy{}
	if err := p.client.Get(ctx, request.NamespacedName, policy); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	if policy.Generation <= policy.Status.ObservedGeneration {
		return reconcile.Result{}, nil
	}
	found := admissionregistrationv1ac.TypeChecking()
	for _, warning := range p.check(policy) {
		found.WithExpressionWarnings(admissionregistrationv1ac.ExpressionWarning().
			WithFieldRef(warning.FieldRef).WithWarning(warning.Warning))
	}
	status := admissionregistrationv1ac.ValidatingAdmissionPolicyStatus().
		WithObservedGeneration(policy.Generation).WithTypeChecking(found)
	wanted := admissionregistrationv1ac.ValidatingAdmissionPolicy(policy.Name).WithUID(policy.UID).WithStatus(status)
	err := p.client.Status().Apply(ctx, wanted, client.FieldOwner(policyTypesManager), client.ForceOwnership)
	if client.IgnoreNotFound(err) != nil {
		return reconcile.Result{}, fmt.Errorf("writing the status of validating admission policy %q: %w", policy.Name, err)
	}
	return reconcile.Result{}, nil
}

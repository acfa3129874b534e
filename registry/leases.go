// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"slices"
	"strings"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/features"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
)

func leases() Resource {
	return &Definition[*coordinationv1.Lease]{
		GroupVersion: coordinationv1.SchemeGroupVersion,
		Kind:         "Lease", Plural: "leases", Singular: "lease",
		New:     func() *coordinationv1.Lease { return &coordinationv1.Lease{} },
		NewList: func() runtime.Object { return &coordinationv1.LeaseList{} },
		PrepareCreate: func(_ context.Context, lease *coordinationv1.Lease) {
			dropElectionFields(&lease.Spec, &coordinationv1.LeaseSpec{})
		},
		PrepareUpdate: func(_ context.Context, lease, old *coordinationv1.Lease) {
			dropElectionFields(&lease.Spec, &old.Spec)
		},
		Validate: validateLease,
		Columns: []metav1.TableColumnDefinition{
			nameColumn(),
			column("Holder", "string", coordinationv1.LeaseSpec{}.SwaggerDoc()["holderIdentity"]),
			ageColumn(),
		},
		Row: leaseRow,
		// A holder renews by PUT, and two of them must not both succeed.
		CreateOnUpdate: true,
		RequireVersion: true,
	}
}

func leaseRow(lease *coordinationv1.Lease) []any {
	holder := ""
	if lease.Spec.HolderIdentity != nil {
		holder = *lease.Spec.HolderIdentity
	}
	return []any{lease.Name, holder, age(lease)}
}

// dropElectionFields drops what belongs to coordinated leader election, unless
// that feature is on or the lease has it already.
func dropElectionFields(spec, old *coordinationv1.LeaseSpec) {
	if utilfeature.DefaultFeatureGate.Enabled(features.CoordinatedLeaderElection) {
		return
	}
	if old.Strategy == nil {
		spec.Strategy = nil
	}
	if old.PreferredHolder == nil {
		spec.PreferredHolder = nil
	}
}

// validateLease checks the numbers and the fields of coordinated election
// (Kubernetes: pkg/apis/coordination/validation, ValidateLeaseSpec).
func validateLease(lease *coordinationv1.Lease) field.ErrorList {
	var errs field.ErrorList
	spec, path := &lease.Spec, field.NewPath("spec")
	if spec.LeaseDurationSeconds != nil && *spec.LeaseDurationSeconds <= 0 {
		errs = append(errs, field.Invalid(path.Child("leaseDurationSeconds"), spec.LeaseDurationSeconds, "must be greater than 0"))
	}
	if spec.LeaseTransitions != nil && *spec.LeaseTransitions < 0 {
		errs = append(errs, field.Invalid(path.Child("leaseTransitions"), spec.LeaseTransitions, "must be greater than or equal to 0"))
	}
	if spec.Strategy != nil {
		errs = append(errs, validateLeaseStrategy(*spec.Strategy, path.Child("strategy"))...)
	}
	hasStrategy := spec.Strategy != nil && *spec.Strategy != ""
	if spec.PreferredHolder != nil && *spec.PreferredHolder != "" && !hasStrategy {
		errs = append(errs, field.Forbidden(path.Child("preferredHolder"), "may only be specified if `strategy` is defined"))
	}
	return errs
}

// validateLeaseStrategy takes a strategy that Kubernetes names, or a qualified
// name of somebody else's.
func validateLeaseStrategy(strategy coordinationv1.CoordinatedLeaseStrategy, path *field.Path) field.ErrorList {
	known := []coordinationv1.CoordinatedLeaseStrategy{coordinationv1.OldestEmulationVersion}
	// Kubernetes repeats the name of the field in the path of these errors.
	path = path.Child("strategy")
	if !strings.Contains(string(strategy), "/") {
		if slices.Contains(known, strategy) {
			return nil
		}
		return field.ErrorList{field.NotSupported(path, strategy, known)}
	}
	var errs field.ErrorList
	for _, msg := range utilvalidation.IsQualifiedName(string(strategy)) {
		errs = append(errs, field.Invalid(path, strategy, msg))
	}
	return errs
}

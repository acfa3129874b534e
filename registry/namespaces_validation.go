// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// The texts are those of Kubernetes: pkg/apis/core/validation.

func validateNamespaceFinalizers(finalizers []corev1.FinalizerName, path func(int) *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, finalizer := range finalizers {
		errs = append(errs, validation.ValidateFinalizerName(string(finalizer), path(i))...)
		errs = append(errs, qualifiedFinalizer(string(finalizer), path(i))...)
	}
	return errs
}

// validateNamespacePhase keeps the phase in step with metadata: the deletion is
// what ends a namespace, not its status.
func validateNamespacePhase(namespace *corev1.Namespace) field.ErrorList {
	path, phase := field.NewPath("status", "Phase"), namespace.Status.Phase
	if namespace.DeletionTimestamp.IsZero() {
		if phase != corev1.NamespaceActive {
			return field.ErrorList{field.Invalid(path, phase, "may only be 'Active' if `deletionTimestamp` is empty")}
		}
		return nil
	}
	if phase != corev1.NamespaceTerminating {
		return field.ErrorList{field.Invalid(path, phase, "may only be 'Terminating' if `deletionTimestamp` is not empty")}
	}
	return nil
}

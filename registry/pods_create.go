// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// validateNewPod refuses what comes later in a pod's life, through the
// subresources (Kubernetes: pkg/apis/core/validation, ValidatePodCreate).
func validateNewPod(pod *corev1.Pod) field.ErrorList {
	var errs field.ErrorList
	path := field.NewPath("spec")
	if len(pod.Spec.EphemeralContainers) > 0 {
		errs = append(errs, field.Forbidden(path.Child("ephemeralContainers"), "cannot be set on create"))
	}
	if pod.Spec.NodeName != "" && len(pod.Spec.SchedulingGates) > 0 {
		errs = append(errs, field.Forbidden(path.Child("nodeName"), "cannot be set until all schedulingGates have been cleared"))
	}
	return errs
}

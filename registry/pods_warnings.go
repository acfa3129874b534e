// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// podSpecWarnings tell of what is accepted and yet hardly meant, in the parts
// of a spec that identity rests on (Kubernetes: pkg/api/pod,
// GetWarningsForPod). path leads to the object of which spec is a field; nil
// for a pod.
func podSpecWarnings(spec *corev1.PodSpec, path *field.Path) []string {
	path = path.Child("spec")
	var warnings []string
	names := sets.Set[string]{}
	for i, secret := range spec.ImagePullSecrets {
		at := path.Child("imagePullSecrets").Index(i).Child("name")
		switch {
		case secret.Name == "":
			warnings = append(warnings, fmt.Sprintf("%s: invalid empty name %q", at, secret.Name))
		case names.Has(secret.Name):
			warnings = append(warnings, fmt.Sprintf("%s: duplicate name %q", at, secret.Name))
		}
		names.Insert(secret.Name)
	}
	for _, volume := range spec.Volumes {
		if volume.Projected != nil && slices.Contains(volume.Projected.Sources, corev1.VolumeProjection{}) {
			warnings = append(warnings, fmt.Sprintf("volume %q (Projected) has no sources provided", volume.Name))
		}
	}
	return warnings
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"reflect"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

const notEphemeral = "cannot be set for an Ephemeral Container"

// validateEphemeral checks the containers that are added for debugging. names
// are those of the other containers.
func (p *podCheck) validateEphemeral(names sets.Set[string], at *field.Path) field.ErrorList {
	var errs field.ErrorList
	others := names.Clone()
	for i := range p.spec.EphemeralContainers {
		ephemeral, at := &p.spec.EphemeralContainers[i], at.Index(i)
		container := commonOf(ephemeral)
		errs = append(errs, p.validateCommon(container, at)...)
		errs = append(errs, untrimmedImage(container.Image, at.Child("image"))...)
		errs = append(errs, takeName(names, container.Name, at)...)
		if target := ephemeral.TargetContainerName; target != "" && !others.Has(target) {
			errs = append(errs, field.NotFound(at.Child("targetContainerName"), target))
		}
		errs = append(errs, onlyDebugFields(container, at)...)
	}
	return errs
}

// onlyDebugFields refuses what would make a pod depend on a container that is
// not restarted and not counted in its resources.
func onlyDebugFields(container *corev1.Container, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	forbid := func(set bool, at *field.Path) {
		if set {
			errs = append(errs, field.Forbidden(at, notEphemeral))
		}
	}
	forbid(len(container.Ports) > 0, at.Child("ports"))
	forbid(!reflect.DeepEqual(container.Resources, corev1.ResourceRequirements{}), at.Child("resources"))
	forbid(len(container.ResizePolicy) > 0, at.Child("resizePolicy"))
	forbid(container.RestartPolicy != nil, at.Child("restartPolicy"))
	forbid(len(container.RestartPolicyRules) > 0, at.Child("restartPolicyRules"))
	forbid(container.LivenessProbe != nil, at.Child("livenessProbe"))
	forbid(container.ReadinessProbe != nil, at.Child("readinessProbe"))
	forbid(container.StartupProbe != nil, at.Child("startupProbe"))
	forbid(container.Lifecycle != nil, at.Child("lifecycle"))
	for i, mount := range container.VolumeMounts {
		forbid(mount.SubPath != "", at.Child("volumeMounts").Index(i).Child("subPath"))
		forbid(mount.SubPathExpr != "", at.Child("volumeMounts").Index(i).Child("subPathExpr"))
	}
	return errs
}

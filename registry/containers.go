// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// eachContainer visits the containers of all three kinds, init containers
// first, with their paths.
func eachContainer(spec *corev1.PodSpec, path *field.Path, visit func(container *corev1.Container, path *field.Path)) {
	for i := range spec.InitContainers {
		visit(&spec.InitContainers[i], path.Child("initContainers").Index(i))
	}
	for i := range spec.Containers {
		visit(&spec.Containers[i], path.Child("containers").Index(i))
	}
	for i := range spec.EphemeralContainers {
		visit(commonOf(&spec.EphemeralContainers[i]), path.Child("ephemeralContainers").Index(i))
	}
}

// commonOf is the part of an ephemeral container that it shares with others.
func commonOf(container *corev1.EphemeralContainer) *corev1.Container {
	return (*corev1.Container)(&container.EphemeralContainerCommon)
}

// isSidecar tells whether an init container keeps running beside the others.
func isSidecar(container *corev1.Container) bool {
	return container.RestartPolicy != nil && *container.RestartPolicy == corev1.ContainerRestartPolicyAlways
}

func probesOf(container *corev1.Container) []*corev1.Probe {
	var probes []*corev1.Probe
	for _, probe := range []*corev1.Probe{container.LivenessProbe, container.ReadinessProbe, container.StartupProbe} {
		if probe != nil {
			probes = append(probes, probe)
		}
	}
	return probes
}

func hooksOf(container *corev1.Container) []*corev1.LifecycleHandler {
	if container.Lifecycle == nil {
		return nil
	}
	var hooks []*corev1.LifecycleHandler
	for _, hook := range []*corev1.LifecycleHandler{container.Lifecycle.PostStart, container.Lifecycle.PreStop} {
		if hook != nil {
			hooks = append(hooks, hook)
		}
	}
	return hooks
}

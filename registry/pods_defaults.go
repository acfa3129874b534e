// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	corev1 "k8s.io/api/core/v1"
)

// defaultPod fills what a client left out of a pod (Kubernetes:
// pkg/apis/core/v1, SetDefaults_Pod). Some of it is for pods alone and not for
// the templates of pods.
func defaultPod(pod *corev1.Pod) {
	spec := &pod.Spec
	if spec.TerminationGracePeriodSeconds != nil && *spec.TerminationGracePeriodSeconds < 0 {
		*spec.TerminationGracePeriodSeconds = 1
	}
	setIfNil(&spec.EnableServiceLinks, corev1.DefaultEnableServiceLinks)
	for _, containers := range [][]corev1.Container{spec.Containers, spec.InitContainers} {
		for i := range containers {
			requestLimits(&containers[i].Resources)
			if spec.HostNetwork {
				useHostPorts(containers[i].Ports)
			}
		}
	}
	defaultPodSpec(spec)
	defaultPodStatus(&pod.Status)
}

// useHostPorts opens on the host what a container on the host's network opens.
func useHostPorts(ports []corev1.ContainerPort) {
	for i := range ports {
		setIfEmpty(&ports[i].HostPort, ports[i].ContainerPort)
	}
}

// defaultPodSpec fills what a client left out of the spec of a pod or of a
// template.
func defaultPodSpec(spec *corev1.PodSpec) {
	// The deprecated name follows the other one, and is read when that is empty.
	setIfEmpty(&spec.ServiceAccountName, spec.DeprecatedServiceAccount)
	spec.DeprecatedServiceAccount = spec.ServiceAccountName
	setIfEmpty(&spec.DNSPolicy, corev1.DNSClusterFirst)
	setIfEmpty(&spec.RestartPolicy, corev1.RestartPolicyAlways)
	setIfEmpty(&spec.SchedulerName, corev1.DefaultSchedulerName)
	setIfNil(&spec.SecurityContext, corev1.PodSecurityContext{})
	setIfNil(&spec.TerminationGracePeriodSeconds, corev1.DefaultTerminationGracePeriodSeconds)
	for i := range spec.Volumes {
		defaultVolume(&spec.Volumes[i])
	}
	for i := range spec.InitContainers {
		defaultContainer(&spec.InitContainers[i])
	}
	for i := range spec.Containers {
		defaultContainer(&spec.Containers[i])
	}
	for i := range spec.EphemeralContainers {
		defaultContainer(commonOf(&spec.EphemeralContainers[i]))
	}
	roundUp(spec.Overhead)
	roundUpRequirements(spec.Resources)
}

func roundUpRequirements(resources *corev1.ResourceRequirements) {
	if resources != nil {
		roundUp(resources.Limits)
		roundUp(resources.Requests)
	}
}

// defaultPodStatus keeps the address and the list of addresses in step. The
// single one wins: old clients know no other.
func defaultPodStatus(status *corev1.PodStatus) {
	if status.PodIP == "" && len(status.PodIPs) > 0 {
		status.PodIP = status.PodIPs[0].IP
	}
	if status.PodIP != "" && (len(status.PodIPs) == 0 || status.PodIPs[0].IP != status.PodIP) {
		status.PodIPs = []corev1.PodIP{{IP: status.PodIP}}
	}
	for _, statuses := range [][]corev1.ContainerStatus{status.InitContainerStatuses, status.ContainerStatuses, status.EphemeralContainerStatuses} {
		for _, container := range statuses {
			roundUp(container.AllocatedResources)
			roundUpRequirements(container.Resources)
		}
	}
	roundUp(status.AllocatedResources)
	roundUpRequirements(status.Resources)
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
)

// Services have fields that belong together. These functions guess what a client
// means that writes only some of them, as Kubernetes does
// (pkg/registry/core/service: storage.go and strategy.go).

// mirrorClusterIP fills the plural from the singular. The other way round is the
// client's mistake, which validation tells of.
func mirrorClusterIP(service *corev1.Service) {
	spec := &service.Spec
	if spec.ClusterIP != "" && len(spec.ClusterIPs) == 0 {
		spec.ClusterIPs = []string{spec.ClusterIP}
	}
}

// mirrorChangedClusterIP lets the plural follow a singular that was changed or
// cleared alone.
func mirrorChangedClusterIP(service, old *corev1.Service) {
	spec, was := &service.Spec, &old.Spec
	if spec.ClusterIP == was.ClusterIP {
		if len(spec.ClusterIPs) == 0 {
			spec.ClusterIPs = was.ClusterIPs
		}
		return
	}
	if !slices.Equal(spec.ClusterIPs, was.ClusterIPs) {
		return
	}
	if spec.ClusterIP == "" {
		spec.ClusterIPs = nil
	} else {
		spec.ClusterIPs = []string{spec.ClusterIP}
	}
}

// keepGiven fills in what the service was given before and the client left out,
// so that the manifest which created a service can be put again.
func keepGiven(service, old *corev1.Service) {
	spec, was := &service.Spec, &old.Spec
	if needsClusterIP(old) && needsClusterIP(service) {
		if spec.ClusterIP == "" {
			spec.ClusterIP = was.ClusterIP
		}
		if len(spec.ClusterIPs) == 0 {
			spec.ClusterIPs = was.ClusterIPs
		}
	}
	if allocatesNodePorts(old) && allocatesNodePorts(service) {
		keepNodePorts(spec, was)
	}
	if needsHealthCheck(old) && needsHealthCheck(service) && spec.HealthCheckNodePort == 0 {
		spec.HealthCheckNodePort = was.HealthCheckNodePort
	}
}

// keepNodePorts finds the ports again by their names, unless their node port is
// now another's.
func keepNodePorts(spec, was *corev1.ServiceSpec) {
	named, claimed := map[string]int32{}, map[int32]bool{}
	for _, port := range was.Ports {
		named[port.Name] = port.NodePort
	}
	for _, port := range spec.Ports {
		claimed[port.NodePort] = true
	}
	for i := range spec.Ports {
		port := &spec.Ports[i]
		if before := named[port.Name]; port.NodePort == 0 && !claimed[before] {
			port.NodePort = before
		}
	}
}

// dropForeignFields drops what the new type of a service has no use for, if the
// client left it as it was. What the client changed as well is left for
// validation to refuse.
func dropForeignFields(service, old *corev1.Service) {
	spec, was := &service.Spec, &old.Spec
	if needsClusterIP(old) && !needsClusterIP(service) {
		dropAddresses(spec, was)
	}
	if needsNodePort(old) && !needsNodePort(service) && !hasNewNodePorts(spec, was) {
		for i := range spec.Ports {
			spec.Ports[i].NodePort = 0
		}
	}
	if needsHealthCheck(old) && !needsHealthCheck(service) && spec.HealthCheckNodePort == was.HealthCheckNodePort {
		spec.HealthCheckNodePort = 0
	}
	if was.Type == corev1.ServiceTypeLoadBalancer && spec.Type != corev1.ServiceTypeLoadBalancer {
		if ptr.Equal(spec.AllocateLoadBalancerNodePorts, was.AllocateLoadBalancerNodePorts) {
			spec.AllocateLoadBalancerNodePorts = nil
		}
		if ptr.Equal(spec.LoadBalancerClass, was.LoadBalancerClass) {
			spec.LoadBalancerClass = nil
		}
	}
	if reachableFromOutside(old) && !reachableFromOutside(service) && spec.ExternalTrafficPolicy == was.ExternalTrafficPolicy {
		spec.ExternalTrafficPolicy = ""
	}
	if spec.Type != corev1.ServiceTypeLoadBalancer {
		service.Status.LoadBalancer = corev1.LoadBalancerStatus{}
	}
}

func dropAddresses(spec, was *corev1.ServiceSpec) {
	if spec.ClusterIP == was.ClusterIP && slices.Equal(spec.ClusterIPs, was.ClusterIPs) {
		spec.ClusterIP, spec.ClusterIPs = "", nil
	}
	if slices.Equal(spec.IPFamilies, was.IPFamilies) {
		spec.IPFamilies = nil
	}
	if ptr.Equal(spec.IPFamilyPolicy, was.IPFamilyPolicy) {
		spec.IPFamilyPolicy = nil
	}
}

func hasNewNodePorts(spec, was *corev1.ServiceSpec) bool {
	return slices.ContainsFunc(spec.Ports, func(port corev1.ServicePort) bool {
		return port.NodePort != 0 && !slices.ContainsFunc(was.Ports, func(before corev1.ServicePort) bool {
			return before.NodePort == port.NodePort
		})
	})
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"
)

func serviceColumns() []metav1.TableColumnDefinition {
	doc := corev1.ServiceSpec{}.SwaggerDoc()
	return []metav1.TableColumnDefinition{
		nameColumn(),
		column("Type", "string", doc["type"]),
		column("Cluster-IP", "string", doc["clusterIP"]),
		column("External-IP", "string", doc["externalIPs"]),
		column("Port(s)", "string", doc["ports"]),
		ageColumn(),
		wide("Selector", "string", doc["selector"]),
	}
}

func serviceRow(service *corev1.Service) []any {
	clusterIP := "<none>"
	if len(service.Spec.ClusterIPs) > 0 {
		clusterIP = service.Spec.ClusterIPs[0]
	}
	return []any{
		service.Name, string(service.Spec.Type), clusterIP, externalIPCell(service), portsCell(service.Spec.Ports),
		age(service), labels.FormatLabels(service.Spec.Selector),
	}
}

func externalIPCell(service *corev1.Service) string {
	switch service.Spec.Type {
	case corev1.ServiceTypeExternalName:
		return service.Spec.ExternalName
	case corev1.ServiceTypeLoadBalancer:
		return joinOr("<pending>", append(ingressAddresses(service), service.Spec.ExternalIPs...))
	case corev1.ServiceTypeClusterIP, corev1.ServiceTypeNodePort:
		return joinOr("<none>", service.Spec.ExternalIPs)
	}
	return "<unknown>"
}

// ingressAddresses are a load balancer's addresses in order, each once.
func ingressAddresses(service *corev1.Service) []string {
	var addresses []string
	for _, point := range service.Status.LoadBalancer.Ingress {
		if address := cmp.Or(point.IP, point.Hostname); address != "" {
			addresses = append(addresses, address)
		}
	}
	slices.Sort(addresses)
	return slices.Compact(addresses)
}

func portsCell(ports []corev1.ServicePort) string {
	var cells []string
	for _, port := range ports {
		if port.NodePort > 0 {
			cells = append(cells, fmt.Sprintf("%d:%d/%s", port.Port, port.NodePort, port.Protocol))
		} else {
			cells = append(cells, fmt.Sprintf("%d/%s", port.Port, port.Protocol))
		}
	}
	return joinOr("<none>", cells)
}

func joinOr(none string, parts []string) string {
	if len(parts) == 0 {
		return none
	}
	return strings.Join(parts, ",")
}

// serviceWarnings tells of fields that are ignored, deprecated or ambiguous
// (Kubernetes: pkg/api/service/warnings.go).
func serviceWarnings(_ context.Context, service, _ *corev1.Service) []string {
	var warnings []string
	warn := func(when bool, msg string) {
		if when {
			warnings = append(warnings, msg)
		}
	}
	spec, path := &service.Spec, field.NewPath("spec")
	headless := spec.Type == corev1.ServiceTypeClusterIP && spec.ClusterIP == corev1.ClusterIPNone
	named := spec.Type == corev1.ServiceTypeExternalName
	_, hinted := service.Annotations[corev1.DeprecatedAnnotationTopologyAwareHints]
	warn(hinted, fmt.Sprintf("annotation %s is deprecated, please use %s instead", corev1.DeprecatedAnnotationTopologyAwareHints, corev1.AnnotationTopologyMode))
	warn(headless && spec.LoadBalancerIP != "", "spec.loadBalancerIP is ignored for headless services")
	warn(headless && len(spec.ExternalIPs) > 0, "spec.externalIPs is ignored for headless services")
	warn(headless && spec.SessionAffinity != corev1.ServiceAffinityNone, "spec.SessionAffinity is ignored for headless services")
	if !headless && !named {
		warnings = append(warnings, addressWarnings(path.Child("clusterIPs"), spec.ClusterIPs)...)
	}
	warnings = append(warnings, addressWarnings(path.Child("externalIPs"), spec.ExternalIPs)...)
	warn(len(spec.ExternalIPs) > 0 && !headless && !named, "spec.externalIPs is deprecated and may no longer be implemented in some clusters")
	if spec.LoadBalancerIP != "" {
		warnings = append(warnings, utilvalidation.GetWarningsForIP(path.Child("loadBalancerIP"), spec.LoadBalancerIP)...)
	}
	for i, cidr := range spec.LoadBalancerSourceRanges {
		warnings = append(warnings, utilvalidation.GetWarningsForCIDR(path.Child("loadBalancerSourceRanges").Index(i), cidr)...)
	}
	warn(named && len(spec.ExternalIPs) > 0, `spec.externalIPs is ignored when spec.type is "ExternalName"`)
	warn(!named && spec.ExternalName != "", `spec.externalName is ignored when spec.type is not "ExternalName"`)
	warn(ptr.Deref(spec.TrafficDistribution, "") == corev1.ServiceTrafficDistributionPreferClose,
		`spec.trafficDistribution: "PreferClose" is deprecated; use "PreferSameZone"`)
	return warnings
}

func addressWarnings(path *field.Path, addresses []string) []string {
	var warnings []string
	for i, address := range addresses {
		warnings = append(warnings, utilvalidation.GetWarningsForIP(path.Index(i), address)...)
	}
	return warnings
}

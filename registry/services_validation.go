// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/sets"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// maxAffinitySeconds bounds the affinity to a client: one day.
const maxAffinitySeconds = 86400

const onlyForLoadBalancers = "may only be used when `type` is 'LoadBalancer'"

func validateNewService(service *corev1.Service) field.ErrorList {
	return validateService(service, &corev1.Service{})
}

// validateService checks a whole service; addresses that old has are not
// checked again (Kubernetes: pkg/apis/core/validation, validateService).
func validateService(service, old *corev1.Service) field.ErrorList {
	path := field.NewPath("spec")
	errs := validateTopologyAnnotations(service)
	errs = append(errs, validateServiceType(service, path)...)
	errs = append(errs, validateServicePorts(service, path.Child("ports"))...)
	errs = append(errs, metav1validation.ValidateLabels(service.Spec.Selector, path.Child("selector"))...)
	errs = append(errs, validateAffinity(&service.Spec, path)...)
	errs = append(errs, validateClusterIPs(service, old)...)
	errs = append(errs, validateExternalIPs(service, old, path.Child("externalIPs"))...)
	errs = append(errs, validateLoadBalancer(service, old, path)...)
	return append(errs, validateTrafficPolicies(service, path)...)
}

func validateTopologyAnnotations(service *corev1.Service) field.ErrorList {
	hints, hinted := service.Annotations[corev1.DeprecatedAnnotationTopologyAwareHints]
	mode, set := service.Annotations[corev1.AnnotationTopologyMode]
	if !hinted || !set || mode == hints {
		return nil
	}
	msg := fmt.Sprintf("must match annotations[%s] when both are specified", corev1.DeprecatedAnnotationTopologyAwareHints)
	return field.ErrorList{field.Invalid(field.NewPath("metadata", "annotations").Key(corev1.AnnotationTopologyMode), mode, msg)}
}

func validateServiceType(service *corev1.Service, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	spec := &service.Spec
	if len(spec.Ports) == 0 && !isHeadless(service) && needsClusterIP(service) {
		errs = append(errs, field.Required(path.Child("ports"), ""))
	}
	if needsNodePort(service) && isHeadless(service) {
		msg := fmt.Sprintf("may not be set to 'None' for %s services", spec.Type)
		errs = append(errs, field.Invalid(path.Child("clusterIPs").Index(0), spec.ClusterIPs[0], msg))
	}
	if spec.Type == corev1.ServiceTypeExternalName {
		errs = append(errs, validateExternalName(spec, path)...)
	}
	if spec.Type == "" {
		return append(errs, field.Required(path.Child("type"), ""))
	}
	if !knownServiceType(spec.Type) {
		errs = append(errs, field.NotSupported(path.Child("type"), spec.Type, []corev1.ServiceType{
			corev1.ServiceTypeClusterIP, corev1.ServiceTypeExternalName, corev1.ServiceTypeLoadBalancer, corev1.ServiceTypeNodePort,
		}))
	}
	return errs
}

func validateExternalName(spec *corev1.ServiceSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for name, set := range map[string]bool{
		"clusterIPs":     len(spec.ClusterIPs) > 0,
		"ipFamilies":     len(spec.IPFamilies) > 0,
		"ipFamilyPolicy": spec.IPFamilyPolicy != nil,
	} {
		if set {
			errs = append(errs, field.Forbidden(path.Child(name), "may not be set for ExternalName services"))
		}
	}
	slices.SortFunc(errs, func(a, b *field.Error) int { return strings.Compare(a.Field, b.Field) })
	path = path.Child("externalName")
	name := strings.TrimSuffix(spec.ExternalName, ".")
	if name == "" {
		return append(errs, field.Required(path, ""))
	}
	for _, msg := range utilvalidation.IsDNS1123Subdomain(name) {
		errs = append(errs, field.Invalid(path, name, msg))
	}
	return errs
}

// portKey is what may be there once in a service.
type portKey struct {
	protocol corev1.Protocol
	number   int32
}

func validateServicePorts(service *corev1.Service, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	names, nodePorts, ports := sets.Set[string]{}, sets.Set[portKey]{}, sets.Set[portKey]{}
	for i := range service.Spec.Ports {
		port, path := &service.Spec.Ports[i], path.Index(i)
		errs = append(errs, validateServicePort(port, path)...)
		if port.Name == "" && len(service.Spec.Ports) > 1 {
			errs = append(errs, field.Required(path.Child("name"), ""))
		}
		if port.Name != "" && names.Has(port.Name) {
			errs = append(errs, field.Duplicate(path.Child("name"), port.Name))
		}
		names.Insert(port.Name)
		if port.NodePort != 0 && service.Spec.Type == corev1.ServiceTypeClusterIP {
			errs = append(errs, field.Forbidden(path.Child("nodePort"), "may not be used when `type` is 'ClusterIP'"))
		}
		nodePort := portKey{port.Protocol, port.NodePort}
		if port.NodePort != 0 && nodePorts.Has(nodePort) {
			errs = append(errs, field.Duplicate(path.Child("nodePort"), port.NodePort))
		}
		nodePorts.Insert(nodePort)
		number := portKey{port.Protocol, port.Port}
		if ports.Has(number) {
			errs = append(errs, field.Duplicate(path, corev1.ServicePort{Protocol: port.Protocol, Port: port.Port}))
		}
		ports.Insert(number)
	}
	return errs
}

func validateServicePort(port *corev1.ServicePort, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	invalid := func(path *field.Path, value any, msgs []string) {
		for _, msg := range msgs {
			errs = append(errs, field.Invalid(path, value, msg))
		}
	}
	if port.Name != "" {
		invalid(path.Child("name"), port.Name, utilvalidation.IsDNS1123Label(port.Name))
	}
	invalid(path.Child("port"), port.Port, utilvalidation.IsValidPortNum(int(port.Port)))
	protocols := []corev1.Protocol{corev1.ProtocolSCTP, corev1.ProtocolTCP, corev1.ProtocolUDP}
	if port.Protocol == "" {
		errs = append(errs, field.Required(path.Child("protocol"), ""))
	} else if !slices.Contains(protocols, port.Protocol) {
		errs = append(errs, field.NotSupported(path.Child("protocol"), port.Protocol, protocols))
	}
	if port.TargetPort.Type == intstr.String {
		invalid(path.Child("targetPort"), port.TargetPort.StrVal, utilvalidation.IsValidPortName(port.TargetPort.StrVal))
	} else {
		invalid(path.Child("targetPort"), port.TargetPort.IntValue(), utilvalidation.IsValidPortNum(port.TargetPort.IntValue()))
	}
	if port.AppProtocol != nil {
		invalid(path.Child("appProtocol"), *port.AppProtocol, utilvalidation.IsQualifiedName(*port.AppProtocol))
	}
	return errs
}

func validateAffinity(spec *corev1.ServiceSpec, path *field.Path) field.ErrorList {
	config := path.Child("sessionAffinityConfig")
	switch spec.SessionAffinity {
	case "":
		return field.ErrorList{field.Required(path.Child("sessionAffinity"), "")}
	case corev1.ServiceAffinityNone:
		if spec.SessionAffinityConfig != nil {
			return field.ErrorList{field.Forbidden(config, "must not be set when session affinity is None")}
		}
	case corev1.ServiceAffinityClientIP:
		return validateClientAffinity(spec.SessionAffinityConfig, config)
	default:
		return field.ErrorList{field.NotSupported(path.Child("sessionAffinity"), spec.SessionAffinity,
			[]corev1.ServiceAffinity{corev1.ServiceAffinityClientIP, corev1.ServiceAffinityNone})}
	}
	return nil
}

func validateClientAffinity(config *corev1.SessionAffinityConfig, path *field.Path) field.ErrorList {
	const why = "when session affinity type is ClientIP"
	if config == nil {
		return field.ErrorList{field.Required(path, why)}
	}
	if config.ClientIP == nil {
		return field.ErrorList{field.Required(path.Child("clientIP"), why)}
	}
	timeout, path := config.ClientIP.TimeoutSeconds, path.Child("clientIP", "timeoutSeconds")
	if timeout == nil {
		return field.ErrorList{field.Required(path, why)}
	}
	if *timeout <= 0 || *timeout > maxAffinitySeconds {
		return field.ErrorList{field.Invalid(path, timeout, fmt.Sprintf("must be greater than 0 and less than %d", maxAffinitySeconds))}
	}
	return nil
}

func validateTrafficPolicies(service *corev1.Service, path *field.Path) field.ErrorList {
	errs := validateExternalTraffic(service, path)
	spec := &service.Spec
	internal := []corev1.ServiceInternalTrafficPolicy{corev1.ServiceInternalTrafficPolicyCluster, corev1.ServiceInternalTrafficPolicyLocal}
	if policy := spec.InternalTrafficPolicy; policy == nil {
		if knownServiceType(spec.Type) && needsClusterIP(service) {
			errs = append(errs, field.Required(path.Child("internalTrafficPolicy"), ""))
		}
	} else if !slices.Contains(internal, *policy) {
		errs = append(errs, field.NotSupported(path.Child("internalTrafficPolicy"), *policy, internal))
	}
	distributions := []string{
		corev1.ServiceTrafficDistributionPreferClose,
		corev1.ServiceTrafficDistributionPreferSameZone,
		corev1.ServiceTrafficDistributionPreferSameNode,
	}
	if wish := spec.TrafficDistribution; wish != nil && !slices.Contains(distributions, *wish) {
		errs = append(errs, field.NotSupported(path.Child("trafficDistribution"), *wish, distributions))
	}
	return errs
}

func validateExternalTraffic(service *corev1.Service, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	policy, at := service.Spec.ExternalTrafficPolicy, path.Child("externalTrafficPolicy")
	known := []corev1.ServiceExternalTrafficPolicy{corev1.ServiceExternalTrafficPolicyCluster, corev1.ServiceExternalTrafficPolicyLocal}
	switch {
	case !reachableFromOutside(service):
		if policy != "" {
			errs = append(errs, field.Invalid(at, policy, "may only be set for externally-accessible services"))
		}
	case policy == "":
		errs = append(errs, field.Required(at, ""))
	case !slices.Contains(known, policy):
		errs = append(errs, field.NotSupported(at, policy, known))
	}
	port, at := service.Spec.HealthCheckNodePort, path.Child("healthCheckNodePort")
	switch {
	case !needsHealthCheck(service):
		if port != 0 {
			errs = append(errs, field.Invalid(at, port, "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"))
		}
	case port == 0:
		errs = append(errs, field.Required(at, ""))
	default:
		for _, msg := range utilvalidation.IsValidPortNum(int(port)) {
			errs = append(errs, field.Invalid(at, port, msg))
		}
	}
	return errs
}

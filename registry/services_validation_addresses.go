// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"
)

// strictAddresses refuses addresses that readers could take for different ones,
// such as 010.0.0.1 (Kubernetes: StrictIPCIDRValidation, on since 1.36).
const strictAddresses = true

// validateClusterIPs checks the addresses and families against each other. old
// may be nil.
func validateClusterIPs(service, old *corev1.Service) field.ErrorList {
	if !needsClusterIP(service) {
		return nil
	}
	path := field.NewPath("spec", "clusterIPs")
	errs := validateClusterIPMirror(&service.Spec, path)
	errs = append(errs, validateFamilies(&service.Spec)...)
	invalid := validateClusterIPValues(service, old, path)
	errs = append(errs, invalid...)
	if len(service.Spec.ClusterIPs) > 2 {
		errs = append(errs, field.Invalid(path, service.Spec.ClusterIPs, "may only hold up to 2 values"))
	}
	if len(invalid) > 0 || isHeadless(service) {
		return errs
	}
	return append(errs, validateClusterIPFamilies(&service.Spec, path)...)
}

func validateClusterIPMirror(spec *corev1.ServiceSpec, path *field.Path) field.ErrorList {
	switch {
	case spec.ClusterIP == "" && len(spec.ClusterIPs) != 0:
		return field.ErrorList{field.Invalid(path, spec.ClusterIPs, "must be empty when `clusterIP` is not specified")}
	case spec.ClusterIP != "" && len(spec.ClusterIPs) == 0:
		return field.ErrorList{field.Required(path, "")}
	case spec.ClusterIP != "" && spec.ClusterIPs[0] != spec.ClusterIP:
		return field.ErrorList{field.Invalid(path, spec.ClusterIPs, "first value must match `clusterIP`")}
	}
	return nil
}

func validateFamilies(spec *corev1.ServiceSpec) field.ErrorList {
	var errs field.ErrorList
	families := []corev1.IPFamily{corev1.IPv4Protocol, corev1.IPv6Protocol}
	for i, family := range spec.IPFamilies {
		path := field.NewPath("spec", "ipFamilies").Index(i)
		if !slices.Contains(families, family) {
			errs = append(errs, field.NotSupported(path, family, families))
		}
		if slices.Contains(spec.IPFamilies[:i], family) {
			errs = append(errs, field.Duplicate(path, family))
		}
	}
	policies := []corev1.IPFamilyPolicy{corev1.IPFamilyPolicyPreferDualStack, corev1.IPFamilyPolicyRequireDualStack, corev1.IPFamilyPolicySingleStack}
	if policy := spec.IPFamilyPolicy; policy != nil && !slices.Contains(policies, *policy) {
		errs = append(errs, field.NotSupported(field.NewPath("spec", "ipFamilyPolicy"), *policy, policies))
	}
	return errs
}

func validateClusterIPValues(service, old *corev1.Service, path *field.Path) field.ErrorList {
	var before []string
	if old != nil {
		before = old.Spec.ClusterIPs
	}
	var errs field.ErrorList
	for i, address := range service.Spec.ClusterIPs {
		if i == 0 && address == corev1.ClusterIPNone {
			if len(service.Spec.ClusterIPs) > 1 {
				errs = append(errs, field.Invalid(path, service.Spec.ClusterIPs, "'None' must be the first and only value"))
			}
			continue
		}
		errs = append(errs, utilvalidation.IsValidIPForLegacyField(path.Index(i), address, strictAddresses, before)...)
	}
	return errs
}

// validateClusterIPFamilies takes at most one address of each family, and those
// in the order of the families.
func validateClusterIPFamilies(spec *corev1.ServiceSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	var seen []corev1.IPFamily
	for i, address := range spec.ClusterIPs {
		ip, err := netip.ParseAddr(address)
		if err != nil {
			continue
		}
		family := familyOf(ip)
		if slices.Contains(seen, family) {
			errs = append(errs, field.Invalid(path, spec.ClusterIPs, "may specify no more than one IP for each IP family"))
		}
		seen = append(seen, family)
		if i < len(spec.IPFamilies) && spec.IPFamilies[i] == otherFamily(family) {
			msg := fmt.Sprintf("expected an %s value as indicated by `ipFamilies[%d]`", spec.IPFamilies[i], i)
			errs = append(errs, field.Invalid(path.Index(i), address, msg))
		}
	}
	return errs
}

func validateExternalIPs(service, old *corev1.Service, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, address := range service.Spec.ExternalIPs {
		found := utilvalidation.IsValidIPForLegacyField(path.Index(i), address, strictAddresses, old.Spec.ExternalIPs)
		if len(found) == 0 {
			found = refuseSpecialIP(path.Index(i), address)
		}
		errs = append(errs, found...)
	}
	return errs
}

// refuseSpecialIP refuses what cannot be somebody's address elsewhere.
func refuseSpecialIP(path *field.Path, address string) field.ErrorList {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return nil
	}
	for _, special := range []struct {
		is  bool
		msg string
	}{
		{ip.IsUnspecified(), fmt.Sprintf("may not be unspecified (%v)", address)},
		{ip.IsLoopback(), "may not be in the loopback range (127.0.0.0/8, ::1/128)"},
		{ip.IsLinkLocalUnicast(), "may not be in the link-local range (169.254.0.0/16, fe80::/10)"},
		{ip.IsLinkLocalMulticast(), "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"},
	} {
		if special.is {
			return field.ErrorList{field.Invalid(path, address, special.msg)}
		}
	}
	return nil
}

func validateLoadBalancer(service, old *corev1.Service, path *field.Path) field.ErrorList {
	spec := &service.Spec
	balanced := spec.Type == corev1.ServiceTypeLoadBalancer
	errs := validateSourceRanges(service, old, path)
	switch {
	case balanced && spec.AllocateLoadBalancerNodePorts == nil:
		errs = append(errs, field.Required(field.NewPath("allocateLoadBalancerNodePorts"), ""))
	case !balanced && spec.AllocateLoadBalancerNodePorts != nil:
		errs = append(errs, field.Forbidden(path.Child("allocateLoadBalancerNodePorts"), onlyForLoadBalancers))
	}
	if spec.LoadBalancerClass == nil {
		return errs
	}
	if !balanced {
		return append(errs, field.Forbidden(path.Child("loadBalancerClass"), onlyForLoadBalancers))
	}
	for _, msg := range utilvalidation.IsQualifiedName(*spec.LoadBalancerClass) {
		errs = append(errs, field.Invalid(path.Child("loadBalancerClass"), *spec.LoadBalancerClass, msg))
	}
	return errs
}

// validateSourceRanges checks the ranges of clients that a load balancer lets
// in, from the field or from the annotation that was before it. Spaces around
// them are allowed, as they always were.
func validateSourceRanges(service, old *corev1.Service, path *field.Path) field.ErrorList {
	const annotation = corev1.AnnotationLoadBalancerSourceRangesKey
	ranges, before := service.Spec.LoadBalancerSourceRanges, trimAll(old.Spec.LoadBalancerSourceRanges)
	at := func(i int) *field.Path { return path.Child("LoadBalancerSourceRanges").Index(i) }
	where := path.Child("LoadBalancerSourceRanges")
	if len(ranges) == 0 {
		value, set := service.Annotations[annotation]
		if !set {
			return nil
		}
		where = field.NewPath("metadata", "annotations").Key(annotation)
		at = func(int) *field.Path { return where }
		before = trimAll(strings.Split(old.Annotations[annotation], ","))
		if strings.TrimSpace(value) != "" {
			ranges = strings.Split(value, ",")
		}
	}
	var errs field.ErrorList
	if service.Spec.Type != corev1.ServiceTypeLoadBalancer {
		errs = append(errs, field.Forbidden(where, onlyForLoadBalancers))
	}
	for i, cidr := range trimAll(ranges) {
		errs = append(errs, utilvalidation.IsValidCIDRForLegacyField(at(i), cidr, strictAddresses, before)...)
	}
	return errs
}

func trimAll(values []string) []string {
	trimmed := make([]string, len(values))
	for i, value := range values {
		trimmed[i] = strings.TrimSpace(value)
	}
	return trimmed
}

// validateServiceStatus checks what a load balancer's controller reports.
func validateServiceStatus(service, old *corev1.Service) field.ErrorList {
	path := field.NewPath("status", "loadBalancer", "ingress")
	ingress := service.Status.LoadBalancer.Ingress
	if service.Spec.Type != corev1.ServiceTypeLoadBalancer && len(ingress) > 0 {
		return field.ErrorList{field.Forbidden(path, "may only be used when `spec.type` is 'LoadBalancer'")}
	}
	var before []string
	for _, point := range old.Status.LoadBalancer.Ingress {
		before = append(before, point.IP)
	}
	var errs field.ErrorList
	for i := range ingress {
		errs = append(errs, validateIngress(&ingress[i], before, path.Index(i))...)
	}
	return errs
}

func validateIngress(point *corev1.LoadBalancerIngress, before []string, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if point.IP != "" {
		errs = append(errs, utilvalidation.IsValidIPForLegacyField(path.Child("ip"), point.IP, strictAddresses, before)...)
	}
	modes := []corev1.LoadBalancerIPMode{corev1.LoadBalancerIPModeProxy, corev1.LoadBalancerIPModeVIP}
	switch mode := path.Child("ipMode"); {
	case point.IPMode == nil && point.IP != "":
		errs = append(errs, field.Required(mode, "must be specified when `ip` is set"))
	case point.IPMode != nil && point.IP == "":
		errs = append(errs, field.Forbidden(mode, "may not be specified when `ip` is not set"))
	case point.IPMode != nil && !slices.Contains(modes, *point.IPMode):
		errs = append(errs, field.NotSupported(mode, *point.IPMode, modes))
	}
	if point.Hostname == "" {
		return errs
	}
	for _, msg := range utilvalidation.IsDNS1123Subdomain(point.Hostname) {
		errs = append(errs, field.Invalid(path.Child("hostname"), point.Hostname, msg))
	}
	if _, err := netip.ParseAddr(point.Hostname); err == nil {
		errs = append(errs, field.Invalid(path.Child("hostname"), point.Hostname, "must be a DNS name, not an IP address"))
	}
	return errs
}

// validateServiceUpdate checks a changed service and what may not change.
func validateServiceUpdate(service, old *corev1.Service) field.ErrorList {
	var errs field.ErrorList
	path := field.NewPath("spec")
	if needsClusterIP(service) && needsClusterIP(old) {
		errs = append(errs, validateFixedAddresses(service, old, path)...)
		errs = append(errs, validateFixedFamilies(service, old, path)...)
	}
	balanced := service.Spec.Type == corev1.ServiceTypeLoadBalancer && old.Spec.Type == corev1.ServiceTypeLoadBalancer
	if balanced && !ptr.Equal(service.Spec.LoadBalancerClass, old.Spec.LoadBalancerClass) {
		errs = append(errs, field.Invalid(path.Child("loadBalancerClass"), service.Spec.LoadBalancerClass, "may not change once set"))
	}
	if needsHealthCheck(service) && needsHealthCheck(old) && service.Spec.HealthCheckNodePort != old.Spec.HealthCheckNodePort {
		errs = append(errs, field.Forbidden(path.Child("healthCheckNodePort"), "field is immutable"))
	}
	return append(errs, validateService(service, old)...)
}

// validateFixedAddresses lets a service get or give up a second address, and
// change no other.
func validateFixedAddresses(service, old *corev1.Service, path *field.Path) field.ErrorList {
	now, was, at := service.Spec.ClusterIPs, old.Spec.ClusterIPs, path.Child("clusterIPs")
	if isHeadless(service) && isHeadless(old) {
		return nil
	}
	var errs field.ErrorList
	if len(now) == 0 && len(was) > 0 {
		errs = append(errs, field.Invalid(at.Index(0), now, "primary clusterIP can not be unset"))
	}
	for i := range min(len(now), len(was)) {
		if now[i] != was[i] {
			errs = append(errs, field.Invalid(at.Index(i), now, "may not change once set"))
		}
	}
	if len(was) > 1 && len(now) == 1 && ptr.Deref(service.Spec.IPFamilyPolicy, "") != corev1.IPFamilyPolicySingleStack {
		errs = append(errs, field.Invalid(path.Child("ipFamilyPolicy"), service.Spec.IPFamilyPolicy, "must be set to 'SingleStack' when releasing the secondary clusterIP"))
	}
	return errs
}

// validateFixedFamilies does the same for the families of services that have
// addresses.
func validateFixedFamilies(service, old *corev1.Service, path *field.Path) field.ErrorList {
	now, was, at := service.Spec.IPFamilies, old.Spec.IPFamilies, path.Child("ipFamilies").Index(0)
	if isHeadless(service) || isHeadless(old) {
		return nil
	}
	var errs field.ErrorList
	if len(now) == 0 && len(was) > 0 {
		errs = append(errs, field.Invalid(at, now, "primary ipFamily can not be unset"))
	}
	for i := range min(len(now), len(was)) {
		if now[i] != was[i] {
			errs = append(errs, field.Invalid(at, now, "may not change once set"))
		}
	}
	if len(was) > 1 && len(now) == 1 && ptr.Deref(service.Spec.IPFamilyPolicy, "") != corev1.IPFamilyPolicySingleStack {
		errs = append(errs, field.Invalid(path.Child("ipFamilyPolicy"), service.Spec.IPFamilyPolicy, "must be set to 'SingleStack' when releasing the secondary ipFamily"))
	}
	return errs
}

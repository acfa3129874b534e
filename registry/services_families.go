// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"
)

// setFamilies fills the IP families of a service and refuses those that the
// range does not have (Kubernetes: pkg/registry/core/service/storage/alloc.go,
// for a cluster of one family). old is nil for a new service.
func (s *serviceRanges) setFamilies(service, old *corev1.Service) error {
	if !needsClusterIP(service) || sameDualStack(service, old) {
		return nil
	}
	spec := &service.Spec
	if spec.IPFamilyPolicy == nil {
		spec.IPFamilyPolicy = ptr.To(defaultFamilyPolicy(service))
		if old != nil && old.Spec.IPFamilyPolicy != nil {
			spec.IPFamilyPolicy = old.Spec.IPFamilyPolicy
		}
	}
	// A service that is wrong by itself would get misleading answers below.
	if errs := validateClusterIPs(service, old); len(errs) > 0 {
		return invalidService(service, errs...)
	}
	errs := cutToPolicy(service, old)
	errs = append(errs, s.inferFamilies(service)...)
	if len(errs) > 0 {
		return invalidService(service, errs...)
	}
	if isHeadless(service) && len(spec.Selector) == 0 {
		// Its endpoints are written by hand, and may be of any family.
		spec.IPFamilies = s.headlessFamilies(service)
		return nil
	}
	if errs := s.refuseFamilies(service); len(errs) > 0 {
		return invalidService(service, errs...)
	}
	if len(spec.IPFamilies) == 0 {
		spec.IPFamilies = []corev1.IPFamily{s.ips.family()}
	}
	return nil
}

// sameDualStack tells whether an update leaves a service of policy
// PreferDualStack alone; it then keeps what it has, whatever the server offers.
func sameDualStack(service, old *corev1.Service) bool {
	prefers := func(policy *corev1.IPFamilyPolicy) bool {
		return policy != nil && *policy == corev1.IPFamilyPolicyPreferDualStack
	}
	return old != nil && old.Spec.Type == service.Spec.Type &&
		prefers(service.Spec.IPFamilyPolicy) && (old.Spec.IPFamilyPolicy == nil || prefers(old.Spec.IPFamilyPolicy)) &&
		slices.Equal(service.Spec.ClusterIPs, old.Spec.ClusterIPs) &&
		slices.Equal(service.Spec.IPFamilies, old.Spec.IPFamilies)
}

func defaultFamilyPolicy(service *corev1.Service) corev1.IPFamilyPolicy {
	if service.Spec.ClusterIP == corev1.ClusterIPNone && len(service.Spec.Selector) == 0 {
		return corev1.IPFamilyPolicyRequireDualStack
	}
	return corev1.IPFamilyPolicySingleStack
}

// headlessFamilies are those of a headless service: the one it names or that of
// the range, and the other one unless its policy is a single family.
func (s *serviceRanges) headlessFamilies(service *corev1.Service) []corev1.IPFamily {
	families := service.Spec.IPFamilies
	if len(families) == 0 {
		families = []corev1.IPFamily{s.ips.family()}
	}
	if len(families) > 1 || ptr.Deref(service.Spec.IPFamilyPolicy, "") == corev1.IPFamilyPolicySingleStack {
		return families
	}
	return []corev1.IPFamily{families[0], otherFamily(families[0])}
}

func otherFamily(family corev1.IPFamily) corev1.IPFamily {
	if family == corev1.IPv4Protocol {
		return corev1.IPv6Protocol
	}
	return corev1.IPv4Protocol
}

// cutToPolicy gives up the second family of a service that turns to a single
// one, and refuses to do so under another policy.
func cutToPolicy(service, old *corev1.Service) field.ErrorList {
	spec, path := &service.Spec, field.NewPath("spec", "ipFamilyPolicy")
	single := *spec.IPFamilyPolicy == corev1.IPFamilyPolicySingleStack
	refuse := func(msg string) *field.Error { return field.Invalid(path, spec.IPFamilyPolicy, msg) }
	var errs field.ErrorList
	if old != nil && single {
		if len(spec.ClusterIPs) > 1 && slices.Equal(spec.ClusterIPs, old.Spec.ClusterIPs) {
			spec.ClusterIPs = spec.ClusterIPs[:1]
		}
		if len(spec.IPFamilies) > 1 && slices.Equal(spec.IPFamilies, old.Spec.IPFamilies) {
			spec.IPFamilies = spec.IPFamilies[:1]
		}
	}
	if old != nil && !single {
		if len(spec.ClusterIPs) > 0 && len(spec.ClusterIPs) < len(old.Spec.ClusterIPs) {
			errs = append(errs, refuse("must be 'SingleStack' to release the secondary cluster IP"))
		}
		if len(spec.IPFamilies) > 0 && len(spec.IPFamilies) < len(old.Spec.IPFamilies) {
			errs = append(errs, refuse("must be 'SingleStack' to release the secondary IP family"))
		}
	}
	if single && len(spec.ClusterIPs) == 2 {
		errs = append(errs, refuse("must be 'RequireDualStack' or 'PreferDualStack' when multiple cluster IPs are specified"))
	}
	if single && len(spec.IPFamilies) == 2 {
		errs = append(errs, refuse("must be 'RequireDualStack' or 'PreferDualStack' when multiple IP families are specified"))
	}
	return errs
}

// inferFamilies completes the families from the addresses.
func (s *serviceRanges) inferFamilies(service *corev1.Service) field.ErrorList {
	spec, path := &service.Spec, field.NewPath("spec", "clusterIPs")
	var errs field.ErrorList
	for i, address := range spec.ClusterIPs {
		ip, err := netip.ParseAddr(address)
		if err != nil || i < len(spec.IPFamilies) {
			continue
		}
		if family := familyOf(ip); family != s.ips.family() {
			errs = append(errs, field.Invalid(path.Index(i), spec.ClusterIPs, string(family)+" is not configured on this cluster"))
		} else {
			spec.IPFamilies = append(spec.IPFamilies, family)
		}
	}
	return errs
}

// refuseFamilies refuses what the range cannot give.
func (s *serviceRanges) refuseFamilies(service *corev1.Service) field.ErrorList {
	spec, path := &service.Spec, field.NewPath("spec")
	var errs field.ErrorList
	if *spec.IPFamilyPolicy == corev1.IPFamilyPolicyRequireDualStack {
		errs = append(errs, field.Invalid(path.Child("ipFamilyPolicy"), spec.IPFamilyPolicy, "this cluster is not configured for dual-stack services"))
	}
	for i, family := range spec.IPFamilies {
		if family != s.ips.family() {
			errs = append(errs, field.Invalid(path.Child("ipFamilies").Index(i), family, "not configured on this cluster"))
		}
	}
	return errs
}

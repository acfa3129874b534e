// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/sets"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"
)

// validateResources checks names and quantities, and that nothing is requested
// beyond its limit (Kubernetes: pkg/apis/core/validation,
// validateResourceRequirements).
func validateResources(resources *corev1.ResourceRequirements, nameRule func(corev1.ResourceName) []string, at *field.Path) field.ErrorList {
	limits, requests := at.Child("limits"), at.Child("requests")
	errs := validateResourceList(resources.Limits, nameRule, limits)
	errs = append(errs, validateResourceList(resources.Requests, nameRule, requests)...)
	for _, name := range slices.Sorted(maps.Keys(resources.Requests)) {
		request := resources.Requests[name]
		limit, limited := resources.Limits[name]
		switch {
		case !limited && !isOvercommittable(name):
			errs = append(errs, field.Required(limits, "Limit must be set for non overcommitable resources"))
		case !limited:
		case request.Cmp(limit) != 0 && !isOvercommittable(name):
			errs = append(errs, field.Invalid(requests, request.String(), fmt.Sprintf("must be equal to %s limit of %s", name, limit.String())))
		case request.Cmp(limit) > 0:
			errs = append(errs, field.Invalid(requests, request.String(), fmt.Sprintf("must be less than or equal to %s limit of %s", name, limit.String())))
		}
	}
	return errs
}

func validateResourceList(list corev1.ResourceList, nameRule func(corev1.ResourceName) []string, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, name := range slices.Sorted(maps.Keys(list)) {
		at := at.Key(string(name))
		errs = append(errs, invalid(at, name, nameRule(name))...)
		errs = append(errs, validateQuantity(name, list[name], at)...)
	}
	return errs
}

// validateQuantity asks for no less than nothing, and for whole numbers of what
// cannot be divided.
func validateQuantity(name corev1.ResourceName, quantity resource.Quantity, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if quantity.Sign() < 0 {
		errs = append(errs, field.Invalid(at, quantity.String(), validation.IsNegativeErrorMsg))
	}
	whole := name == corev1.ResourcePods || !isNative(name)
	if whole && quantity.MilliValue()%1000 != 0 {
		errs = append(errs, field.Invalid(at, quantity, "must be an integer"))
	}
	return errs
}

// containerResourceName takes the resources of Kubernetes that containers can
// have, and qualified names of somebody else's.
func containerResourceName(name corev1.ResourceName) []string {
	if messages := utilvalidation.IsQualifiedName(string(name)); len(messages) > 0 {
		return messages
	}
	if !strings.Contains(string(name), "/") {
		if isHugePage(name) || name == corev1.ResourceCPU || name == corev1.ResourceMemory || name == corev1.ResourceEphemeralStorage {
			return nil
		}
		return []string{"must be a standard resource type or fully qualified", "must be a standard resource for containers"}
	}
	if !isNative(name) && (strings.HasPrefix(string(name), corev1.DefaultResourceRequestsPrefix) ||
		len(utilvalidation.IsQualifiedName(corev1.DefaultResourceRequestsPrefix+string(name))) > 0) {
		return []string{"doesn't follow extended resource name standard"}
	}
	return nil
}

func isHugePage(name corev1.ResourceName) bool {
	return strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix)
}

// isNative tells whether Kubernetes itself defines a resource.
func isNative(name corev1.ResourceName) bool {
	return !strings.Contains(string(name), "/") || strings.Contains(string(name), corev1.ResourceDefaultNamespacePrefix)
}

// isOvercommittable tells whether a limit may be above its request.
func isOvercommittable(name corev1.ResourceName) bool {
	return isNative(name) && !isHugePage(name)
}

// validateClaims checks that the devices of a container are among those that
// its pod claims.
func (p *podCheck) validateClaims(claims []corev1.ResourceClaim, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, claim := range claims {
		at := at.Index(i)
		switch {
		case claim.Name == "":
			errs = append(errs, field.Required(at, ""))
		case slices.Contains(claims[:i], claim):
			errs = append(errs, field.Duplicate(at, claim.Name))
		case !p.claims.Has(claim.Name):
			missing := field.NotFound(at, claim.Name)
			missing.Detail = "must be one of the names in pod.spec.resourceClaims"
			if p.claims.Len() == 0 {
				missing.Detail += " which is empty"
			} else {
				missing.Detail += ": " + strings.Join(sets.List(p.claims), ", ")
			}
			errs = append(errs, missing)
		}
	}
	return errs
}

// validateSecurity checks the users and privileges of a container.
func validateSecurity(security *corev1.SecurityContext, at *field.Path) field.ErrorList {
	if security == nil {
		return nil
	}
	errs := validateUserAndGroup(security.RunAsUser, security.RunAsGroup, at)
	if security.AllowPrivilegeEscalation == nil || *security.AllowPrivilegeEscalation {
		return errs
	}
	if ptr.Deref(security.Privileged, false) {
		errs = append(errs, field.Invalid(at, security, "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"))
	}
	if security.Capabilities != nil && slices.Contains(security.Capabilities.Add, "CAP_SYS_ADMIN") {
		errs = append(errs, field.Invalid(at, security, "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN"))
	}
	return errs
}

func validateUserAndGroup(user, group *int64, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if user != nil {
		errs = append(errs, invalid(at.Child("runAsUser"), *user, utilvalidation.IsValidUserID(*user))...)
	}
	if group != nil {
		errs = append(errs, invalid(at.Child("runAsGroup"), *group, utilvalidation.IsValidGroupID(*group))...)
	}
	return errs
}

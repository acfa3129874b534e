// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/net"
)

const fixedCIDR = `node updates may not change podCIDR except from "" to valid`

// validateNode (Kubernetes: pkg/apis/core/validation, ValidateNode).
func validateNode(node *corev1.Node) field.ErrorList {
	errs := validateTaints(node.Spec.Taints, field.NewPath("metadata", "taints"))
	errs = append(errs, validateNodeResources(&node.Status)...)
	errs = append(errs, validateDeclaredFeatures(node.Status.DeclaredFeatures, field.NewPath("status", "declaredFeatures"))...)
	return append(errs, validatePodCIDRs(node.Spec.PodCIDRs, field.NewPath("spec", "podCIDRs"))...)
}

func validatePodCIDRs(cidrs []string, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, cidr := range cidrs {
		errs = append(errs, utilvalidation.IsValidCIDRForLegacyField(path.Index(i), cidr, true, nil)...)
	}
	if len(cidrs) < 2 {
		return errs
	}
	dual, err := net.IsDualStackCIDRStrings(cidrs)
	if err != nil {
		errs = append(errs, field.InternalError(path, fmt.Errorf("invalid PodCIDRs. failed to check with dual stack with error:%v", err)))
	}
	if !dual || len(cidrs) > 2 {
		errs = append(errs, field.Invalid(path, cidrs, "may specify no more than one CIDR for each IP family"))
	}
	return errs
}

// validateTaints reports at metadata.taints: clients know them there.
func validateTaints(taints []corev1.Taint, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, taint := range taints {
		at := path.Index(i)
		errs = append(errs, metavalidation.ValidateLabelName(taint.Key, at.Child("key"))...)
		if messages := utilvalidation.IsValidLabelValue(taint.Value); len(messages) > 0 {
			errs = append(errs, field.Invalid(at.Child("value"), taint.Value, strings.Join(messages, ";")))
		}
		errs = append(errs, validateTaintEffect(taint.Effect, at.Child("effect"))...)
		if slices.ContainsFunc(taints[:i], func(before corev1.Taint) bool { return before.MatchTaint(&taint) }) {
			duplicate := field.Duplicate(at, taint)
			duplicate.Detail = "taints must be unique by key and effect pair"
			errs = append(errs, duplicate)
		}
	}
	return errs
}

func validateNodeResources(status *corev1.NodeStatus) field.ErrorList {
	var errs field.ErrorList
	for _, list := range []struct {
		name string
		has  corev1.ResourceList
	}{{"capacity", status.Capacity}, {"allocatable", status.Allocatable}} {
		for _, name := range slices.Sorted(maps.Keys(list.has)) {
			errs = append(errs, validateQuantity(name, list.has[name], field.NewPath("status", list.name, string(name)))...)
		}
	}
	return errs
}

// validateDeclaredFeatures asks for a sorted list of names such as
// "MyFeature/mySubFeature".
func validateDeclaredFeatures(features []string, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if len(features) == 0 {
		return nil
	}
	pattern := regexp.MustCompile(`^[A-Z][a-zA-Z0-9]*(/[a-zA-Z][a-zA-Z0-9]*)*$`)
	for i, feature := range features {
		at := path.Index(i)
		if len(feature) > utilvalidation.DNS1123SubdomainMaxLength || !pattern.MatchString(feature) {
			errs = append(errs, field.Invalid(at, feature, fmt.Sprintf("invalid feature name %q: must start with an UpperCamelCase segment, with subsequent segments separated by '/' (e.g., MyFeature or MyFeature/mySubFeature), and contain only alphanumeric characters and slashes", feature)))
		}
		switch {
		case i > 0 && feature == features[i-1]:
			errs = append(errs, field.Duplicate(at, feature))
		case i > 0 && feature < features[i-1]:
			errs = append(errs, field.Invalid(at, feature, "list must be sorted alphabetically"))
		}
	}
	return errs
}

// validateNodeStatus checks what a node reports of itself.
func validateNodeStatus(node, old *corev1.Node) field.ErrorList {
	errs := validateNodeResources(&node.Status)
	errs = append(errs, validateDeclaredFeatures(node.Status.DeclaredFeatures, field.NewPath("status", "declaredFeatures"))...)
	return append(errs, validateNodeUpdate(node, old)...)
}

// validateNodeUpdate holds still what a node is known by elsewhere (Kubernetes:
// pkg/apis/core/validation, ValidateNodeUpdate).
func validateNodeUpdate(node, old *corev1.Node) field.ErrorList {
	var errs field.ErrorList
	seen := map[corev1.NodeAddress]bool{}
	for i, address := range node.Status.Addresses {
		if seen[address] {
			errs = append(errs, field.Duplicate(field.NewPath("status", "addresses").Index(i), address))
		}
		seen[address] = true
	}
	spec := field.NewPath("spec")
	if len(old.Spec.PodCIDRs) > 0 && !slices.Equal(old.Spec.PodCIDRs, node.Spec.PodCIDRs) {
		errs = append(errs, field.Forbidden(spec.Child("podCIDRs"), fixedCIDR))
	}
	if was, is := old.Spec.ProviderID, node.Spec.ProviderID; was != "" && is != was {
		message := "field cannot be modified once set"
		if is == "" {
			message = "field cannot be cleared once set"
		}
		errs = append(errs, field.Invalid(spec.Child("providerID"), is, message))
	}
	if node.Spec.DoNotUseExternalID != old.Spec.DoNotUseExternalID {
		errs = append(errs, field.Forbidden(spec.Child("externalID"), "may not be updated"))
	}
	return errs
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"fmt"
	"math"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/sets"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"
)

// validatePod checks the spec of a pod, and what is asked of pods but not of
// templates (Kubernetes: pkg/apis/core/validation, validatePodMetadataAndSpec).
func validatePod(pod *corev1.Pod) field.ErrorList {
	path := field.NewPath("spec")
	errs := validateMirror(pod)
	errs = append(errs, validatePodSpec(&pod.Spec, pod.Name, path)...)
	if pod.Spec.ServiceAccountName == "" {
		errs = append(errs, refuseTokens(pod.Spec.Volumes, path.Child("volumes"))...)
	}
	if grace := pod.Spec.TerminationGracePeriodSeconds; grace != nil {
		errs = append(errs, validation.ValidateNonnegativeField(*grace, path.Child("terminationGracePeriodSeconds"))...)
	}
	for i, container := range pod.Spec.Containers {
		errs = append(errs, untrimmedImage(container.Image, path.Child("containers").Index(i).Child("image"))...)
	}
	for i, container := range pod.Spec.InitContainers {
		errs = append(errs, untrimmedImage(container.Image, path.Child("initContainers").Index(i).Child("image"))...)
	}
	return append(errs, validateHostPorts(&pod.Spec, true, path)...)
}

// validateMirror: what a node reports of its own pods is on that node.
func validateMirror(pod *corev1.Pod) field.ErrorList {
	value, mirror := pod.Annotations[corev1.MirrorPodAnnotationKey]
	if !mirror || pod.Spec.NodeName != "" {
		return nil
	}
	at := field.NewPath("metadata", "annotations").Key(corev1.MirrorPodAnnotationKey)
	return field.ErrorList{field.Invalid(at, value, "must set spec.nodeName if mirror pod annotation is set")}
}

// refuseTokens: a pod without an account has no tokens.
func refuseTokens(volumes []corev1.Volume, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, volume := range volumes {
		if volume.Projected == nil {
			continue
		}
		for j, source := range volume.Projected.Sources {
			if source.ServiceAccountToken != nil {
				at := at.Index(i).Child("projected", "sources").Index(j).Child("serviceAccountToken")
				errs = append(errs, field.Forbidden(at, "must not be specified when serviceAccountName is not set"))
			}
		}
	}
	return errs
}

// validatePodTemplate checks the template of pods that a controller makes
// (Kubernetes: pkg/apis/core/validation, ValidatePodTemplateSpec).
func validatePodTemplate(template *corev1.PodTemplateSpec, path *field.Path) field.ErrorList {
	errs := metavalidation.ValidateLabels(template.Labels, path.Child("labels"))
	errs = append(errs, validation.ValidateAnnotations(template.Annotations, path.Child("annotations"))...)
	errs = append(errs, validatePodSpec(&template.Spec, "", path.Child("spec"))...)
	if len(template.Spec.EphemeralContainers) > 0 {
		errs = append(errs, field.Forbidden(path.Child("spec", "ephemeralContainers"), "ephemeral containers not allowed in pod template"))
	}
	return append(errs, validateHostPorts(&template.Spec, false, path.Child("spec"))...)
}

// validatePodSpec checks what pods and their templates have in common. The name
// of the pod is "" for a template. What concerns identity is checked as in
// Kubernetes, the rest as far as a mistake would do harm or mislead.
func validatePodSpec(spec *corev1.PodSpec, podName string, path *field.Path) field.ErrorList {
	volumes, errs := validateVolumes(spec.Volumes, podName, path.Child("volumes"))
	check := podCheck{spec: spec, volumes: volumes, claims: sets.Set[string]{}}
	errs = append(errs, check.validateResourceClaims(path.Child("resourceClaims"))...)
	errs = append(errs, check.validateContainers(path)...)
	errs = append(errs, validatePodPolicies(spec, path)...)
	errs = append(errs, validatePodNames(spec, path)...)
	errs = append(errs, validatePodNetwork(spec, path)...)
	errs = append(errs, validatePodSecurity(spec, path)...)
	errs = append(errs, validateScheduling(spec, path)...)
	if spec.Resources != nil {
		errs = append(errs, validatePodResources(spec, path.Child("resources"))...)
	}
	return errs
}

// validateResourceClaims checks the devices that a pod claims.
func (p *podCheck) validateResourceClaims(at *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, claim := range p.spec.ResourceClaims {
		at := at.Index(i)
		errs = append(errs, requireLabel(claim.Name, at.Child("name"))...)
		errs = append(errs, takeName(p.claims, claim.Name, at)...)
		switch {
		case claim.ResourceClaimName != nil && claim.ResourceClaimTemplateName != nil:
			errs = append(errs, field.Invalid(at, claim, "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified"))
		case claim.ResourceClaimName == nil && claim.ResourceClaimTemplateName == nil:
			errs = append(errs, field.Invalid(at, claim, "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`"))
		}
		if name := claim.ResourceClaimName; name != nil {
			errs = append(errs, invalid(at.Child("resourceClaimName"), *name, validation.NameIsDNSSubdomain(*name, false))...)
		}
		if name := claim.ResourceClaimTemplateName; name != nil {
			errs = append(errs, invalid(at.Child("resourceClaimTemplateName"), *name, validation.NameIsDNSSubdomain(*name, false))...)
		}
	}
	return errs
}

func validatePodPolicies(spec *corev1.PodSpec, path *field.Path) field.ErrorList {
	errs := oneOf(spec.RestartPolicy, path.Child("restartPolicy"), corev1.RestartPolicyAlways, corev1.RestartPolicyOnFailure, corev1.RestartPolicyNever)
	errs = append(errs, oneOf(spec.DNSPolicy, path.Child("dnsPolicy"), corev1.DNSClusterFirstWithHostNet, corev1.DNSClusterFirst, corev1.DNSDefault, corev1.DNSNone)...)
	if spec.PreemptionPolicy != nil {
		errs = append(errs, oneOf(*spec.PreemptionPolicy, path.Child("preemptionPolicy"), corev1.PreemptLowerPriority, corev1.PreemptNever)...)
	}
	if spec.TerminationGracePeriodSeconds == nil {
		errs = append(errs, field.Required(path.Child("terminationGracePeriodSeconds"), ""))
	}
	if seconds := spec.ActiveDeadlineSeconds; seconds != nil && (*seconds < 1 || *seconds > math.MaxInt32) {
		errs = append(errs, field.Invalid(path.Child("activeDeadlineSeconds"), *seconds, utilvalidation.InclusiveRangeError(1, math.MaxInt32)))
	}
	if spec.OS != nil {
		errs = append(errs, oneOf(spec.OS.Name, path.Child("os", "name"), corev1.Linux, corev1.Windows)...)
	}
	return errs
}

// validatePodNames checks the names of what a pod refers to.
func validatePodNames(spec *corev1.PodSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	check := func(name string, rule func(string) []string, at *field.Path) {
		if name != "" {
			errs = append(errs, invalid(at, name, rule(name))...)
		}
	}
	object := func(name string) []string { return validation.NameIsDNSSubdomain(name, false) }
	check(spec.ServiceAccountName, object, path.Child("serviceAccountName"))
	if spec.DeprecatedServiceAccount != spec.ServiceAccountName {
		errs = append(errs, field.Invalid(path.Child("deprecatedServiceAccount"), spec.DeprecatedServiceAccount,
			fmt.Sprintf("must be the same as serviceAccountName: %q", spec.ServiceAccountName)))
	}
	check(spec.NodeName, object, path.Child("nodeName"))
	check(spec.Hostname, utilvalidation.IsDNS1123Label, path.Child("hostname"))
	check(spec.Subdomain, utilvalidation.IsDNS1123Label, path.Child("subdomain"))
	check(spec.PriorityClassName, object, path.Child("priorityClassName"))
	if spec.RuntimeClassName != nil {
		errs = append(errs, invalid(path.Child("runtimeClassName"), *spec.RuntimeClassName, object(*spec.RuntimeClassName))...)
	}
	return errs
}

// validatePodSecurity checks the users of a pod, and that its name spaces fit
// together.
func validatePodSecurity(spec *corev1.PodSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if spec.HostPID && ptr.Deref(spec.ShareProcessNamespace, false) {
		errs = append(errs, field.Invalid(path.Child("shareProcessNamespace"), true, "ShareProcessNamespace and HostPID cannot both be enabled"))
	}
	if !ptr.Deref(spec.HostUsers, true) {
		eachContainer(spec, path, func(container *corev1.Container, at *field.Path) {
			if len(container.VolumeDevices) > 0 {
				errs = append(errs, field.Forbidden(at.Child("volumeDevices"), "when `hostUsers` is false"))
			}
		})
		for _, shared := range []struct {
			name string
			set  bool
		}{{"hostNetwork", spec.HostNetwork}, {"HostPID", spec.HostPID}, {"HostIPC", spec.HostIPC}} {
			if shared.set {
				errs = append(errs, field.Forbidden(path.Child(shared.name), "when `hostUsers` is false"))
			}
		}
	}
	security, at := spec.SecurityContext, path.Child("securityContext")
	if security == nil {
		return errs
	}
	errs = append(errs, validateUserAndGroup(security.RunAsUser, security.RunAsGroup, at)...)
	if security.FSGroup != nil {
		errs = append(errs, invalid(at.Child("fsGroup"), *security.FSGroup, utilvalidation.IsValidGroupID(*security.FSGroup))...)
	}
	for i, group := range security.SupplementalGroups {
		errs = append(errs, invalid(at.Child("supplementalGroups").Index(i), group, utilvalidation.IsValidGroupID(group))...)
	}
	return errs
}

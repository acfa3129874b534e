// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"fmt"
	"maps"
	"math"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/diff"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// changeable is what the refusal of a change names as allowed.
const changeable = "`spec.containers[*].image`," +
	"`spec.initContainers[*].image`," +
	"`spec.activeDeadlineSeconds`," +
	"`spec.tolerations` (only additions to existing tolerations)," +
	"`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"

// validatePodUpdate holds the spec of a pod still, but for the few fields that
// may change (Kubernetes: pkg/apis/core/validation, ValidatePodUpdate).
func validatePodUpdate(pod, old *corev1.Pod) field.ErrorList {
	errs := validateAnnotationUpdate(pod, old)
	path := field.NewPath("spec")
	if len(pod.Spec.Containers) != len(old.Spec.Containers) {
		return append(errs, field.Forbidden(path.Child("containers"), "pod updates may not add or remove containers"))
	}
	if len(pod.Spec.InitContainers) != len(old.Spec.InitContainers) {
		return append(errs, field.Forbidden(path.Child("initContainers"), "pod updates may not add or remove containers"))
	}
	errs = append(errs, validateDeadlineUpdate(pod.Spec.ActiveDeadlineSeconds, old.Spec.ActiveDeadlineSeconds, path.Child("activeDeadlineSeconds"))...)
	errs = append(errs, validateAddedTolerations(pod.Spec.Tolerations, old.Spec.Tolerations, path.Child("tolerations"))...)
	errs = append(errs, validateRemovedGates(pod.Spec.SchedulingGates, old.Spec.SchedulingGates, path.Child("schedulingGates"))...)
	if equality.Semantic.DeepEqual(pod.Spec, old.Spec) {
		return errs
	}
	rest := withoutChangeable(&pod.Spec, &old.Spec)
	if len(old.Spec.SchedulingGates) > 0 {
		errs = append(errs, validateGatedUpdate(rest, &old.Spec, path)...)
	}
	if !equality.Semantic.DeepEqual(*rest, old.Spec) {
		errs = append(errs, field.Forbidden(path, fmt.Sprintf("pod updates may not change fields other than %s\n%v", changeable, diff.Diff(old.Spec, *rest))))
	}
	return errs
}

// withoutChangeable is the new spec with the old values of what may change.
func withoutChangeable(spec, old *corev1.PodSpec) *corev1.PodSpec {
	rest := spec.DeepCopy()
	for i := range rest.Containers {
		rest.Containers[i].Image = old.Containers[i].Image
	}
	for i := range rest.InitContainers {
		rest.InitContainers[i].Image = old.InitContainers[i].Image
	}
	rest.ActiveDeadlineSeconds = old.ActiveDeadlineSeconds
	rest.SchedulingGates = old.SchedulingGates
	rest.Tolerations = old.Tolerations
	if was, is := old.TerminationGracePeriodSeconds, rest.TerminationGracePeriodSeconds; was != nil && *was < 0 && is != nil && *is == 1 {
		rest.TerminationGracePeriodSeconds = was
	}
	return rest
}

// validateAnnotationUpdate: a pod is a mirror from the start, or never.
func validateAnnotationUpdate(pod, old *corev1.Pod) field.ErrorList {
	key := corev1.MirrorPodAnnotationKey
	at := field.NewPath("metadata", "annotations").Key(key)
	value, is := pod.Annotations[key]
	before, was := old.Annotations[key]
	switch {
	case was && (!is || value != before):
		return field.ErrorList{field.Forbidden(at, "may not remove or update mirror pod annotation")}
	case is && !was:
		return field.ErrorList{field.Forbidden(at, "may not add mirror pod annotation")}
	}
	return nil
}

// validateDeadlineUpdate lets a deadline be set once, and come nearer.
func validateDeadlineUpdate(deadline, old *int64, at *field.Path) field.ErrorList {
	switch {
	case deadline == nil && old == nil:
		return nil
	case deadline == nil:
		return field.ErrorList{field.Invalid(at, deadline, "must not update from a positive integer to nil value")}
	case *deadline < 0 || *deadline > math.MaxInt32:
		return field.ErrorList{field.Invalid(at, *deadline, utilvalidation.InclusiveRangeError(0, math.MaxInt32))}
	case old != nil && *old < *deadline:
		return field.ErrorList{field.Invalid(at, *deadline, "must be less than or equal to previous value")}
	}
	return nil
}

func validateAddedTolerations(tolerations, old []corev1.Toleration, at *field.Path) field.ErrorList {
	for _, before := range old {
		kept := slices.ContainsFunc(tolerations, func(toleration corev1.Toleration) bool {
			before.TolerationSeconds = toleration.TolerationSeconds
			return toleration == before
		})
		if !kept {
			return field.ErrorList{field.Forbidden(at, "existing toleration can not be modified except its tolerationSeconds")}
		}
	}
	return nil
}

func validateRemovedGates(gates, old []corev1.PodSchedulingGate, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, gate := range gates {
		if !slices.Contains(old, gate) {
			errs = append(errs, field.Forbidden(at.Index(i).Child("name"), fmt.Sprintf("only deletion is allowed, but found new scheduling gate '%s'", gate.Name)))
		}
	}
	return errs
}

// validateGatedUpdate lets the nodes be narrowed down for which a pod waits,
// and takes those fields out of what is compared.
func validateGatedUpdate(spec, old *corev1.PodSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for key, value := range old.NodeSelector {
		if now, ok := spec.NodeSelector[key]; !ok || now != value {
			errs = append(errs, field.Invalid(path.Child("nodeSelector"), maps.Clone(spec.NodeSelector), "only additions to spec.nodeSelector are allowed (no mutations or deletions)"))
			break
		}
	}
	spec.NodeSelector = old.NodeSelector
	before, now := nodeAffinityOf(old), nodeAffinityOf(spec)
	if equality.Semantic.DeepEqual(before, now) {
		return errs
	}
	errs = append(errs, validateNarrowed(requiredTerms(now), requiredTerms(before), path.Child("affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms"))...)
	if spec.Affinity == nil {
		spec.Affinity = &corev1.Affinity{}
	}
	spec.Affinity.NodeAffinity = before
	if old.Affinity == nil && *spec.Affinity == (corev1.Affinity{}) {
		spec.Affinity = nil
	}
	return errs
}

func nodeAffinityOf(spec *corev1.PodSpec) *corev1.NodeAffinity {
	if spec.Affinity == nil {
		return nil
	}
	return spec.Affinity.NodeAffinity
}

func requiredTerms(affinity *corev1.NodeAffinity) []corev1.NodeSelectorTerm {
	if affinity == nil || affinity.RequiredDuringSchedulingIgnoredDuringExecution == nil {
		return nil
	}
	return affinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms
}

// validateNarrowed lets each term get more requirements. There must be as many
// terms as before: one more would widen the choice.
func validateNarrowed(terms, old []corev1.NodeSelectorTerm, at *field.Path) field.ErrorList {
	if len(old) > 0 && len(terms) != len(old) {
		return field.ErrorList{field.Invalid(at, terms, "no additions/deletions to non-empty NodeSelectorTerms list are allowed")}
	}
	var errs field.ErrorList
	for i, before := range old {
		empty := len(before.MatchExpressions) == 0 && len(before.MatchFields) == 0
		grown := len(terms[i].MatchExpressions) > 0 || len(terms[i].MatchFields) > 0
		// A term without requirements matches no node: adding some would widen.
		if empty && grown || !startsWith(terms[i].MatchExpressions, before.MatchExpressions) || !startsWith(terms[i].MatchFields, before.MatchFields) {
			errs = append(errs, field.Invalid(at.Index(i), terms[i], "only additions are allowed (no mutations or deletions)"))
		}
	}
	return errs
}

func startsWith(list, beginning []corev1.NodeSelectorRequirement) bool {
	return len(list) >= len(beginning) && equality.Semantic.DeepEqual(list[:len(beginning)], beginning)
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// affinityTerms is one half of an affinity: towards or against other pods.
type affinityTerms struct {
	name      string
	required  []corev1.PodAffinityTerm
	preferred []corev1.WeightedPodAffinityTerm
}

func termsOf(affinity *corev1.Affinity) []affinityTerms {
	var halves []affinityTerms
	if to := affinity.PodAffinity; to != nil {
		halves = append(halves, affinityTerms{"podAffinity", to.RequiredDuringSchedulingIgnoredDuringExecution, to.PreferredDuringSchedulingIgnoredDuringExecution})
	}
	if against := affinity.PodAntiAffinity; against != nil {
		halves = append(halves, affinityTerms{"podAntiAffinity", against.RequiredDuringSchedulingIgnoredDuringExecution, against.PreferredDuringSchedulingIgnoredDuringExecution})
	}
	return halves
}

func validatePodAffinities(affinity *corev1.Affinity, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, half := range termsOf(affinity) {
		path := path.Child(half.name)
		for i := range half.required {
			errs = append(errs, validateAffinityTerm(&half.required[i], path.Child("requiredDuringSchedulingIgnoredDuringExecution").Index(i))...)
		}
		for i := range half.preferred {
			at := path.Child("preferredDuringSchedulingIgnoredDuringExecution").Index(i)
			errs = append(errs, validateWeight(half.preferred[i].Weight, at)...)
			errs = append(errs, validateAffinityTerm(&half.preferred[i].PodAffinityTerm, at.Child("podAffinityTerm"))...)
		}
	}
	return errs
}

func validateAffinityTerm(term *corev1.PodAffinityTerm, at *field.Path) field.ErrorList {
	errs := validateSelector(term.LabelSelector, at.Child("labelSelector"))
	errs = append(errs, validateSelector(term.NamespaceSelector, at.Child("namespaceSelector"))...)
	for _, namespace := range term.Namespaces {
		errs = append(errs, invalid(at.Child("namespace"), namespace, validation.ValidateNamespaceName(namespace, false))...)
	}
	if term.TopologyKey == "" {
		errs = append(errs, field.Required(at.Child("topologyKey"), "can not be empty"))
	}
	return append(errs, metavalidation.ValidateLabelName(term.TopologyKey, at.Child("topologyKey"))...)
}

// selectByOwnLabels completes the selectors that name only the keys of labels
// with the values that the pod itself has (Kubernetes: pkg/registry/core/pod,
// mutatePodAffinity and mutateTopologySpreadConstraints).
func selectByOwnLabels(pod *corev1.Pod) {
	for i := range pod.Spec.TopologySpreadConstraints {
		constraint := &pod.Spec.TopologySpreadConstraints[i]
		selectKeys(constraint.LabelSelector, constraint.MatchLabelKeys, metav1.LabelSelectorOpIn, pod.Labels)
	}
	if pod.Spec.Affinity == nil {
		return
	}
	for _, half := range termsOf(pod.Spec.Affinity) {
		for i := range half.required {
			selectTerm(&half.required[i], pod.Labels)
		}
		for i := range half.preferred {
			selectTerm(&half.preferred[i].PodAffinityTerm, pod.Labels)
		}
	}
}

func selectTerm(term *corev1.PodAffinityTerm, own map[string]string) {
	selectKeys(term.LabelSelector, term.MatchLabelKeys, metav1.LabelSelectorOpIn, own)
	selectKeys(term.LabelSelector, term.MismatchLabelKeys, metav1.LabelSelectorOpNotIn, own)
}

// selectKeys adds to a selector. One that is not there matches nothing, and is
// left alone.
func selectKeys(selector *metav1.LabelSelector, keys []string, operator metav1.LabelSelectorOperator, own map[string]string) {
	if selector == nil {
		return
	}
	for _, key := range keys {
		if value, ok := own[key]; ok {
			selector.MatchExpressions = append(selector.MatchExpressions, metav1.LabelSelectorRequirement{Key: key, Operator: operator, Values: []string{value}})
		}
	}
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"fmt"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/kubectl/pkg/util/qos"
)

func pods() Resource {
	return &Definition[*corev1.Pod]{
		GroupVersion: corev1.SchemeGroupVersion,
		Kind:         "Pod", Plural: "pods", Singular: "pod",
		ShortNames: []string{"po"}, Categories: []string{"all"},
		New:            func() *corev1.Pod { return &corev1.Pod{} },
		NewList:        func() runtime.Object { return &corev1.PodList{} },
		Default:        defaultPod,
		PrepareCreate:  func(_ context.Context, pod *corev1.Pod) { preparePod(pod, metav1.Now()) },
		PrepareUpdate:  func(_ context.Context, pod, old *corev1.Pod) { preparePodUpdate(pod, old) },
		Validate:       validatePod,
		ValidateUpdate: validatePodUpdate,
		Warnings:       podWarnings,
		Status: &StatusDefinition[*corev1.Pod]{
			Prepare:  preparePodStatus,
			Reset:    resetPodStatus,
			Validate: validatePodStatus,
		},
		Fields:         podFields,
		Columns:        podColumns(),
		Row:            podRow,
		GracefulDelete: gracefulPodDelete,
		ValidateCreate: validateNewPod,
		ReturnDeleted:  true,
		Extend:         extendPods,
	}
}

// extendPods adds the subresources that only pods have.
func extendPods(_ Environment, store *genericregistry.Store, storage map[string]rest.Storage) error {
	storage["pods/binding"] = &podBinding{store: store}
	storage["pods/ephemeralcontainers"] = newEphemeralContainers(store)
	return nil
}

// podFields are what a field selector may name.
func podFields(pod *corev1.Pod) fields.Set {
	return fields.Set{
		"spec.nodeName":            pod.Spec.NodeName,
		"spec.restartPolicy":       string(pod.Spec.RestartPolicy),
		"spec.schedulerName":       pod.Spec.SchedulerName,
		"spec.serviceAccountName":  pod.Spec.ServiceAccountName,
		"spec.hostNetwork":         strconv.FormatBool(pod.Spec.HostNetwork),
		"status.phase":             string(pod.Status.Phase),
		"status.podIP":             pod.Status.PodIP,
		"status.nominatedNodeName": pod.Status.NominatedNodeName,
	}
}

// preparePod sets what the server alone decides on.
func preparePod(pod *corev1.Pod, now metav1.Time) {
	pod.Generation = 1
	dropUnserved(&pod.Spec)
	dropInitAnnotations(pod.Annotations)
	if len(pod.Spec.SchedulingGates) > 0 {
		pod.Status.Conditions = []corev1.PodCondition{{
			Type:               corev1.PodScheduled,
			Status:             corev1.ConditionFalse,
			Reason:             corev1.PodReasonSchedulingGated,
			Message:            "Scheduling is blocked due to non-empty scheduling gates",
			LastTransitionTime: now,
		}}
	}
	selectByOwnLabels(pod)
	defaultPodResources(pod)
	pod.Status.QOSClass = qos.ComputePodQOS(pod)
}

func preparePodUpdate(pod, old *corev1.Pod) {
	if pod.Spec.Resources == nil && old.Spec.Resources != nil {
		// A client that does not know the field has not meant to clear it.
		pod.Spec.Resources = old.Spec.Resources.DeepCopy()
	}
	dropInitAnnotations(pod.Annotations)
	countPodChange(pod, old)
}

// countPodChange keeps unserved fields out of a changed spec, and counts the
// change in the generation.
func countPodChange(pod, old *corev1.Pod) {
	if equality.Semantic.DeepEqual(pod.Spec, old.Spec) {
		return
	}
	if !usesUnserved(&old.Spec) {
		dropUnserved(&pod.Spec)
	}
	if !equality.Semantic.DeepEqual(pod.Spec, old.Spec) {
		pod.Generation++
	}
}

// gracefulPodDelete gives the node of a running pod its time to end the
// processes; all others go at once (Kubernetes: pkg/registry/core/pod,
// CheckGracefulDelete).
func gracefulPodDelete(_ context.Context, pod *corev1.Pod, options *metav1.DeleteOptions) bool {
	if options == nil {
		return false
	}
	period := int64(0)
	if pod.Spec.TerminationGracePeriodSeconds != nil {
		period = *pod.Spec.TerminationGracePeriodSeconds
	}
	if options.GracePeriodSeconds != nil {
		period = *options.GracePeriodSeconds
	}
	if pod.Spec.NodeName == "" || hasEnded(pod) {
		period = 0
	}
	if period < 0 {
		period = 1
	}
	options.GracePeriodSeconds = &period
	return true
}

func hasEnded(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
}

// podWarnings tell the creator of a pod about what will surprise. Updates do
// not warn: they come from programs.
func podWarnings(_ context.Context, pod, old *corev1.Pod) []string {
	if old != nil {
		return nil
	}
	var warnings []string
	if msgs := utilvalidation.IsDNS1123Label(pod.Name); len(msgs) > 0 {
		warnings = append(warnings, fmt.Sprintf("metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; a DNS label is recommended: %v", msgs))
	}
	return append(warnings, podSpecWarnings(&pod.Spec, nil)...)
}

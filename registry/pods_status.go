// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/net"
)

// resetPodStatus keeps the status out of the reach of those who write the pod.
func resetPodStatus(pod, old *corev1.Pod) {
	if old == nil {
		pod.Status = corev1.PodStatus{Phase: corev1.PodPending}
		return
	}
	pod.Status = old.Status
}

// preparePodStatus keeps what a node that reports on a pod may not change, and
// what nodes of older versions leave out (Kubernetes: pkg/registry/core/pod,
// podStatusStrategy).
func preparePodStatus(_ context.Context, pod, old *corev1.Pod) {
	pod.Spec = old.Spec
	pod.DeletionTimestamp = nil
	pod.OwnerReferences = old.OwnerReferences
	status := &pod.Status
	setIfEmpty(&status.QOSClass, old.Status.QOSClass)
	setIfEmpty(&status.ObservedGeneration, old.Status.ObservedGeneration)
	if status.ResourceClaimStatuses == nil {
		status.ResourceClaimStatuses = old.Status.ResourceClaimStatuses
	}
	if status.ExtendedResourceClaimStatus == nil {
		status.ExtendedResourceClaimStatus = old.Status.ExtendedResourceClaimStatus
	}
	for i := range status.Conditions {
		condition := &status.Conditions[i]
		if before := podCondition(&old.Status, condition.Type); before != nil {
			setIfEmpty(&condition.ObservedGeneration, before.ObservedGeneration)
		}
	}
}

func podCondition(status *corev1.PodStatus, kind corev1.PodConditionType) *corev1.PodCondition {
	for i := range status.Conditions {
		if status.Conditions[i].Type == kind {
			return &status.Conditions[i]
		}
	}
	return nil
}

// validatePodStatus (Kubernetes: pkg/apis/core/validation,
// ValidatePodStatusUpdate).
func validatePodStatus(pod, old *corev1.Pod) field.ErrorList {
	path := field.NewPath("status")
	status, before := &pod.Status, &old.Status
	errs := validateAnnotationUpdate(pod, old)
	errs = append(errs, validatePodConditions(status.Conditions, path.Child("conditions"))...)
	errs = append(errs, validateNomination(pod, old, path.Child("nominatedNodeName"))...)
	if status.ObservedGeneration < 0 {
		errs = append(errs, field.Invalid(path.Child("observedGeneration"), status.ObservedGeneration, "must be a non-negative integer"))
	}
	errs = append(errs, validation.ValidateImmutableField(status.QOSClass, before.QOSClass, path.Child("qosClass"))...)
	errs = append(errs, validateTransitions(status.ContainerStatuses, before.ContainerStatuses, path.Child("containerStatuses"), func(state corev1.ContainerStatus) bool {
		return mayRestart(&old.Spec, old.Spec.Containers, state)
	})...)
	errs = append(errs, validateTransitions(status.InitContainerStatuses, before.InitContainerStatuses, path.Child("initContainerStatuses"), func(state corev1.ContainerStatus) bool {
		return mayRestart(&old.Spec, old.Spec.InitContainers, state)
	})...)
	errs = append(errs, validateTransitions(status.EphemeralContainerStatuses, before.EphemeralContainerStatuses, path.Child("ephemeralContainerStatuses"), func(corev1.ContainerStatus) bool {
		return false
	})...)
	return append(errs, validatePodAddresses(status, before, path)...)
}

func validatePodConditions(conditions []corev1.PodCondition, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	ours := []corev1.PodConditionType{corev1.PodScheduled, corev1.PodReady, corev1.PodInitialized}
	for i, condition := range conditions {
		at := path.Index(i)
		if condition.ObservedGeneration < 0 {
			errs = append(errs, field.Invalid(at.Child("observedGeneration"), condition.ObservedGeneration, "must be a non-negative integer"))
		}
		if !slices.Contains(ours, condition.Type) {
			errs = append(errs, invalid(at.Child("Type"), string(condition.Type), utilvalidation.IsQualifiedName(string(condition.Type)))...)
		}
	}
	return errs
}

func validateNomination(pod, old *corev1.Pod, at *field.Path) field.ErrorList {
	name := pod.Status.NominatedNodeName
	if name == "" || name == old.Status.NominatedNodeName {
		return nil
	}
	errs := invalid(at, name, validation.NameIsDNSSubdomain(name, false))
	if old.Spec.NodeName != "" {
		errs = append(errs, field.Forbidden(at, "may not be set on pods that are already bound to a node"))
	}
	return errs
}

// validateTransitions: what has ended stays ended, unless it may restart.
func validateTransitions(states, before []corev1.ContainerStatus, at *field.Path, mayRestart func(corev1.ContainerStatus) bool) field.ErrorList {
	var errs field.ErrorList
	for i, was := range before {
		if was.State.Terminated == nil || mayRestart(was) {
			continue
		}
		runs := func(state corev1.ContainerStatus) bool {
			return state.Name == was.Name && state.State.Terminated == nil
		}
		if slices.ContainsFunc(states, runs) {
			errs = append(errs, field.Forbidden(at.Index(i).Child("state"), "may not be transitioned to non-terminated state"))
		}
	}
	return errs
}

// mayRestart tells whether a container that has ended is started again. A
// container's own policy goes before that of its pod, and a rule for the exit
// code before both.
func mayRestart(spec *corev1.PodSpec, containers []corev1.Container, ended corev1.ContainerStatus) bool {
	if restartsTogether(spec) {
		return true
	}
	index := slices.IndexFunc(containers, func(container corev1.Container) bool { return container.Name == ended.Name })
	if index < 0 {
		return false
	}
	container := &containers[index]
	code := ended.State.Terminated.ExitCode
	for _, rule := range container.RestartPolicyRules {
		if rule.ExitCodes != nil && slices.Contains(rule.ExitCodes.Values, code) == (rule.ExitCodes.Operator == corev1.ContainerRestartRuleOnExitCodesOpIn) {
			return true
		}
	}
	policy := corev1.ContainerRestartPolicy(spec.RestartPolicy)
	if container.RestartPolicy != nil {
		policy = *container.RestartPolicy
	}
	return policy == corev1.ContainerRestartPolicyAlways || policy == corev1.ContainerRestartPolicyOnFailure && code != 0
}

// restartsTogether tells whether the end of one container may restart all.
func restartsTogether(spec *corev1.PodSpec) bool {
	for _, containers := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for _, container := range containers {
			for _, rule := range container.RestartPolicyRules {
				if rule.Action == corev1.ContainerRestartRuleActionRestartAllContainers {
					return true
				}
			}
		}
	}
	return false
}

func validatePodAddresses(status, before *corev1.PodStatus, path *field.Path) field.ErrorList {
	var pods, podsBefore, hosts, hostsBefore []string
	for _, ip := range status.PodIPs {
		pods = append(pods, ip.IP)
	}
	for _, ip := range before.PodIPs {
		podsBefore = append(podsBefore, ip.IP)
	}
	for _, ip := range status.HostIPs {
		hosts = append(hosts, ip.IP)
	}
	for _, ip := range before.HostIPs {
		hostsBefore = append(hostsBefore, ip.IP)
	}
	errs := validateAddresses(pods, podsBefore, path.Child("podIPs"))
	errs = append(errs, validateAddresses(hosts, hostsBefore, path.Child("hostIPs"))...)
	if len(hosts) > 0 && status.HostIP != hosts[0] {
		errs = append(errs, field.Invalid(path.Child("hostIPs").Index(0).Child("ip"), hosts[0], "must be equal to `hostIP`"))
	}
	return errs
}

// validateAddresses takes one address of each family, and what was there.
func validateAddresses(addresses, before []string, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, address := range addresses {
		errs = append(errs, utilvalidation.IsValidIPForLegacyField(path.Index(i), address, true, before)...)
	}
	if len(addresses) < 2 {
		return errs
	}
	dual, err := net.IsDualStackIPStrings(addresses)
	if err != nil {
		errs = append(errs, field.InternalError(path, fmt.Errorf("failed to check for dual stack with error:%v", err)))
	}
	if !dual || len(addresses) > 2 {
		errs = append(errs, field.Invalid(path, addresses, "may specify no more than one IP for each IP family"))
	}
	return errs
}

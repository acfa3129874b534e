// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"
	resourcehelper "k8s.io/component-helpers/resource"
)

// defaultPodResources completes the resources that a pod has as a whole from
// those of its containers. It waits for the creation, so that it sees the
// containers that admission has added (Kubernetes: pkg/api/pod,
// DefaultPodLevelResources).
func defaultPodResources(pod *corev1.Pod) {
	whole := pod.Spec.Resources
	if whole == nil || len(whole.Requests) == 0 && len(whole.Limits) == 0 {
		return
	}
	limits := resourcehelper.AggregateContainerLimits(pod, resourcehelper.PodResourcesOptions{})
	requests := resourcehelper.AggregateContainerRequests(pod, resourcehelper.PodResourcesOptions{})
	for name, limit := range limits {
		if _, requested := whole.Requests[name]; isHugePage(name) && !requested {
			fillResource(&whole.Limits, name, limit)
		}
	}
	for name, request := range requests {
		if isOvercommittable(name) {
			fillResource(&whole.Requests, name, request)
		}
	}
	for name, limit := range whole.Limits {
		fillResource(&whole.Requests, name, limit)
	}
	for name, request := range whole.Requests {
		if limit, ok := limits[name]; ok && allLimit(&pod.Spec, name) {
			if request.Cmp(limit) > 0 {
				limit = request
			}
			fillResource(&whole.Limits, name, limit)
		}
	}
}

// fillResource sets what a list lacks, if pods can have it as a whole.
func fillResource(list *corev1.ResourceList, name corev1.ResourceName, quantity resource.Quantity) {
	if _, set := (*list)[name]; set || !resourcehelper.IsSupportedPodLevelResource(name) {
		return
	}
	if *list == nil {
		*list = corev1.ResourceList{}
	}
	(*list)[name] = quantity.DeepCopy()
}

// allLimit tells whether every container has a limit of its own, so that the
// sum of them limits the pod.
func allLimit(spec *corev1.PodSpec, name corev1.ResourceName) bool {
	for _, containers := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for _, container := range containers {
			if _, ok := container.Resources.Limits[name]; !ok {
				return false
			}
		}
	}
	return true
}

// validatePodResources checks the resources that a pod has as a whole against
// those of its containers.
func validatePodResources(spec *corev1.PodSpec, at *field.Path) field.ErrorList {
	whole := spec.Resources
	var errs field.ErrorList
	if whole.Claims != nil {
		errs = append(errs, field.Forbidden(at.Child("claims"), "claims may not be set for Resources at pod-level"))
	}
	errs = append(errs, validateResources(whole, podResourceName, at)...)
	requests := resourcehelper.AggregateContainerRequests(&corev1.Pod{Spec: *spec}, resourcehelper.PodResourcesOptions{})
	for _, name := range slices.Sorted(maps.Keys(requests)) {
		sum := requests[name]
		if request, set := whole.Requests[name]; set && sum.Cmp(request) > 0 {
			errs = append(errs, field.Invalid(at.Child("requests").Key(string(name)), request.String(),
				fmt.Sprintf("must be greater than or equal to aggregate container requests of %s", sum.String())))
		}
	}
	for i, container := range spec.Containers {
		for _, name := range slices.Sorted(maps.Keys(container.Resources.Limits)) {
			own := container.Resources.Limits[name]
			if limit, set := whole.Limits[name]; set && own.Cmp(limit) > 0 {
				errs = append(errs, field.Invalid(at.Child("containers").Index(i).Key(string(name)).Child("limits"), own.String(),
					fmt.Sprintf("must be less than or equal to pod limits of %s", limit.String())))
			}
		}
	}
	return errs
}

func podResourceName(name corev1.ResourceName) []string {
	if resourcehelper.IsSupportedPodLevelResource(name) {
		return nil
	}
	return []string{fmt.Sprintf("supported values: %q", sets.List(resourcehelper.SupportedPodLevelResources()))}
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"fmt"
	"slices"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"
)

// validateJobUpdate holds still what a job has begun with (Kubernetes:
// pkg/apis/batch/validation, ValidateJobSpecUpdate).
func validateJobUpdate(job, old *batchv1.Job) field.ErrorList {
	spec, before, path := &job.Spec, &old.Spec, field.NewPath("spec")
	errs := validateCompletionsUpdate(spec, before, path.Child("completions"))
	errs = append(errs, validation.ValidateImmutableField(spec.Selector, before.Selector, path.Child("selector"))...)
	errs = append(errs, validateTemplateUpdate(spec, old, path)...)
	errs = append(errs, validation.ValidateImmutableField(spec.CompletionMode, before.CompletionMode, path.Child("completionMode"))...)
	errs = append(errs, validation.ValidateImmutableField(spec.PodFailurePolicy, before.PodFailurePolicy, path.Child("podFailurePolicy"))...)
	errs = append(errs, validation.ValidateImmutableField(spec.BackoffLimitPerIndex, before.BackoffLimitPerIndex, path.Child("backoffLimitPerIndex"))...)
	errs = append(errs, validation.ValidateImmutableField(spec.ManagedBy, before.ManagedBy, path.Child("managedBy"))...)
	return append(errs, validation.ValidateImmutableField(spec.SuccessPolicy, before.SuccessPolicy, path.Child("successPolicy"))...)
}

// validateCompletionsUpdate lets an indexed job grow or shrink, if it stays as
// wide as it is long.
func validateCompletionsUpdate(spec, old *batchv1.JobSpec, at *field.Path) field.ErrorList {
	if ptr.Deref(spec.CompletionMode, "") != batchv1.IndexedCompletion {
		return validation.ValidateImmutableField(spec.Completions, old.Completions, at)
	}
	if spec.Completions == nil || ptr.Equal(spec.Completions, old.Completions) || ptr.Equal(spec.Completions, spec.Parallelism) {
		return nil
	}
	return field.ErrorList{field.Invalid(at, spec.Completions, fmt.Sprintf("can only be modified in tandem with %s", at.Root().Child("parallelism")))}
}

// validateTemplateUpdate holds the template still. A job that waits may still
// be told where its pods go, and what they need.
func validateTemplateUpdate(spec *batchv1.JobSpec, old *batchv1.Job, path *field.Path) field.ErrorList {
	if !isWaiting(old) {
		return validation.ValidateImmutableField(spec.Template, old.Spec.Template, path.Child("template"))
	}
	before := old.Spec.Template.Spec.DeepCopy()
	now := &spec.Template.Spec
	allowNodeAffinity(before, now)
	before.NodeSelector = now.NodeSelector
	before.Tolerations = now.Tolerations
	before.SchedulingGates = now.SchedulingGates
	allowResources(before.Containers, now.Containers)
	allowResources(before.InitContainers, now.InitContainers)
	return validation.ValidateImmutableField(*now, *before, path.Child("template.spec"))
}

// isWaiting tells whether a job is suspended and none of its pods is left.
func isWaiting(job *batchv1.Job) bool {
	idle := job.Status.StartTime == nil || isJob(job, batchv1.JobSuspended)
	return ptr.Deref(job.Spec.Suspend, false) && idle && job.Status.Active == 0
}

// allowNodeAffinity makes the affinities to nodes the same, so that only the
// others are compared.
func allowNodeAffinity(before, now *corev1.PodSpec) {
	if before.Affinity == nil && now.Affinity == nil {
		return
	}
	if before.Affinity == nil {
		before.Affinity = &corev1.Affinity{}
	}
	before.Affinity.NodeAffinity = nodeAffinityOf(now)
	if now.Affinity == nil && *before.Affinity == (corev1.Affinity{}) {
		before.Affinity = nil
	}
}

func allowResources(before, now []corev1.Container) {
	if len(before) != len(now) {
		return
	}
	for i := range before {
		if before[i].Name == now[i].Name {
			before[i].Resources = now[i].Resources
		}
	}
}

func isJob(job *batchv1.Job, kind batchv1.JobConditionType) bool {
	return slices.ContainsFunc(job.Status.Conditions, func(condition batchv1.JobCondition) bool {
		return condition.Type == kind && condition.Status == corev1.ConditionTrue
	})
}

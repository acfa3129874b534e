// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"fmt"
	"slices"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"
)

// Bounds of what the status of a job can tell about its indexes.
const (
	maxIndexedParallelism = 100_000
	maxFailedIndexes      = 100_000
	maxManagedByLength    = 63
)

const needsIndexes = "requires indexed completion mode"

// validateJob (Kubernetes: pkg/apis/batch/validation, ValidateJobSpec).
func validateJob(job *batchv1.Job) field.ErrorList {
	spec, path := &job.Spec, field.NewPath("spec")
	errs := validateJobNumbers(spec, path)
	errs = append(errs, validateJobSelector(spec, path)...)
	errs = append(errs, validateJobModes(spec, path)...)
	errs = append(errs, validateFailurePolicy(spec, path.Child("podFailurePolicy", "rules"))...)
	errs = append(errs, validateIndexedName(job)...)
	errs = append(errs, validatePodTemplate(&spec.Template, path.Child("template"))...)
	return append(errs, validateJobRestart(spec, path.Child("template", "spec", "restartPolicy"))...)
}

func validateJobNumbers(spec *batchv1.JobSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, number := range []struct {
		name  string
		value *int32
	}{
		{"parallelism", spec.Parallelism},
		{"completions", spec.Completions},
		{"backoffLimit", spec.BackoffLimit},
		{"ttlSecondsAfterFinished", spec.TTLSecondsAfterFinished},
		{"backoffLimitPerIndex", spec.BackoffLimitPerIndex},
		{"maxFailedIndexes", spec.MaxFailedIndexes},
	} {
		if number.value != nil {
			errs = append(errs, validation.ValidateNonnegativeField(int64(*number.value), path.Child(number.name))...)
		}
	}
	if spec.ActiveDeadlineSeconds != nil {
		errs = append(errs, validation.ValidateNonnegativeField(*spec.ActiveDeadlineSeconds, path.Child("activeDeadlineSeconds"))...)
	}
	return errs
}

// validateJobSelector: a job finds the pods that it makes.
func validateJobSelector(spec *batchv1.JobSpec, path *field.Path) field.ErrorList {
	if spec.Selector == nil {
		return field.ErrorList{field.Required(path.Child("selector"), "")}
	}
	errs := validateSelector(spec.Selector, path.Child("selector"))
	selector, err := metav1.LabelSelectorAsSelector(spec.Selector)
	if err == nil && !selector.Matches(labels.Set(spec.Template.Labels)) {
		errs = append(errs, field.Invalid(path.Child("template", "metadata", "labels"), spec.Template.Labels, "`selector` does not match template `labels`"))
	}
	return errs
}

// validateJobModes checks what belongs to jobs that count their pods, and to
// those that others control.
func validateJobModes(spec *batchv1.JobSpec, path *field.Path) field.ErrorList {
	mode := ptr.Deref(spec.CompletionMode, batchv1.NonIndexedCompletion)
	errs := supported(mode, path.Child("completionMode"), batchv1.NonIndexedCompletion, batchv1.IndexedCompletion)
	if mode == batchv1.IndexedCompletion {
		errs = append(errs, validateIndexed(spec, path)...)
	}
	if spec.SuccessPolicy != nil && mode != batchv1.IndexedCompletion {
		errs = append(errs, field.Invalid(path.Child("successPolicy"), *spec.SuccessPolicy, needsIndexes))
	}
	if mode == batchv1.NonIndexedCompletion {
		errs = append(errs, validateNotIndexed(spec, path)...)
	}
	if spec.MaxFailedIndexes != nil && spec.BackoffLimitPerIndex == nil {
		errs = append(errs, field.Required(path.Child("backoffLimitPerIndex"), "when maxFailedIndexes is specified"))
	}
	if policy := spec.PodReplacementPolicy; policy != nil {
		known := []batchv1.PodReplacementPolicy{batchv1.Failed}
		if spec.PodFailurePolicy == nil {
			known = append(known, batchv1.TerminatingOrFailed)
		}
		errs = append(errs, supported(*policy, path.Child("podReplacementPolicy"), known...)...)
	}
	if spec.ManagedBy != nil {
		at := path.Child("managedBy")
		errs = append(errs, utilvalidation.IsDomainPrefixedPath(at, *spec.ManagedBy)...)
		if len(*spec.ManagedBy) > maxManagedByLength {
			errs = append(errs, field.TooLong(at, "", maxManagedByLength))
		}
	}
	return errs
}

func validateIndexed(spec *batchv1.JobSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if spec.Completions == nil {
		errs = append(errs, field.Required(path.Child("completions"), fmt.Sprintf("when completion mode is %s", batchv1.IndexedCompletion)))
	}
	if ptr.Deref(spec.Parallelism, 0) > maxIndexedParallelism {
		errs = append(errs, field.Invalid(path.Child("parallelism"), *spec.Parallelism,
			fmt.Sprintf("must be less than or equal to %d when completion mode is %s", maxIndexedParallelism, batchv1.IndexedCompletion)))
	}
	if spec.Completions != nil && spec.MaxFailedIndexes != nil && *spec.MaxFailedIndexes > *spec.Completions {
		errs = append(errs, field.Invalid(path.Child("maxFailedIndexes"), *spec.MaxFailedIndexes, "must be less than or equal to completions"))
	}
	if ptr.Deref(spec.MaxFailedIndexes, 0) > maxFailedIndexes {
		errs = append(errs, field.Invalid(path.Child("maxFailedIndexes"), *spec.MaxFailedIndexes, fmt.Sprintf("must be less than or equal to %d", maxFailedIndexes)))
	}
	if spec.SuccessPolicy != nil && len(spec.SuccessPolicy.Rules) == 0 {
		errs = append(errs, field.Required(path.Child("successPolicy", "rules"), "at least one rules must be specified when the successPolicy is specified"))
	}
	return errs
}

func validateNotIndexed(spec *batchv1.JobSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if spec.BackoffLimitPerIndex != nil {
		errs = append(errs, field.Invalid(path.Child("backoffLimitPerIndex"), *spec.BackoffLimitPerIndex, needsIndexes))
	}
	if spec.MaxFailedIndexes != nil {
		errs = append(errs, field.Invalid(path.Child("maxFailedIndexes"), *spec.MaxFailedIndexes, needsIndexes))
	}
	return errs
}

// validateIndexedName: the pods of an indexed job are named after it and their
// index.
func validateIndexedName(job *batchv1.Job) field.ErrorList {
	if ptr.Deref(job.Spec.CompletionMode, "") != batchv1.IndexedCompletion || ptr.Deref(job.Spec.Completions, 0) <= 0 {
		return nil
	}
	longest := fmt.Sprintf("%s-%d", job.Name, *job.Spec.Completions-1)
	if len(utilvalidation.IsDNS1123Label(longest)) == 0 {
		return nil
	}
	return field.ErrorList{field.Invalid(field.NewPath("metadata", "name"), job.Name, "will not able to create pod with invalid DNS label: "+longest)}
}

func validateFailurePolicy(spec *batchv1.JobSpec, path *field.Path) field.ErrorList {
	if spec.PodFailurePolicy == nil {
		return nil
	}
	var errs field.ErrorList
	for i, rule := range spec.PodFailurePolicy.Rules {
		at := path.Index(i)
		errs = append(errs, oneOfNamed(rule.Action, at.Child("action"), batchv1.PodFailurePolicyActionCount, batchv1.PodFailurePolicyActionFailIndex,
			batchv1.PodFailurePolicyActionFailJob, batchv1.PodFailurePolicyActionIgnore)...)
		if rule.Action == batchv1.PodFailurePolicyActionFailIndex && spec.BackoffLimitPerIndex == nil {
			errs = append(errs, field.Invalid(at.Child("action"), rule.Action, "requires the backoffLimitPerIndex to be set"))
		}
		switch byCode, byCondition := rule.OnExitCodes != nil, len(rule.OnPodConditions) > 0; {
		case byCode && byCondition:
			errs = append(errs, field.Invalid(at, field.OmitValueType{}, "specifying both OnExitCodes and OnPodConditions is not supported"))
		case !byCode && !byCondition:
			errs = append(errs, field.Invalid(at, field.OmitValueType{}, "specifying one of OnExitCodes and OnPodConditions is required"))
		}
		if rule.OnExitCodes != nil {
			errs = append(errs, validateExitCodes(rule.OnExitCodes, &spec.Template.Spec, at.Child("onExitCodes"))...)
		}
		for j, pattern := range rule.OnPodConditions {
			at := at.Child("onPodConditions").Index(j)
			errs = append(errs, invalid(at.Child("type"), string(pattern.Type), utilvalidation.IsQualifiedName(string(pattern.Type)))...)
			errs = append(errs, oneOfNamed(pattern.Status, at.Child("status"), corev1.ConditionFalse, corev1.ConditionTrue, corev1.ConditionUnknown)...)
		}
	}
	return errs
}

// oneOfNamed is oneOf with the names of the known values in the answer to none.
func oneOfNamed[T ~string](value T, at *field.Path, known ...T) field.ErrorList {
	if value == "" {
		return field.ErrorList{field.Required(at, fmt.Sprintf("valid values: %q", known))}
	}
	return supported(value, at, known...)
}

func validateExitCodes(codes *batchv1.PodFailurePolicyOnExitCodesRequirement, pod *corev1.PodSpec, at *field.Path) field.ErrorList {
	errs := oneOfNamed(codes.Operator, at.Child("operator"), batchv1.PodFailurePolicyOnExitCodesOpIn, batchv1.PodFailurePolicyOnExitCodesOpNotIn)
	if codes.ContainerName != nil {
		named := func(container corev1.Container) bool { return container.Name == *codes.ContainerName }
		if !slices.ContainsFunc(pod.Containers, named) && !slices.ContainsFunc(pod.InitContainers, named) {
			errs = append(errs, field.Invalid(at.Child("containerName"), *codes.ContainerName, "must be one of the container or initContainer names in the pod template"))
		}
	}
	if len(codes.Values) == 0 {
		errs = append(errs, field.Invalid(at.Child("values"), codes.Values, "at least one value is required"))
	}
	for i, code := range codes.Values {
		at := at.Child("values").Index(i)
		if codes.Operator == batchv1.PodFailurePolicyOnExitCodesOpIn && code == 0 {
			errs = append(errs, field.Invalid(at, code, "must not be 0 for the In operator"))
		}
		if slices.Contains(codes.Values[:i], code) {
			errs = append(errs, field.Duplicate(at, code))
		}
	}
	if !slices.IsSorted(codes.Values) {
		errs = append(errs, field.Invalid(at.Child("values"), codes.Values, "must be ordered"))
	}
	return errs
}

// validateJobRestart: the pods of a job come to an end.
func validateJobRestart(spec *batchv1.JobSpec, at *field.Path) field.ErrorList {
	switch policy := spec.Template.Spec.RestartPolicy; policy {
	case corev1.RestartPolicyNever:
		return nil
	case corev1.RestartPolicyOnFailure:
		if spec.PodFailurePolicy == nil {
			return nil
		}
		return field.ErrorList{field.Invalid(at, policy, fmt.Sprintf("only %q is supported when podFailurePolicy is specified", corev1.RestartPolicyNever))}
	case corev1.RestartPolicyAlways, "":
		return field.ErrorList{field.Required(at, fmt.Sprintf("valid values: %q, %q", corev1.RestartPolicyOnFailure, corev1.RestartPolicyNever))}
	default:
		return field.ErrorList{field.NotSupported(at, policy, []corev1.RestartPolicy{corev1.RestartPolicyOnFailure, corev1.RestartPolicyNever})}
	}
}

// validateGeneratedLabels checks that nothing in a new job contradicts what is
// generated (Kubernetes: pkg/apis/batch/validation, validateGeneratedSelector).
func validateGeneratedLabels(job *batchv1.Job) field.ErrorList {
	if ptr.Deref(job.Spec.ManualSelector, false) || job.Spec.Selector == nil {
		return nil
	}
	var errs field.ErrorList
	if job.UID == "" {
		errs = append(errs, field.Required(field.NewPath("metadata", "uid"), ""))
	}
	expected := generatedLabels(job)
	for _, key := range []string{legacyControllerUID, legacyJobName, batchv1.ControllerUidLabel, batchv1.JobNameLabel} {
		if job.Spec.Template.Labels[key] != expected[key] {
			at := field.NewPath("spec", "template", "metadata", "labels").Key(key)
			errs = append(errs, field.Invalid(at, job.Spec.Template.Labels, fmt.Sprintf("must be '%s'", expected[key])))
		}
	}
	selector, err := metav1.LabelSelectorAsSelector(job.Spec.Selector)
	if err == nil && !selector.Matches(labels.Set(expected)) {
		errs = append(errs, field.Invalid(field.NewPath("spec", "selector"), job.Spec.Selector, "`selector` not auto-generated"))
	}
	return errs
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"fmt"

	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"
)

// validateJobStatus checks what a controller reports of a job: numbers that are
// none, and an end that is one (Kubernetes: pkg/apis/batch/validation,
// ValidateJobStatusUpdate).
func validateJobStatus(job, old *batchv1.Job) field.ErrorList {
	path := field.NewPath("status")
	errs := validateJobCounters(job, old, path)
	errs = append(errs, validateJobConditions(job, old, path.Child("conditions"))...)
	return append(errs, validateJobTimes(job, old, path)...)
}

func validateJobCounters(job, old *batchv1.Job, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	status, before := &job.Status, &old.Status
	for _, counter := range []struct {
		name  string
		value int32
	}{
		{"active", status.Active},
		{"succeeded", status.Succeeded},
		{"failed", status.Failed},
		{"ready", ptr.Deref(status.Ready, 0)},
		{"terminating", ptr.Deref(status.Terminating, 0)},
	} {
		errs = append(errs, validation.ValidateNonnegativeField(int64(counter.value), path.Child(counter.name))...)
	}
	if status.Failed < before.Failed {
		errs = append(errs, field.Invalid(path.Child("failed"), status.Failed, "cannot decrease the failed counter"))
	}
	// An indexed job that is as wide as it is long may shrink.
	elastic := ptr.Deref(job.Spec.CompletionMode, "") == batchv1.IndexedCompletion && ptr.Equal(job.Spec.Completions, job.Spec.Parallelism)
	if status.Succeeded < before.Succeeded && !elastic {
		errs = append(errs, field.Invalid(path.Child("succeeded"), status.Succeeded, "cannot decrease the succeeded counter"))
	}
	if changed := status.Active != before.Active || !ptr.Equal(status.Ready, before.Ready); changed && ptr.Deref(status.Ready, 0) > status.Active {
		errs = append(errs, field.Invalid(path.Child("ready"), *status.Ready, "cannot set more ready pods than active"))
	}
	if !isFinished(job) {
		return errs
	}
	ended := !isFinished(old)
	if status.Active > 0 && (ended || status.Active != before.Active) {
		errs = append(errs, field.Invalid(path.Child("active"), status.Active, "active>0 is invalid for finished job"))
	}
	if ptr.Deref(status.Terminating, 0) > 0 && (ended || !ptr.Equal(status.Terminating, before.Terminating)) {
		errs = append(errs, field.Invalid(path.Child("terminating"), status.Terminating, "terminating>0 is invalid for finished job"))
	}
	return errs
}

func isFinished(job *batchv1.Job) bool {
	return isJob(job, batchv1.JobComplete) || isJob(job, batchv1.JobFailed)
}

func validateJobConditions(job, old *batchv1.Job, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	refuse := func(when bool, why string) {
		if when {
			errs = append(errs, field.Invalid(at, field.OmitValueType{}, why))
		}
	}
	is := func(kind batchv1.JobConditionType) bool { return isJob(job, kind) }
	was := func(kind batchv1.JobConditionType) bool { return isJob(old, kind) }
	news := func(kind batchv1.JobConditionType) bool { return is(kind) != was(kind) }
	const complete, failed, target, met = batchv1.JobComplete, batchv1.JobFailed, batchv1.JobFailureTarget, batchv1.JobSuccessCriteriaMet
	for _, kind := range []batchv1.JobConditionType{failed, complete, target} {
		refuse(was(kind) && !is(kind), fmt.Sprintf("cannot disable the terminal %s=True condition", kind))
	}
	refuse((news(complete) || news(failed)) && is(complete) && is(failed), "cannot set Complete=True and Failed=true conditions")
	refuse((news(complete) || news(target)) && is(complete) && is(target), "cannot set Complete=True and FailureTarget=true conditions")
	refuse(news(failed) && is(failed) && !is(target), "cannot set Failed=True condition without the FailureTarget=true condition")
	refuse((news(complete) || news(met)) && is(complete) && !is(met), "cannot set Complete=True condition without the SuccessCriteriaMet=true condition")
	refuse(is(met) && is(failed), "cannot set SuccessCriteriaMet=True and Failed=true conditions")
	refuse(is(met) && is(target), "cannot set SuccessCriteriaMet=True and FailureTarget=true conditions")
	refuse(was(met) && !is(met), "cannot disable the SuccessCriteriaMet=True condition")
	refuse(was(complete) && !was(met) && is(met), "cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions")
	return errs
}

func validateJobTimes(job, old *batchv1.Job, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	start, end := job.Status.StartTime, job.Status.CompletionTime
	started, completed := !start.Equal(old.Status.StartTime), !end.Equal(old.Status.CompletionTime)
	done := isJob(job, batchv1.JobComplete)
	completed = completed || done != isJob(old, batchv1.JobComplete)
	if completed && end != nil && !done {
		errs = append(errs, field.Invalid(path.Child("completionTime"), end, "cannot set completionTime when there is no Complete=True condition"))
	}
	if completed && end == nil && done {
		errs = append(errs, field.Required(path.Child("completionTime"), "completionTime is required for Complete jobs"))
	}
	if (started || completed) && start != nil && end != nil && end.Before(start) {
		errs = append(errs, field.Invalid(path.Child("completionTime"), end, "must be equal to or after `startTime`"))
	}
	if before := old.Status.CompletionTime; before != nil && end != nil && !end.Equal(before) {
		errs = append(errs, field.Invalid(path.Child("completionTime"), end, "field is immutable"))
	}
	suspended := ptr.Deref(job.Spec.Suspend, false)
	if finished := isFinished(job); finished && start == nil && (started || !isFinished(old)) && !(suspended && ptr.Equal(job.Spec.Completions, ptr.To[int32](0))) {
		errs = append(errs, field.Required(path.Child("startTime"), "startTime is required for finished job"))
	}
	resuming := isJob(old, batchv1.JobSuspended) && !isJob(job, batchv1.JobSuspended)
	if started && old.Status.StartTime != nil && !suspended && !resuming {
		errs = append(errs, field.Invalid(path.Child("startTime"), start, "field is immutable for unsuspended job once set"))
	}
	return errs
}

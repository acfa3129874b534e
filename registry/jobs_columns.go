// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"fmt"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/utils/ptr"
)

func jobColumns() []metav1.TableColumnDefinition {
	return []metav1.TableColumnDefinition{
		nameColumn(),
		column("Status", "string", "Status of the job."),
		column("Completions", "string", batchv1.JobStatus{}.SwaggerDoc()["succeeded"]),
		column("Duration", "string", "Time required to complete the job."),
		ageColumn(),
		wide("Containers", "string", "Names of each container in the template."),
		wide("Images", "string", "Images referenced by each container in the template."),
		wide("Selector", "string", batchv1.JobSpec{}.SwaggerDoc()["selector"]),
	}
}

func jobRow(job *batchv1.Job) []any {
	names, images := containerCells(job.Spec.Template.Spec.Containers)
	return []any{
		job.Name, jobState(job), jobCompletions(job), jobDuration(job), age(job),
		names, images, metav1.FormatLabelSelector(job.Spec.Selector),
	}
}

// jobState names how far a job is, its end before all else.
func jobState(job *batchv1.Job) string {
	switch {
	case isJob(job, batchv1.JobComplete):
		return "Complete"
	case isJob(job, batchv1.JobFailed):
		return "Failed"
	case job.DeletionTimestamp != nil:
		return "Terminating"
	case isJob(job, batchv1.JobSuspended):
		return "Suspended"
	case isJob(job, batchv1.JobFailureTarget):
		return "FailureTarget"
	case isJob(job, batchv1.JobSuccessCriteriaMet):
		return "SuccessCriteriaMet"
	}
	return "Running"
}

func jobCompletions(job *batchv1.Job) string {
	if job.Spec.Completions != nil {
		return fmt.Sprintf("%d/%d", job.Status.Succeeded, *job.Spec.Completions)
	}
	if parallel := ptr.Deref(job.Spec.Parallelism, 0); parallel > 1 {
		return fmt.Sprintf("%d/1 of %d", job.Status.Succeeded, parallel)
	}
	return fmt.Sprintf("%d/1", job.Status.Succeeded)
}

func jobDuration(job *batchv1.Job) string {
	switch start, end := job.Status.StartTime, job.Status.CompletionTime; {
	case start == nil:
		return ""
	case end == nil:
		return ago(*start)
	default:
		return duration.HumanDuration(end.Sub(start.Time))
	}
}

func containerCells(containers []corev1.Container) (names, images string) {
	var allNames, allImages []string
	for _, container := range containers {
		allNames = append(allNames, container.Name)
		allImages = append(allImages, container.Image)
	}
	return strings.Join(allNames, ","), strings.Join(allImages, ",")
}

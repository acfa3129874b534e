// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"math"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
)

// defaultBackoffLimit is how often the pods of a job may fail.
const defaultBackoffLimit = 6

// defaultJob fills what a client left out of a job (Kubernetes:
// pkg/apis/batch/v1, SetDefaults_Job).
func defaultJob(job *batchv1.Job) {
	spec := &job.Spec
	defaultPodSpec(&spec.Template.Spec)
	if spec.Completions == nil && spec.Parallelism == nil {
		setIfNil(&spec.Completions, 1)
	}
	setIfNil(&spec.Parallelism, 1)
	if spec.BackoffLimitPerIndex != nil {
		// Each index has a limit of its own.
		setIfNil(&spec.BackoffLimit, math.MaxInt32)
	}
	setIfNil(&spec.BackoffLimit, defaultBackoffLimit)
	if len(job.Labels) == 0 && spec.Template.Labels != nil {
		// It is the same map, not a copy: the labels that are generated for the
		// template are the job's too, as clients of Kubernetes know it.
		job.Labels = spec.Template.Labels
	}
	setIfNil(&spec.CompletionMode, batchv1.NonIndexedCompletion)
	setIfNil(&spec.Suspend, false)
	setIfNil(&spec.ManualSelector, false)
	if spec.PodFailurePolicy == nil {
		setIfNil(&spec.PodReplacementPolicy, batchv1.TerminatingOrFailed)
		return
	}
	setIfNil(&spec.PodReplacementPolicy, batchv1.Failed)
	for _, rule := range spec.PodFailurePolicy.Rules {
		for i := range rule.OnPodConditions {
			setIfEmpty(&rule.OnPodConditions[i].Status, corev1.ConditionTrue)
		}
	}
}

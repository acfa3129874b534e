// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"fmt"
	"strconv"

	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/warning"
)

func jobs() Resource {
	return &Definition[*batchv1.Job]{
		GroupVersion: batchv1.SchemeGroupVersion,
		Kind:         "Job", Plural: "jobs", Singular: "job",
		Categories:     []string{"all"},
		New:            func() *batchv1.Job { return &batchv1.Job{} },
		NewList:        func() runtime.Object { return &batchv1.JobList{} },
		Default:        defaultJob,
		PrepareCreate:  func(_ context.Context, job *batchv1.Job) { prepareJob(job) },
		PrepareUpdate:  func(_ context.Context, job, old *batchv1.Job) { prepareJobUpdate(job, old) },
		Validate:       validateJob,
		ValidateUpdate: validateJobUpdate,
		Warnings:       jobWarnings,
		Status: &StatusDefinition[*batchv1.Job]{
			Prepare:  func(_ context.Context, job, old *batchv1.Job) { job.Spec = old.Spec },
			Reset:    resetJobStatus,
			Validate: validateJobStatus,
		},
		Fields: func(job *batchv1.Job) fields.Set {
			return fields.Set{"status.successful": strconv.Itoa(int(job.Status.Succeeded))}
		},
		Columns:        jobColumns(),
		Row:            jobRow,
		ValidateCreate: validateGeneratedLabels,
		Extend:         extendJobs,
	}
}

// extendJobs makes a deletion by default leave the pods of a job alone.
func extendJobs(_ Environment, store *genericregistry.Store, storage map[string]rest.Storage) error {
	store.DeleteStrategy = &orphaning{store.DeleteStrategy}
	storage["jobs"] = &jobStorage{storage["jobs"].(*named)}
	return nil
}

// orphaning is the strategy of deletions that leave dependents alone unless told
// otherwise, as those of jobs do for the sake of old clients.
type orphaning struct {
	rest.RESTDeleteStrategy
}

// DefaultGarbageCollectionPolicy is to orphan.
func (*orphaning) DefaultGarbageCollectionPolicy(context.Context) rest.GarbageCollectionPolicy {
	return rest.OrphanDependents
}

// jobStorage warns of deletions that do not say what becomes of the pods.
type jobStorage struct {
	*named
}

const orphanedByDefault = "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them or set propagationPolicy=Orphan to suppress this warning"

func warnOfOrphans(ctx context.Context, options *metav1.DeleteOptions) {
	//lint:ignore SA1019 old clients still say it with the deprecated field
	if options != nil && options.PropagationPolicy == nil && options.OrphanDependents == nil {
		warning.AddWarning(ctx, "", orphanedByDefault)
	}
}

// Delete removes a job.
func (s *jobStorage) Delete(ctx context.Context, name string, validate rest.ValidateObjectFunc, options *metav1.DeleteOptions) (runtime.Object, bool, error) {
	warnOfOrphans(ctx, options)
	return s.named.Delete(ctx, name, validate, options)
}

// DeleteCollection removes jobs.
func (s *jobStorage) DeleteCollection(ctx context.Context, validate rest.ValidateObjectFunc, options *metav1.DeleteOptions, list *metainternalversion.ListOptions) (runtime.Object, error) {
	warnOfOrphans(ctx, options)
	return s.named.DeleteCollection(ctx, validate, options, list)
}

func resetJobStatus(job, old *batchv1.Job) {
	job.Status = batchv1.JobStatus{}
	if old != nil {
		job.Status = old.Status
	}
}

func prepareJob(job *batchv1.Job) {
	job.Generation = 1
	job.Spec.Scheduling = nil // Kubernetes 1.37 has the feature off by default.
	dropUnserved(&job.Spec.Template.Spec)
	dropInitAnnotations(job.Spec.Template.Annotations)
	if !*job.Spec.ManualSelector {
		generateSelector(job)
	}
}

// generateSelector makes the pods of a job its own: by the UID, which nobody
// else has, and by the name, which people read. Labels that are there stay, and
// are refused later if they differ (Kubernetes: pkg/registry/batch/job).
func generateSelector(job *batchv1.Job) {
	if job.Spec.Template.Labels == nil {
		job.Spec.Template.Labels = map[string]string{}
	}
	for key, value := range generatedLabels(job) {
		if _, ok := job.Spec.Template.Labels[key]; !ok {
			job.Spec.Template.Labels[key] = value
		}
	}
	if job.Spec.Selector == nil {
		job.Spec.Selector = &metav1.LabelSelector{}
	}
	if job.Spec.Selector.MatchLabels == nil {
		job.Spec.Selector.MatchLabels = map[string]string{}
	}
	if _, ok := job.Spec.Selector.MatchLabels[batchv1.ControllerUidLabel]; !ok {
		job.Spec.Selector.MatchLabels[batchv1.ControllerUidLabel] = string(job.UID)
	}
}

// The labels of the pods of a job before they had a prefix.
const (
	legacyJobName       = "job-name"
	legacyControllerUID = "controller-uid"
)

func generatedLabels(job *batchv1.Job) map[string]string {
	return map[string]string{
		batchv1.JobNameLabel:       job.Name,
		legacyJobName:              job.Name,
		batchv1.ControllerUidLabel: string(job.UID),
		legacyControllerUID:        string(job.UID),
	}
}

func prepareJobUpdate(job, old *batchv1.Job) {
	if old.Spec.Scheduling == nil {
		job.Spec.Scheduling = nil
	}
	if equality.Semantic.DeepEqual(job.Spec, old.Spec) {
		return
	}
	if !usesUnserved(&old.Spec.Template.Spec) {
		dropUnserved(&job.Spec.Template.Spec)
	}
	if !equality.Semantic.DeepEqual(job.Spec, old.Spec) {
		job.Generation = old.Generation + 1
	}
}

func jobWarnings(_ context.Context, job, old *batchv1.Job) []string {
	var warnings []string
	if msgs := utilvalidation.IsDNS1123Label(job.Name); old == nil && len(msgs) > 0 {
		warnings = append(warnings, fmt.Sprintf("metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; a DNS label is recommended: %v", msgs))
	}
	if old != nil && job.Generation == old.Generation {
		return nil
	}
	return append(warnings, podSpecWarnings(&job.Spec.Template.Spec, field.NewPath("spec", "template"))...)
}

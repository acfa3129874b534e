// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"
)

// jobMinimal is what a client has to write, as the server prepares it.
func jobMinimal(change ...func(job *batchv1.Job)) *batchv1.Job {
	job := &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Name: "clean", Namespace: "dev", UID: "u-1"},
		Spec: batchv1.JobSpec{Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
			RestartPolicy: corev1.RestartPolicyNever,
			Containers:    []corev1.Container{{Name: "main", Image: "app:v1"}},
		}}},
	}
	for _, apply := range change {
		apply(job)
	}
	defaultJob(job)
	prepareJob(job)
	return job
}

func TestAJobGetsTheDefaultsOfKubernetes(t *testing.T) {
	t.Parallel()
	job := jobMinimal()
	generated := map[string]string{
		"batch.kubernetes.io/controller-uid": "u-1", "controller-uid": "u-1",
		"batch.kubernetes.io/job-name": "clean", "job-name": "clean",
	}
	if diff := cmp.Diff(generated, job.Spec.Template.Labels); diff != "" {
		t.Errorf("labels of the template (-want +got):\n%s", diff)
	}
	job.Spec.Template = corev1.PodTemplateSpec{}
	want := batchv1.JobSpec{
		Completions: ptr.To[int32](1), Parallelism: ptr.To[int32](1), BackoffLimit: ptr.To[int32](6),
		CompletionMode: ptr.To(batchv1.NonIndexedCompletion), Suspend: ptr.To(false), ManualSelector: ptr.To(false),
		PodReplacementPolicy: ptr.To(batchv1.TerminatingOrFailed),
		Selector:             &metav1.LabelSelector{MatchLabels: map[string]string{"batch.kubernetes.io/controller-uid": "u-1"}},
	}
	if diff := cmp.Diff(want, job.Spec); diff != "" {
		t.Errorf("spec (-want +got):\n%s", diff)
	}
	parallel := jobMinimal(func(job *batchv1.Job) { job.Spec.Parallelism = ptr.To[int32](3) })
	if parallel.Spec.Completions != nil {
		t.Errorf("a work queue has %d completions", *parallel.Spec.Completions)
	}
	labelled := jobMinimal(func(job *batchv1.Job) { job.Spec.Template.Labels = map[string]string{"app": "x"} })
	if diff := cmp.Diff(labelled.Spec.Template.Labels, labelled.Labels); diff != "" {
		t.Errorf("labels of the job and of its template differ:\n%s", diff)
	}
}

func TestAJobThatCannotEndIsRefused(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(job *batchv1.Job)
		want   []string
	}{
		"a plain job": {change: func(*batchv1.Job) {}},
		"restarted for ever": {func(job *batchv1.Job) { job.Spec.Template.Spec.RestartPolicy = corev1.RestartPolicyAlways }, []string{
			`spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"`,
		}},
		"less than none": {func(job *batchv1.Job) { job.Spec.Parallelism = ptr.To[int32](-1) }, []string{"spec.parallelism: Invalid value: -1: must be greater than or equal to 0"}},
		"indexed without a number": {func(job *batchv1.Job) {
			job.Spec.CompletionMode, job.Spec.Parallelism = ptr.To(batchv1.IndexedCompletion), ptr.To[int32](1)
		}, []string{"spec.completions: Required value: when completion mode is Indexed"}},
		"somebody else's label": {func(job *batchv1.Job) { job.Spec.Template.Labels = map[string]string{"job-name": "other"} }, []string{
			"spec.template.metadata.labels[job-name]: Invalid value: {…",
		}},
		"somebody else's pods": {func(job *batchv1.Job) {
			job.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "x"}}
		}, []string{
			"spec.template.metadata.labels: Invalid value: {…", "spec.selector: Invalid value: {…",
		}},
		"its own selector": {change: func(job *batchv1.Job) {
			job.Spec.ManualSelector = ptr.To(true)
			job.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "x"}}
			job.Spec.Template.Labels = map[string]string{"app": "x"}
		}},
		"no image": {func(job *batchv1.Job) { job.Spec.Template.Spec.Containers[0].Image = "" }, []string{"spec.template.spec.containers[0].image: Required value"}},
		"a failure policy": {func(job *batchv1.Job) {
			job.Spec.PodFailurePolicy = &batchv1.PodFailurePolicy{Rules: []batchv1.PodFailurePolicyRule{{Action: batchv1.PodFailurePolicyActionIgnore}}}
		}, []string{"spec.podFailurePolicy.rules[0]: Invalid value: specifying one of OnExitCodes and OnPodConditions is required"}},
		"a name for its indexes": {func(job *batchv1.Job) {
			job.Name, job.Spec.CompletionMode, job.Spec.Completions = "a.b", ptr.To(batchv1.IndexedCompletion), ptr.To[int32](2)
		}, []string{`metadata.name: Invalid value: "a.b": will not able to create pod with invalid DNS label: a.b-1`}},
	} {
		job := jobMinimal(test.change)
		podExpect(t, name, append(validateJob(job), validateGeneratedLabels(job)...), test.want...)
	}
}

func TestWhatAJobBeganWithStays(t *testing.T) {
	t.Parallel()
	suspended := func(job *batchv1.Job) { job.Spec.Suspend = ptr.To(true) }
	indexed := func(job *batchv1.Job) {
		job.Spec.CompletionMode, job.Spec.Completions, job.Spec.Parallelism = ptr.To(batchv1.IndexedCompletion), ptr.To[int32](2), ptr.To[int32](2)
	}
	nothing := func(*batchv1.Job) {}
	more := func(job *batchv1.Job) {
		job.Spec.Template.Spec.Containers[0].Resources.Requests = corev1.ResourceList{"cpu": resource.MustParse("1")}
	}
	for name, test := range map[string]struct {
		before, change func(job *batchv1.Job)
		want           []string
	}{
		"suspended":            {nothing, suspended, nil},
		"more at a time":       {nothing, func(job *batchv1.Job) { job.Spec.Parallelism = ptr.To[int32](4) }, nil},
		"more in all":          {nothing, func(job *batchv1.Job) { job.Spec.Completions = ptr.To[int32](4) }, []string{"spec.completions: Invalid value: 4: field is immutable"}},
		"indexed, more in all": {indexed, func(job *batchv1.Job) { job.Spec.Completions = ptr.To[int32](4) }, []string{"spec.completions: Invalid value: 4: can only be modified in tandem with spec.parallelism"}},
		"indexed, longer and wider": {indexed, func(job *batchv1.Job) {
			job.Spec.Completions, job.Spec.Parallelism = ptr.To[int32](4), ptr.To[int32](4)
		}, nil},
		"another image":                   {nothing, func(job *batchv1.Job) { job.Spec.Template.Spec.Containers[0].Image = "b" }, []string{"spec.template: Invalid value: {…"}},
		"another image while it waits":    {suspended, func(job *batchv1.Job) { job.Spec.Template.Spec.Containers[0].Image = "b" }, []string{"spec.template.spec: Invalid value: {…"}},
		"more resources":                  {nothing, more, []string{"spec.template: Invalid value: {…"}},
		"more resources while it waits":   {suspended, more, nil},
		"a place for its pods, meanwhile": {suspended, func(job *batchv1.Job) { job.Spec.Template.Spec.NodeSelector = map[string]string{"a": "b"} }, nil},
		"nodes to like, meanwhile": {suspended, func(job *batchv1.Job) {
			job.Spec.Template.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{}}
		}, nil},
		"other pods": {nothing, func(job *batchv1.Job) { job.Spec.Selector = &metav1.LabelSelector{} }, []string{"spec.selector: Invalid value: {…"}},
	} {
		old := jobMinimal(test.before)
		job := old.DeepCopy()
		test.change(job)
		podExpect(t, name, validateJobUpdate(job, old), test.want...)
	}
}

func TestTheEndOfAJobIsFinal(t *testing.T) {
	t.Parallel()
	start, end := metav1.NewTime(time.Unix(100, 0)), metav1.NewTime(time.Unix(160, 0))
	is := func(kinds ...batchv1.JobConditionType) []batchv1.JobCondition {
		var conditions []batchv1.JobCondition
		for _, kind := range kinds {
			conditions = append(conditions, batchv1.JobCondition{Type: kind, Status: corev1.ConditionTrue})
		}
		return conditions
	}
	complete := batchv1.JobStatus{StartTime: &start, CompletionTime: &end, Succeeded: 1, Conditions: is(batchv1.JobSuccessCriteriaMet, batchv1.JobComplete)}
	for name, test := range map[string]struct {
		before, after batchv1.JobStatus
		want          []string
	}{
		"the start":              {after: batchv1.JobStatus{StartTime: &start, Active: 1, Ready: ptr.To[int32](1)}},
		"the end":                {batchv1.JobStatus{StartTime: &start}, complete, nil},
		"the end without a time": {batchv1.JobStatus{StartTime: &start}, batchv1.JobStatus{StartTime: &start, Conditions: complete.Conditions}, []string{"status.completionTime: Required value: completionTime is required for Complete jobs"}},
		"a second life":          {complete, batchv1.JobStatus{StartTime: &start, Succeeded: 1, Conditions: is(batchv1.JobSuccessCriteriaMet)}, []string{"status.conditions: Invalid value: cannot disable the terminal Complete=True condition"}},
		"fewer successes":        {batchv1.JobStatus{Succeeded: 2}, batchv1.JobStatus{Succeeded: 1}, []string{"status.succeeded: Invalid value: 1: cannot decrease the succeeded counter"}},
		"a sudden failure": {batchv1.JobStatus{StartTime: &start}, batchv1.JobStatus{StartTime: &start, Conditions: is(batchv1.JobFailed)}, []string{
			"status.conditions: Invalid value: cannot set Failed=True condition without the FailureTarget=true condition",
		}},
		"more ready than there are": {after: batchv1.JobStatus{Ready: ptr.To[int32](1)}, want: []string{"status.ready: Invalid value: 1: cannot set more ready pods than active"}},
		"an end with pods": {batchv1.JobStatus{StartTime: &start}, batchv1.JobStatus{StartTime: &start, Active: 1, Conditions: is(batchv1.JobFailureTarget, batchv1.JobFailed)}, []string{
			"status.active: Invalid value: 1: active>0 is invalid for finished job",
		}},
		"another start": {batchv1.JobStatus{StartTime: &start}, batchv1.JobStatus{StartTime: &end}, []string{"status.startTime: Invalid value: \"1970-01-01T00:02:40Z\": field is immutable for unsuspended job once set"}},
	} {
		job, old := jobMinimal(), jobMinimal()
		job.Status, old.Status = test.after, test.before
		podExpect(t, name, validateJobStatus(job, old), test.want...)
	}
}

func TestAJobIsPrintedAsKubectlUsersKnowIt(t *testing.T) {
	t.Parallel()
	job := jobMinimal(func(job *batchv1.Job) {
		job.Spec.Template.Spec.Containers = append(job.Spec.Template.Spec.Containers, corev1.Container{Name: "side", Image: "b"})
	})
	start, end := metav1.NewTime(time.Unix(100, 0)), metav1.NewTime(time.Unix(160, 0))
	job.Status = batchv1.JobStatus{StartTime: &start, CompletionTime: &end, Succeeded: 1, Conditions: []batchv1.JobCondition{{Type: batchv1.JobComplete, Status: corev1.ConditionTrue}}}
	want := []any{"clean", "Complete", "1/1", "60s", "<unknown>", "main,side", "app:v1,b", "batch.kubernetes.io/controller-uid=u-1"}
	if diff := cmp.Diff(want, jobRow(job)); diff != "" {
		t.Errorf("row (-want +got):\n%s", diff)
	}
	queue := jobMinimal(func(job *batchv1.Job) { job.Spec.Parallelism = ptr.To[int32](3) })
	if got := jobRow(queue)[1:4]; !cmp.Equal(got, []any{"Running", "0/1 of 3", ""}) {
		t.Errorf("a queue prints %q", got)
	}
}

func TestJobsWarnOfWhatTheirPodsWill(t *testing.T) {
	t.Parallel()
	job := jobMinimal(func(job *batchv1.Job) {
		job.Spec.Template.Spec.ImagePullSecrets = []corev1.LocalObjectReference{{}}
	})
	want := []string{`spec.template.spec.imagePullSecrets[0].name: invalid empty name ""`}
	if diff := cmp.Diff(want, jobWarnings(t.Context(), job, nil)); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
	pod := podMinimal(podProjecting(corev1.VolumeProjection{}))
	if diff := cmp.Diff([]string{`volume "v" (Projected) has no sources provided`}, podSpecWarnings(&pod.Spec, (*field.Path)(nil))); diff != "" {
		t.Errorf("warnings of a pod (-want +got):\n%s", diff)
	}
}

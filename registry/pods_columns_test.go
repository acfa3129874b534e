// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

func TestTheStatusOfAPodIsReadInOneWord(t *testing.T) {
	t.Parallel()
	ended := func(code int32, reason string) corev1.ContainerState {
		return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code, Reason: reason}}
	}
	waiting := func(reason string) corev1.ContainerState {
		return corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason}}
	}
	running := corev1.ContainerStatus{Name: "main", Ready: true, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}
	ready := []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	always := ptr.To(corev1.ContainerRestartPolicyAlways)
	now := metav1.Now()
	for name, test := range map[string]struct {
		pod                     corev1.Pod
		ready, status, restarts string
	}{
		"pending": {corev1.Pod{Status: corev1.PodStatus{Phase: corev1.PodPending}}, "0/1", "Pending", "0"},
		"running": {corev1.Pod{Status: corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: []corev1.ContainerStatus{running}}}, "1/1", "Running", "0"},
		"evicted": {corev1.Pod{Status: corev1.PodStatus{Phase: corev1.PodFailed, Reason: "Evicted"}}, "0/1", "Evicted", "0"},
		"gated": {corev1.Pod{Status: corev1.PodStatus{Phase: corev1.PodPending, Conditions: []corev1.PodCondition{
			{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "SchedulingGated"},
		}}}, "0/1", "SchedulingGated", "0"},
		"crashing": {corev1.Pod{Status: corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: []corev1.ContainerStatus{
			{Name: "main", State: waiting("CrashLoopBackOff"), RestartCount: 4},
		}}}, "0/1", "CrashLoopBackOff", "4"},
		"restarted": {corev1.Pod{Status: corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: []corev1.ContainerStatus{{
			Name: "main", RestartCount: 1, Ready: true, State: running.State,
			LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{FinishedAt: metav1.NewTime(time.Now().Add(-2*time.Hour - time.Minute))}},
		}}}}, "1/1", "Running", "1 (121m ago)"},
		"killed":   {corev1.Pod{Status: corev1.PodStatus{Phase: corev1.PodFailed, ContainerStatuses: []corev1.ContainerStatus{{Name: "main", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Signal: 9}}}}}}, "0/1", "Signal:9", "0"},
		"failed":   {corev1.Pod{Status: corev1.PodStatus{Phase: corev1.PodFailed, ContainerStatuses: []corev1.ContainerStatus{{Name: "main", State: ended(3, "")}}}}, "0/1", "ExitCode:3", "0"},
		"complete": {corev1.Pod{Status: corev1.PodStatus{Phase: corev1.PodSucceeded, ContainerStatuses: []corev1.ContainerStatus{{Name: "main", State: ended(0, "Completed")}}}}, "0/1", "Completed", "0"},
		"one of two complete": {corev1.Pod{Status: corev1.PodStatus{Phase: corev1.PodRunning, Conditions: ready, ContainerStatuses: []corev1.ContainerStatus{
			{Name: "done", State: ended(0, "Completed")}, running,
		}}}, "1/1", "Running", "0"},
		"initializing": {corev1.Pod{
			Spec: corev1.PodSpec{InitContainers: []corev1.Container{{Name: "a"}, {Name: "b"}}},
			Status: corev1.PodStatus{Phase: corev1.PodPending, InitContainerStatuses: []corev1.ContainerStatus{
				{Name: "a", State: ended(0, "Completed")}, {Name: "b", State: waiting("PodInitializing")},
			}},
		}, "0/1", "Init:1/2", "0"},
		"failing to initialize": {corev1.Pod{
			Spec:   corev1.PodSpec{InitContainers: []corev1.Container{{Name: "a"}}},
			Status: corev1.PodStatus{Phase: corev1.PodPending, InitContainerStatuses: []corev1.ContainerStatus{{Name: "a", State: ended(1, ""), RestartCount: 2}}},
		}, "0/1", "Init:ExitCode:1", "2"},
		"with a sidecar": {corev1.Pod{
			Spec: corev1.PodSpec{InitContainers: []corev1.Container{{Name: "side", RestartPolicy: always}}},
			Status: corev1.PodStatus{
				Phase:                 corev1.PodRunning,
				InitContainerStatuses: []corev1.ContainerStatus{{Name: "side", Started: ptr.To(true), Ready: true, RestartCount: 3}},
				ContainerStatuses:     []corev1.ContainerStatus{running},
			},
		}, "2/2", "Running", "3"},
		"terminating": {corev1.Pod{ObjectMeta: metav1.ObjectMeta{DeletionTimestamp: &now}, Status: corev1.PodStatus{Phase: corev1.PodRunning}}, "0/1", "Terminating", "0"},
		"lost":        {corev1.Pod{ObjectMeta: metav1.ObjectMeta{DeletionTimestamp: &now}, Status: corev1.PodStatus{Phase: corev1.PodRunning, Reason: "NodeLost"}}, "0/1", "Unknown", "0"},
	} {
		test.pod.Spec.Containers = []corev1.Container{{Name: "main"}}
		row := podRow(&test.pod)
		if len(row) != len(podColumns()) {
			t.Fatalf("%d cells in %d columns", len(row), len(podColumns()))
		}
		if row[1] != test.ready || row[2] != test.status || row[3] != test.restarts {
			t.Errorf("%s: got %v, want %s %s %s", name, row[1:4], test.ready, test.status, test.restarts)
		}
	}
}

func TestReadinessGatesArePassedOneByOne(t *testing.T) {
	t.Parallel()
	pod := &corev1.Pod{
		Spec:   corev1.PodSpec{ReadinessGates: []corev1.PodReadinessGate{{ConditionType: "a"}, {ConditionType: "b"}}},
		Status: corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: "a", Status: corev1.ConditionTrue}, {Type: "b", Status: corev1.ConditionFalse}}},
	}
	if got := podRow(pod)[8]; got != "1/2" {
		t.Errorf("readiness gates %v, want 1/2", got)
	}
}

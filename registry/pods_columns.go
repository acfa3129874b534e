// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"fmt"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

func podColumns() []metav1.TableColumnDefinition {
	spec, status := corev1.PodSpec{}.SwaggerDoc(), corev1.PodStatus{}.SwaggerDoc()
	return []metav1.TableColumnDefinition{
		nameColumn(),
		column("Ready", "string", "The aggregate readiness state of this pod for accepting traffic."),
		column("Status", "string", "The aggregate status of the containers in this pod."),
		column("Restarts", "string", "The number of times the containers in this pod have been restarted and when the last container in this pod has restarted."),
		ageColumn(),
		wide("IP", "string", status["podIP"]),
		wide("Node", "string", spec["nodeName"]),
		wide("Nominated Node", "string", status["nominatedNodeName"]),
		wide("Readiness Gates", "string", spec["readinessGates"]),
	}
}

func podRow(pod *corev1.Pod) []any {
	state := summarize(pod)
	return []any{
		pod.Name, fmt.Sprintf("%d/%d", state.ready, state.total), state.reason, state.restarts.String(), age(pod),
		orNone(pod.Status.PodIP), orNone(pod.Spec.NodeName), orNone(pod.Status.NominatedNodeName), gatesPassed(pod),
	}
}

func orNone(text string) string {
	if text == "" {
		return "<none>"
	}
	return text
}

func gatesPassed(pod *corev1.Pod) string {
	if len(pod.Spec.ReadinessGates) == 0 {
		return "<none>"
	}
	passed := 0
	for _, gate := range pod.Spec.ReadinessGates {
		if isPodCondition(pod, gate.ConditionType) {
			passed++
		}
	}
	return fmt.Sprintf("%d/%d", passed, len(pod.Spec.ReadinessGates))
}

func isPodCondition(pod *corev1.Pod, kind corev1.PodConditionType) bool {
	condition := podCondition(&pod.Status, kind)
	return condition != nil && condition.Status == corev1.ConditionTrue
}

// restarts counts how often containers were started again.
type restarts struct {
	count int
	last  metav1.Time
}

func (r *restarts) add(status *corev1.ContainerStatus) {
	r.count += int(status.RestartCount)
	if ended := status.LastTerminationState.Terminated; ended != nil && r.last.Before(&ended.FinishedAt) {
		r.last = ended.FinishedAt
	}
}

// String is the count and when it last grew.
func (r *restarts) String() string {
	if r.count == 0 || r.last.IsZero() {
		return strconv.Itoa(r.count)
	}
	return fmt.Sprintf("%d (%s ago)", r.count, ago(r.last))
}

// podSummary is a pod in one line.
type podSummary struct {
	reason       string
	ready, total int
	restarts     restarts
}

// summarize says of a pod what kubectl users are used to read (Kubernetes:
// pkg/printers/internalversion, printPod).
func summarize(pod *corev1.Pod) podSummary {
	s := podSummary{reason: string(pod.Status.Phase), total: len(pod.Spec.Containers)}
	if pod.Status.Reason != "" {
		s.reason = pod.Status.Reason
	}
	if scheduled := podCondition(&pod.Status, corev1.PodScheduled); scheduled != nil && scheduled.Reason == corev1.PodReasonSchedulingGated {
		s.reason = corev1.PodReasonSchedulingGated
	}
	sidecars := map[string]bool{}
	for i := range pod.Spec.InitContainers {
		if container := &pod.Spec.InitContainers[i]; isSidecar(container) {
			sidecars[container.Name] = true
			s.total++
		}
	}
	ofSidecars, initializing := s.initContainers(pod, sidecars)
	if !initializing || isPodCondition(pod, corev1.PodInitialized) {
		s.restarts = ofSidecars
		s.mainContainers(pod)
	}
	switch {
	case pod.DeletionTimestamp == nil:
	case pod.Status.Reason == "NodeLost":
		s.reason = "Unknown"
	case !hasEnded(pod):
		s.reason = "Terminating"
	}
	return s
}

// initContainers goes through the init containers up to the first that is not
// done. It returns the restarts of the sidecars, and whether there was one.
func (s *podSummary) initContainers(pod *corev1.Pod, sidecars map[string]bool) (ofSidecars restarts, initializing bool) {
	for i := range pod.Status.InitContainerStatuses {
		status := &pod.Status.InitContainerStatuses[i]
		s.restarts.add(status)
		if sidecars[status.Name] {
			ofSidecars.add(status)
		}
		switch {
		case status.State.Terminated != nil && status.State.Terminated.ExitCode == 0:
			continue
		case sidecars[status.Name] && ptr.Deref(status.Started, false):
			if status.Ready {
				s.ready++
			}
			continue
		case status.State.Terminated != nil:
			s.reason = "Init:" + endReason(status.State.Terminated)
		case status.State.Waiting != nil && status.State.Waiting.Reason != "" && status.State.Waiting.Reason != "PodInitializing":
			s.reason = "Init:" + status.State.Waiting.Reason
		default:
			s.reason = fmt.Sprintf("Init:%d/%d", i, len(pod.Spec.InitContainers))
		}
		return ofSidecars, true
	}
	return ofSidecars, false
}

// mainContainers goes through the containers from the last to the first, whose
// reason counts most.
func (s *podSummary) mainContainers(pod *corev1.Pod) {
	running, failure := false, ""
	for i := len(pod.Status.ContainerStatuses) - 1; i >= 0; i-- {
		status := &pod.Status.ContainerStatuses[i]
		s.restarts.add(status)
		switch {
		case status.State.Waiting != nil && status.State.Waiting.Reason != "":
			s.reason = status.State.Waiting.Reason
		case status.State.Terminated != nil:
			s.reason = endReason(status.State.Terminated)
			if status.State.Terminated.ExitCode != 0 {
				failure = s.reason
			}
		case status.Ready && status.State.Running != nil:
			running = true
			s.ready++
		}
	}
	if s.reason != "Completed" {
		return
	}
	switch {
	case running && isPodCondition(pod, corev1.PodReady):
		s.reason = "Running"
	case failure != "":
		s.reason = failure
	case running:
		s.reason = "NotReady"
	}
}

func endReason(ended *corev1.ContainerStateTerminated) string {
	switch {
	case ended.Reason != "":
		return ended.Reason
	case ended.Signal != 0:
		return fmt.Sprintf("Signal:%d", ended.Signal)
	}
	return fmt.Sprintf("ExitCode:%d", ended.ExitCode)
}

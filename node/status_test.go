// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package node

import (
	"errors"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestThePodSaysThatItsProcessRuns(t *testing.T) {
	t.Parallel()
	server := newFakeServer()
	p := pod{client: server.CoreV1().Pods("dev"), object: server.process(t.TempDir(), "sh").podObject("ship")}
	if err := p.create(t.Context()); err != nil {
		t.Fatal(err)
	}
	since := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	p.tellRunning(t.Context(), since)
	told, err := p.client.Get(t.Context(), p.object.Name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	status := told.Status
	if status.Phase != corev1.PodRunning || !status.StartTime.Time.Equal(since) || len(status.ContainerStatuses) != 1 || !status.ContainerStatuses[0].Ready {
		t.Errorf("the status is %+v", status)
	}
}

func TestWhoeverMayNotWriteAStatusRunsAllTheSame(t *testing.T) {
	t.Parallel()
	server, dir := newFakeServer(), t.TempDir()
	server.fail("patch pods/status", errors.New("pods is forbidden"))
	if code, err := server.process(dir, "sh", "-c", "exit 3").Run(t.Context()); err != nil || code != 3 {
		t.Errorf("Run = %d, %v", code, err)
	}
	checkNothingLeft(t, server, dir)
}

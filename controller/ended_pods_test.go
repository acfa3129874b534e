// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/testutil"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
)

// podOn is a pod on a node, that has been there for some minutes.
func podOn(name, node string, phase corev1.PodPhase, minutes int) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "dev", Name: name, UID: types.UID("uid-" + name),
			CreationTimestamp: metav1.NewTime(noon.Add(-time.Duration(minutes) * time.Minute)),
		},
		Spec:   corev1.PodSpec{NodeName: node},
		Status: corev1.PodStatus{Phase: phase},
	}
}

// collecting is a collector that has seen objects, and the store that they are in.
func collecting(now *time.Time, threshold int, objects ...client.Object) (*endedPods, client.Client) {
	store := fakeStore(objects...)
	e := newEndedPods(store, nil, threshold, func() time.Time { return *now }, NewMetrics())
	e.pods, e.nodes, e.missing = map[types.UID]podState{}, map[string]nodeState{}, map[string]time.Time{}
	for _, object := range objects {
		seenPods{e}.see(object)
		seenNodes{e}.see(object)
	}
	return e, store
}

func podsLeft(t *testing.T, store client.Client) []string {
	t.Helper()
	pods := &corev1.PodList{}
	if err := store.List(t.Context(), pods); err != nil {
		t.Fatal(err)
	}
	var left []string
	for _, pod := range pods.Items {
		left = append(left, pod.Name)
	}
	slices.Sort(left)
	return left
}

func TestOfPodsThatHaveEndedTheOldestGo(t *testing.T) {
	t.Parallel()
	evicted := podOn("evicted", "", corev1.PodFailed, 1)
	evicted.Status.Reason = "Evicted"
	objects := []client.Object{
		podOn("older", "", corev1.PodSucceeded, 3), podOn("old", "", corev1.PodFailed, 2), podOn("new", "", corev1.PodSucceeded, 1),
		podOn("running", "", corev1.PodRunning, 9), podOn("pending", "", corev1.PodPending, 9), evicted,
	}
	for threshold, want := range map[int][]string{
		4: {"evicted", "new", "old", "older", "pending", "running"},
		2: {"new", "old", "pending", "running"},
		0: {"evicted", "new", "old", "older", "pending", "running"},
	} {
		now := noon
		e, store := collecting(&now, threshold, objects...)
		if err := e.look(t.Context()); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, podsLeft(t, store)); diff != "" {
			t.Errorf("threshold %d: other pods are left (-want +got):\n%s", threshold, diff)
		}
	}
}

func TestPodsOfANodeThatIsGoneGoAfterAWhile(t *testing.T) {
	t.Parallel()
	run := podOn("run", "gone", corev1.PodRunning, 1)
	run.Labels = map[string]string{RunLabel: RunLabelValue}
	now := noon
	e, store := collecting(
		&now, 0,
		&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "there"}},
		podOn("one", "there", corev1.PodRunning, 1), podOn("two", "gone", corev1.PodRunning, 1), podOn("three", "", corev1.PodPending, 1), run,
	)
	all := []string{"one", "run", "three", "two"}
	for _, test := range []struct {
		after time.Duration
		want  []string
	}{{0, all}, {nodeQuarantine - time.Second, all}, {time.Second, []string{"one", "run", "three"}}} {
		now = now.Add(test.after)
		if err := e.look(t.Context()); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(test.want, podsLeft(t, store)); diff != "" {
			t.Errorf("at %s other pods are left (-want +got):\n%s", now, diff)
		}
	}
}

func TestAPodStaysIfItsNodeIsThereAfterAll(t *testing.T) {
	t.Parallel()
	now := noon
	e, store := collecting(&now, 0, podOn("one", "new", corev1.PodRunning, 1))
	if err := e.look(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := store.Create(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "new"}}); err != nil {
		t.Fatal(err)
	}
	now = now.Add(2 * nodeQuarantine) // the watch is late
	if err := e.look(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := podsLeft(t, store); len(got) != 1 {
		t.Error("the pod is gone, though its node is in the store")
	}
}

func TestPodsThatAreBeingDeletedDoNotWaitForNobody(t *testing.T) {
	t.Parallel()
	ending := func(name, node string) podState {
		return podState{namespace: "dev", name: name, node: node, uid: types.UID("uid-" + name), phase: corev1.PodRunning, deleting: true}
	}
	now := noon
	e, store := collecting(&now, 0,
		podOn("unscheduled", "", corev1.PodRunning, 1), podOn("on-dead", "dead", corev1.PodRunning, 1), podOn("on-well", "well", corev1.PodRunning, 1))
	taint := []corev1.Taint{{Key: corev1.TaintNodeOutOfService, Effect: corev1.TaintEffectNoExecute}}
	ready := []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
	seenNodes{e}.see(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "dead"}, Spec: corev1.NodeSpec{Taints: taint}})
	seenNodes{e}.see(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "well"}, Spec: corev1.NodeSpec{Taints: taint}, Status: corev1.NodeStatus{Conditions: ready}})
	for _, pod := range []podState{ending("unscheduled", ""), ending("on-dead", "dead"), ending("on-well", "well")} {
		e.pods[pod.uid] = pod
	}
	if err := e.look(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := podsLeft(t, store); !slices.Equal(got, []string{"on-well"}) {
		t.Errorf("left are %v, want the one whose node is well", got)
	}
}

func TestPodsThatAreEndedAreCountedByWhy(t *testing.T) {
	t.Parallel()
	now := noon
	e, store := collecting(&now, 1,
		podOn("old", "", corev1.PodSucceeded, 3), podOn("new", "", corev1.PodFailed, 2),
		podOn("orphan", "gone", corev1.PodRunning, 1), podOn("stuck", "gone", corev1.PodRunning, 1),
		podOn("unscheduled", "", corev1.PodPending, 1), podOn("out", "dead", corev1.PodRunning, 1))
	e.client = interceptor.NewClient(store.(client.WithWatch), interceptor.Funcs{
		Delete: func(ctx context.Context, c client.WithWatch, object client.Object, options ...client.DeleteOption) error {
			if object.GetName() == "stuck" {
				return errors.New("refused")
			}
			return c.Delete(ctx, object, options...)
		},
	})
	for _, name := range []types.UID{"uid-unscheduled", "uid-out"} {
		pod := e.pods[name]
		pod.deleting = true
		e.pods[name] = pod
	}
	e.nodes["dead"] = nodeState{outOfService: true}
	e.missing["gone"] = noon.Add(-nodeQuarantine)
	registry := metrics.NewKubeRegistry()
	if err := e.metrics.Register(registry); err != nil {
		t.Fatal(err)
	}
	if err := e.look(t.Context()); err == nil {
		t.Error("a deletion that is refused is no error")
	}
	want := `# HELP pod_gc_collector_force_delete_pod_errors_total [ALPHA] Number of errors encountered when forcefully deleting the pods since the Pod GC Controller started.
# TYPE pod_gc_collector_force_delete_pod_errors_total counter
pod_gc_collector_force_delete_pod_errors_total{namespace="dev",reason="orphaned"} 1
# HELP pod_gc_collector_force_delete_pods_total [ALPHA] Number of pods that are being forcefully deleted since the Pod GC Controller started.
# TYPE pod_gc_collector_force_delete_pods_total counter
pod_gc_collector_force_delete_pods_total{namespace="dev",reason="orphaned"} 2
pod_gc_collector_force_delete_pods_total{namespace="dev",reason="out-of-service"} 1
pod_gc_collector_force_delete_pods_total{namespace="dev",reason="terminated"} 1
pod_gc_collector_force_delete_pods_total{namespace="dev",reason="unscheduled"} 1
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "pod_gc_collector_force_delete_pods_total", "pod_gc_collector_force_delete_pod_errors_total"); err != nil {
		t.Error(err)
	}
}

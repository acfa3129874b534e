// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"
)

const (
	// endedPodsPeriod is how often the pods are looked through, nodeQuarantine for
	// how long a node has to be missing before its pods are deleted (Kubernetes:
	// pkg/controller/podgc).
	endedPodsPeriod = 20 * time.Second
	nodeQuarantine  = 40 * time.Second
	outOfService    = corev1.TaintNodeOutOfService

	// Why pods are deleted, in metrics (pkg/controller/podgc/metrics).
	becauseTerminated   = "terminated"
	becauseOutOfService = "out-of-service"
	becauseOrphaned     = "orphaned"
	becauseUnscheduled  = "unscheduled"
)

// endedPods deletes the pods that nobody runs any more:
//
//   - those that have ended, the oldest first, when there are more of them than a
//     threshold;
//   - those on a node that is gone, or out of service while they are being deleted;
//   - those that are being deleted and are on no node.
//
// A pod of a "muster run" ends with its lease instead (lapsedPods).
type endedPods struct {
	client client.Client
	config *rest.Config
	// threshold is how many ended pods may stay; zero or less: all.
	threshold int
	now       func() time.Time
	metrics   *Metrics

	mu sync.Mutex
	// pods and nodes are what there is. Guarded by mu.
	pods  map[types.UID]podState
	nodes map[string]nodeState
	// missing is since when a node has been. It belongs to the one who looks.
	missing map[string]time.Time
}

// podState is what is kept of a pod.
type podState struct {
	namespace, name, node string
	uid                   types.UID
	phase                 corev1.PodPhase
	created               time.Time
	deleting, evicted     bool
}

// nodeState is what is kept of a node.
type nodeState struct{ outOfService bool }

func newEndedPods(direct client.Client, config *rest.Config, threshold int, now func() time.Time, counts *Metrics) *endedPods {
	return &endedPods{client: direct, config: config, threshold: threshold, now: now, metrics: counts}
}

func (e *endedPods) register(m manager.Manager) error { return m.Add(manager.RunnableFunc(e.run)) }

// run follows pods and nodes, and looks through them now and then. It begins a
// period late: whole pods are read, and a server that has just started has better
// things to do.
func (e *endedPods) run(ctx context.Context) error {
	pause(ctx, endedPodsPeriod)
	config := rest.CopyConfig(e.config)
	config.ContentType = runtime.ContentTypeProtobuf
	clients, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("making a client for pods: %w", err)
	}
	e.pods, e.nodes, e.missing = map[types.UID]podState{}, map[string]nodeState{}, map[string]time.Time{}
	var following sync.WaitGroup
	defer following.Wait()
	const followed = 2
	seen := make(chan struct{}, followed)
	synced := func() { seen <- struct{}{} }
	following.Go(func() {
		follow(ctx, "pods", clients.CoreV1().Pods(""), &corev1.Pod{}, seenPods{e}, synced)
	})
	following.Go(func() {
		follow(ctx, "nodes", clients.CoreV1().Nodes(), &corev1.Node{}, seenNodes{e}, synced)
	})
	for range followed {
		select {
		case <-seen:
		case <-ctx.Done():
			return nil
		}
	}
	ticker := time.NewTicker(endedPodsPeriod)
	defer ticker.Stop()
	for {
		if err := e.look(ctx); err != nil && ctx.Err() == nil {
			log.FromContext(ctx).Error(err, "Deleting pods that nobody runs")
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// look deletes what is due. It returns the first error, and goes on.
func (e *endedPods) look(ctx context.Context) error {
	e.mu.Lock()
	due := map[string][]podState{becauseTerminated: surplus(e.pods, e.threshold)}
	gone := e.goneNodes()
	for _, pod := range e.pods {
		switch {
		case !pod.deleting:
		case pod.node == "":
			due[becauseUnscheduled] = append(due[becauseUnscheduled], pod)
		case e.nodes[pod.node].outOfService:
			due[becauseOutOfService] = append(due[becauseOutOfService], pod)
		}
	}
	orphans := e.orphans(gone)
	e.mu.Unlock()

	var first error
	keep := func(err error) {
		if first == nil {
			first = err
		}
	}
	for why, pods := range due {
		for _, pod := range pods {
			keep(e.end(ctx, pod, why, nil))
		}
	}
	for node, pods := range orphans {
		err := e.client.Get(ctx, types.NamespacedName{Name: node}, &corev1.Node{})
		if !apierrors.IsNotFound(err) {
			keep(err)
			continue
		}
		for _, pod := range pods {
			keep(e.end(ctx, pod, becauseOrphaned, &corev1.PodCondition{
				Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(e.now()),
				Reason: "DeletionByPodGC", Message: "PodGC: node no longer exists",
			}))
		}
	}
	return first
}

// goneNodes are the nodes of pods that have been missing long enough. mu is held.
func (e *endedPods) goneNodes() map[string]bool {
	now, gone, still := e.now(), map[string]bool{}, map[string]time.Time{}
	for _, pod := range e.pods {
		if _, there := e.nodes[pod.node]; there || pod.node == "" {
			continue
		}
		since, known := e.missing[pod.node]
		if !known {
			since = now
		}
		still[pod.node] = since
		if now.Sub(since) >= nodeQuarantine {
			gone[pod.node] = true
		}
	}
	e.missing = still
	return gone
}

// orphans are the pods of nodes, by node. mu is held.
func (e *endedPods) orphans(nodes map[string]bool) map[string][]podState {
	orphans := map[string][]podState{}
	for _, pod := range e.pods {
		if nodes[pod.node] {
			orphans[pod.node] = append(orphans[pod.node], pod)
		}
	}
	return orphans
}

// surplus are the ended pods beyond a threshold: evicted ones first, then the
// oldest.
func surplus(pods map[types.UID]podState, threshold int) []podState {
	var ended []podState
	for _, pod := range pods {
		if pod.phase == corev1.PodSucceeded || pod.phase == corev1.PodFailed {
			ended = append(ended, pod)
		}
	}
	if threshold <= 0 || len(ended) <= threshold {
		return nil
	}
	slices.SortFunc(ended, func(a, b podState) int {
		if a.evicted != b.evicted {
			if a.evicted {
				return -1
			}
			return 1
		}
		return cmp.Or(a.created.Compare(b.created), strings.Compare(a.name, b.name))
	})
	return ended[:len(ended)-threshold]
}

// end deletes a pod, and counts it.
func (e *endedPods) end(ctx context.Context, pod podState, why string, condition *corev1.PodCondition) error {
	err := e.force(ctx, pod, condition)
	e.metrics.endedPods.WithLabelValues(pod.namespace, why).Inc()
	if err != nil {
		e.metrics.endedPodErrors.WithLabelValues(pod.namespace, why).Inc()
	}
	return err
}

// force deletes a pod at once, after saying that it has failed if it has not ended.
func (e *endedPods) force(ctx context.Context, pod podState, condition *corev1.PodCondition) error {
	object := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: pod.namespace, Name: pod.name}}
	name := klog.KRef(pod.namespace, pod.name)
	log.FromContext(ctx).Info("Deleting a pod that nobody runs", "pod", name)
	if pod.phase != corev1.PodSucceeded && pod.phase != corev1.PodFailed {
		status := map[string]any{"phase": corev1.PodFailed}
		if condition != nil {
			status["conditions"] = []corev1.PodCondition{*condition}
		}
		patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": pod.uid}, "status": status})
		if err == nil {
			err = e.client.Status().Patch(ctx, object, client.RawPatch(types.StrategicMergePatchType, patch))
		}
		if err != nil {
			return gone(err, "failing", name)
		}
	}
	return gone(e.client.Delete(ctx, object, client.GracePeriodSeconds(0), client.Preconditions{UID: &pod.uid}), "deleting", name)
}

// gone takes it for success that an object is gone, or another one of its name.
func gone(err error, doing string, name klog.ObjectRef) error {
	if err == nil || apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return fmt.Errorf("%s pod %q: %w", doing, name, err)
}

// seenPods takes what is kept of pods.
type seenPods struct{ *endedPods }

func (s seenPods) see(object any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	keepPod(s.pods, object)
}

func keepPod(pods map[types.UID]podState, object any) {
	pod, ok := object.(*corev1.Pod)
	if !ok {
		return
	}
	if pod.Labels[RunLabel] == RunLabelValue {
		delete(pods, pod.UID)
		return
	}
	pods[pod.UID] = podState{
		namespace: pod.Namespace, name: pod.Name, node: pod.Spec.NodeName, uid: pod.UID,
		phase: pod.Status.Phase, created: pod.CreationTimestamp.Time,
		deleting: !pod.DeletionTimestamp.IsZero(), evicted: pod.Status.Reason == "Evicted",
	}
}

func (s seenPods) lose(object any) {
	if pod, ok := object.(*corev1.Pod); ok {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.pods, pod.UID)
	}
}

func (s seenPods) list() (take func(object runtime.Object), complete func()) {
	pods := map[types.UID]podState{}
	take = func(object runtime.Object) { keepPod(pods, object) }
	return take, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.pods = pods
	}
}

// seenNodes takes what is kept of nodes.
type seenNodes struct{ *endedPods }

func (s seenNodes) see(object any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	keepNode(s.nodes, object)
}

func keepNode(nodes map[string]nodeState, object any) {
	if node, ok := object.(*corev1.Node); ok {
		nodes[node.Name] = nodeState{outOfService: isOutOfService(node)}
	}
}

// isOutOfService tells whether somebody has said of a node that is not ready that
// nothing runs there.
func isOutOfService(node *corev1.Node) bool {
	ready := slices.ContainsFunc(node.Status.Conditions, func(c corev1.NodeCondition) bool {
		return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
	})
	return !ready && slices.ContainsFunc(node.Spec.Taints, func(t corev1.Taint) bool { return t.Key == outOfService })
}

func (s seenNodes) lose(object any) {
	if node, ok := object.(*corev1.Node); ok {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.nodes, node.Name)
	}
}

func (s seenNodes) list() (take func(object runtime.Object), complete func()) {
	nodes := map[string]nodeState{}
	take = func(object runtime.Object) { keepNode(nodes, object) }
	return take, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.nodes = nodes
	}
}

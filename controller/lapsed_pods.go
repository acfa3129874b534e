// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// The marks of what stands for a process. Room node has constants of the same values: a
// server that runs where node cannot be built needs its own.
const (
	// RunLabel, with RunLabelValue, marks the Pods that stand for a process and the
	// Leases by which they live. Only what is marked is watched.
	RunLabel      = "identity.muster.id/run"
	RunLabelValue = "true"
	// LeaseAnnotation on a Pod names the Lease, in its namespace, that whoever runs
	// the process renews. The Lease names the Pod as its owner.
	LeaseAnnotation = "identity.muster.id/lease"
)

// leaseless is how long a pod lives without its lease, or with one that does not
// say how long it lasts.
const leaseless = 15 * time.Second

// heartbeat is what changes when a lease is renewed. The zero value is that of no
// lease. Other changes of a lease are no sign of life.
type heartbeat struct {
	lease   types.UID
	renewed int64 // microseconds since 1970 by the clock of the holder: only compared
}

// observation is when this controller saw a sign of life of a pod last. Only its
// own clock counts, as in the leader election of client-go: that of the holder may
// be wrong.
type observation struct {
	pod      types.UID
	beat     heartbeat
	patience time.Duration
	since    time.Time
}

// observe looks at the lease (nil for none) of a pod at the time now, after having
// seen before (the zero value if nothing).
func observe(before observation, pod types.UID, lease *coordinationv1.Lease, now time.Time) observation {
	seen := observation{pod: pod, patience: leaseless, since: now}
	if lease != nil {
		seen.beat.lease = lease.UID
		if lease.Spec.RenewTime != nil {
			seen.beat.renewed = lease.Spec.RenewTime.UnixMicro()
		}
		if seconds := lease.Spec.LeaseDurationSeconds; seconds != nil {
			seen.patience = time.Duration(*seconds) * time.Second
		}
	}
	if before.pod == seen.pod && before.beat == seen.beat {
		seen.since = before.since
	}
	return seen
}

// remains is how long the pod may still go without a sign of life; zero or less
// means that it has lapsed.
func (o observation) remains(now time.Time) time.Duration {
	return o.since.Add(o.patience).Sub(now)
}

// allowance is how long a pod may still be there when its lease leaves it remains:
// not longer than the grace of a deletion that somebody has asked for.
func allowance(remains time.Duration, deletion *metav1.Time, now time.Time) time.Duration {
	if deletion == nil {
		return remains
	}
	return min(remains, deletion.Sub(now))
}

// lapsedPods ends pods whose lease is not renewed any more: their process is gone,
// killed with its keeper, and nobody else will say so. It also ends such pods when
// the grace of their deletion is over: no kubelet confirms that they have stopped.
type lapsedPods struct {
	client client.Client
	// direct reads past the cache, which may be late, before a pod is ended.
	direct client.Reader
	now    func() time.Time
	// seen is what was observed of each pod. It belongs to the only worker.
	seen map[types.NamespacedName]observation
}

func newLapsedPods(c client.Client, direct client.Reader) *lapsedPods {
	return &lapsedPods{client: c, direct: direct, now: time.Now, seen: map[types.NamespacedName]observation{}}
}

func (l *lapsedPods) register(m manager.Manager) error {
	return watching(m, "lapsed-pods", 1).
		For(&corev1.Pod{}, builder.OnlyMetadata).
		Watches(&coordinationv1.Lease{}, handler.EnqueueRequestsFromMapFunc(ownerPods)).
		Complete(ordinary(l))
}

// Reconcile notes a sign of life, or ends the pod whose time is up.
func (l *lapsedPods) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	pod := metadataOf(podKind)
	err := l.client.Get(ctx, request.NamespacedName, pod)
	name := pod.Annotations[LeaseAnnotation]
	if err != nil || name == "" {
		delete(l.seen, request.NamespacedName)
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	// The cache first; then, when that gives no reason to let the pod live on, the
	// store itself.
	lease := types.NamespacedName{Namespace: pod.Namespace, Name: name}
	for _, reader := range []client.Reader{l.client, l.direct} {
		remains, err := l.look(ctx, reader, pod, lease)
		if err != nil || remains > 0 {
			return reconcile.Result{RequeueAfter: remains}, err
		}
	}
	return reconcile.Result{}, l.end(ctx, pod)
}

// look observes the lease through a reader and returns the allowance of the pod. A
// lease that the reader does not show is looked for in the store: without its label
// it is not cached.
func (l *lapsedPods) look(ctx context.Context, reader client.Reader, pod *metav1.PartialObjectMetadata, name types.NamespacedName) (time.Duration, error) {
	lease := &coordinationv1.Lease{}
	err := reader.Get(ctx, name, lease)
	if apierrors.IsNotFound(err) {
		err = l.direct.Get(ctx, name, lease)
	}
	if apierrors.IsNotFound(err) {
		lease, err = nil, nil
	}
	if err != nil {
		return 0, fmt.Errorf("looking up lease %q: %w", name, err)
	}
	now, key := l.now(), client.ObjectKeyFromObject(pod)
	l.seen[key] = observe(l.seen[key], pod.UID, lease, now)
	return allowance(l.seen[key].remains(now), pod.DeletionTimestamp, now), nil
}

// end deletes the pod at once: there is nothing left to stop gracefully.
func (l *lapsedPods) end(ctx context.Context, pod *metav1.PartialObjectMetadata) error {
	log.FromContext(ctx).Info("Ending a pod whose lease or grace has run out", "pod", klog.KObj(pod))
	err := l.client.Delete(ctx, pod, client.GracePeriodSeconds(0), client.Preconditions{UID: &pod.UID})
	// A conflict means that another pod has taken the name; its event comes.
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("ending pod %q: %w", client.ObjectKeyFromObject(pod), err)
	}
	return nil
}

// ownerPods makes requests of the pods that own an object.
func ownerPods(_ context.Context, object client.Object) []reconcile.Request {
	var requests []reconcile.Request
	for _, owner := range object.GetOwnerReferences() {
		if isPod(owner) {
			requests = append(requests, reconcile.Request{NamespacedName: types.NamespacedName{Namespace: object.GetNamespace(), Name: owner.Name}})
		}
	}
	return requests
}

func isPod(owner metav1.OwnerReference) bool {
	return owner.APIVersion == podKind.GroupVersion().String() && owner.Kind == podKind.Kind
}

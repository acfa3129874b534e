// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
)

// minGrace is the least time between SIGTERM and SIGKILL for a command whose Pod ends, however little the deletion
// leaves it (Kubernetes: minimumGracePeriodInSeconds in pkg/kubelet/kuberuntime).
const minGrace = 2 * time.Second

// demise is that a Pod ends, which ends the command.
type demise struct {
	how   string
	grace time.Duration // from now until SIGKILL
}

// demiseOf reads off the Pod as it is now (nil: there is none) whether the Pod with this UID ends. One that is being
// deleted leaves the command its grace period, one that is gone the least grace, and so does another in its place.
//
// The deletion timestamp is not looked at, as it goes by the server's clock: when that says that the grace is over, the
// server removes the Pod.
func demiseOf(pod *corev1.Pod, uid types.UID) (_ demise, ends bool) {
	switch {
	case pod == nil:
		return demise{"is gone", minGrace}, true
	case pod.UID != uid:
		return demise{"was replaced", minGrace}, true
	case pod.DeletionTimestamp == nil:
		return demise{}, false
	}
	grace := minGrace
	if seconds := pod.DeletionGracePeriodSeconds; seconds != nil {
		grace = max(grace, time.Duration(*seconds)*time.Second)
	}
	return demise{"is being deleted", grace}, true
}

// endWithPod ends the command as a kubelet does when the Pod ends: SIGTERM at once, SIGKILL when the grace is over. A
// second deletion may shorten the grace, none lengthens it. It returns when ctx ends, which is when the command has.
func (s *session) endWithPod(ctx context.Context) {
	pods := make(chan *corev1.Pod)
	defer background(ctx, func(ctx context.Context) { s.pod.follow(ctx, pods) })()
	var deadline time.Time
	var kill <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-kill:
			_ = s.command.Process.Kill() // fails only when it has just ended, as SIGTERM does
		case pod := <-pods:
			now := time.Now() // a matter of durations: the timer's clock
			demise, ends := demiseOf(pod, s.pod.object.UID)
			if !ends || !deadline.IsZero() && !now.Add(demise.grace).Before(deadline) {
				continue
			}
			if deadline.IsZero() {
				s.report(fmt.Errorf("pod %q %s: ending the command", s.pod.object.Name, demise.how))
				_ = s.command.Process.Signal(unix.SIGTERM)
			}
			deadline, kill = now.Add(demise.grace), time.After(demise.grace)
		}
	}
}

// follow sends the Pod as it is now, and again whenever it changes, until ctx ends or there is none, which is sent as
// nil. Where it cannot be watched, because the server is away or the caller may not, it is looked at as often as the
// Lease is renewed; where it cannot be looked at either, nothing is sent and nothing said: the command has its identity
// for as long as the server lets it.
func (p *pod) follow(ctx context.Context, pods chan<- *corev1.Pod) {
	for {
		found, err := p.client.Get(ctx, p.object.Name, metav1.GetOptions{})
		version := ""
		switch {
		case apierrors.IsNotFound(err):
			send(ctx, pods, nil)
			return
		case err == nil:
			send(ctx, pods, found)
			version = found.ResourceVersion
		}
		if p.watch(ctx, version, pods) {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(leaseRenewal):
		}
	}
}

// watch sends each change of the Pod after the version, or first the Pod as it is where there is no version, until the
// watch ends. It reports whether the Pod has gone.
func (p *pod) watch(ctx context.Context, version string, pods chan<- *corev1.Pod) (gone bool) {
	changes, err := p.client.Watch(ctx, metav1.ListOptions{
		FieldSelector:   fields.OneTermEqualSelector(metav1.ObjectNameField, p.object.Name).String(),
		ResourceVersion: version,
	})
	if err != nil {
		return false
	}
	defer context.AfterFunc(ctx, changes.Stop)()
	defer changes.Stop()
	for change := range changes.ResultChan() {
		pod, ok := change.Object.(*corev1.Pod)
		switch {
		case !ok: // the server's word on why the watch ends
			return false
		case change.Type == watch.Deleted:
			send(ctx, pods, nil)
			return true
		}
		send(ctx, pods, pod)
	}
	return false
}

func send(ctx context.Context, pods chan<- *corev1.Pod, pod *corev1.Pod) {
	select {
	case <-ctx.Done():
	case pods <- pod:
	}
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package noderestriction

import (
	"context"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/admission"
)

// admitPods lets a node show what it runs by itself, delete and evict the pods that
// are bound to it, and report their status.
func (p *Plugin) admitPods(ctx context.Context, r request) error {
	switch r.GetSubresource() {
	case "":
		return p.admitPod(ctx, r)
	case "status":
		return admitPodStatus(r)
	case "eviction":
		return p.admitEviction(ctx, r)
	default:
		return r.forbid("unexpected pod subresource %q, only 'status' and 'eviction' are allowed", r.GetSubresource())
	}
}

func (p *Plugin) admitPod(ctx context.Context, r request) error {
	switch r.GetOperation() {
	case admission.Create:
		return p.admitMirrorPod(ctx, r)
	case admission.Delete:
		return p.admitOwnPod(ctx, r, r.GetName(), "node %q can only delete pods with spec.nodeName set to itself")
	default:
		return r.forbid("unexpected operation %q, node %q can only create and delete mirror pods", r.GetOperation(), r.node)
	}
}

// admitOwnPod refuses in words with a place for the node's name, unless the pod is
// bound to the node.
func (p *Plugin) admitOwnPod(ctx context.Context, r request, name, refusal string) error {
	pod, err := p.lookups.pod(ctx, r.GetNamespace(), name)
	switch {
	case apierrors.IsNotFound(err):
		return err
	case err != nil:
		return r.forbid("%w", err)
	case pod.NodeName != r.node:
		return r.forbid(refusal, r.node)
	}
	return nil
}

// admitMirrorPod lets a node show a pod that it runs by itself. It must not be a
// way to get at anything that pods refer to.
func (p *Plugin) admitMirrorPod(ctx context.Context, r request) error {
	pod, err := object[*corev1.Pod](r)
	if err != nil {
		return err
	}
	if _, mirror := pod.Annotations[corev1.MirrorPodAnnotationKey]; !mirror {
		return r.forbid("pod does not have %q annotation, node %q can only create mirror pods", corev1.MirrorPodAnnotationKey, r.node)
	}
	if pod.Spec.NodeName != r.node {
		return r.forbid("node %q can only create pods with spec.nodeName set to itself", r.node)
	}
	if err := p.admitOwner(ctx, r, pod); err != nil {
		return err
	}
	refers, err := refersTo(pod)
	if err != nil {
		return r.forbid("error checking mirror pod for API references: %w", err)
	}
	if refers != "" {
		return r.forbid("node %q can not create pods that reference %s", r.node, refers)
	}
	return nil
}

// admitOwner wants the node to be the one owner of a pod.
func (p *Plugin) admitOwner(ctx context.Context, r request, pod *corev1.Pod) error {
	if len(pod.OwnerReferences) > 1 {
		return r.forbid("node %q can only create pods with a single owner reference set to itself", r.node)
	}
	if len(pod.OwnerReferences) == 0 {
		return r.forbid("node %q can only create pods with an owner reference set to itself", r.node)
	}
	owner := pod.OwnerReferences[0]
	switch {
	case owner.APIVersion != "v1" || owner.Kind != "Node" || owner.Name != r.node:
		return r.forbid("node %q can only create pods with an owner reference set to itself", r.node)
	case owner.Controller == nil || !*owner.Controller:
		return r.forbid("node %q can only create pods with a controller owner reference set to itself", r.node)
	case owner.BlockOwnerDeletion != nil && *owner.BlockOwnerDeletion:
		return r.forbid("node %q must not set blockOwnerDeletion on an owner reference", r.node)
	}
	node, err := p.lookups.node(ctx, r.node)
	switch {
	case apierrors.IsNotFound(err):
		return err
	case err != nil:
		return r.forbid("error looking up node %s to verify uid: %v", r.node, err)
	case owner.UID != node.UID:
		return r.forbid("node %s UID mismatch: expected %s got %s", r.node, owner.UID, node.UID)
	}
	return nil
}

// admitPodStatus lets a node report what has become of a pod, and nothing else by
// that way.
func admitPodStatus(r request) error {
	if r.GetOperation() != admission.Update {
		return r.forbid("unexpected operation %q", r.GetOperation())
	}
	old, err := oldObject[*corev1.Pod](r)
	if err != nil {
		return err
	}
	if old.Spec.NodeName != r.node {
		return r.forbid("node %q can only update pod status for pods with spec.nodeName set to itself", r.node)
	}
	pod, err := object[*corev1.Pod](r)
	if err != nil {
		return err
	}
	same := apiequality.Semantic.DeepEqual
	switch was, is := &old.Status, &pod.Status; {
	case !maps.Equal(old.Labels, pod.Labels):
		return r.forbid("node %q cannot update labels through pod status", r.node)
	case !slices.EqualFunc(was.ResourceClaimStatuses, is.ResourceClaimStatuses, func(a, b corev1.PodResourceClaimStatus) bool { return same(a, b) }):
		return r.forbid("node %q cannot update resource claim statues", r.node)
	case !same(was.ExtendedResourceClaimStatus, is.ExtendedResourceClaimStatus):
		return r.forbid("node %q cannot update extended resource claim status", r.node)
	case !same(was.NodeAllocatableResourceClaimStatuses, is.NodeAllocatableResourceClaimStatuses):
		return r.forbid("node %q cannot update node allocatable resource claim statuses", r.node)
	}
	return nil
}

func (p *Plugin) admitEviction(ctx context.Context, r request) error {
	if r.GetOperation() != admission.Create {
		return r.forbid("unexpected operation %s", r.GetOperation())
	}
	eviction, err := object[*policyv1.Eviction](r)
	if err != nil {
		return err
	}
	name := r.GetName()
	if name == "" {
		name = eviction.Name
	}
	if name == "" {
		return r.forbid("could not determine pod from request data")
	}
	return p.admitOwnPod(ctx, r, name, "node %s can only evict pods with spec.nodeName set to itself")
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package noderestriction

import (
	"context"
	"maps"
	"slices"
	"strings"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apiserver/pkg/admission"
)

// admitNode lets a node write itself, but for what would draw pods to it, or make
// it last: taints, owners, labels of others' making, and the source of its
// configuration.
func (p *Plugin) admitNode(_ context.Context, r request) error {
	if r.GetName() != r.node {
		return r.forbid("node %q is not allowed to modify node %q", r.node, r.GetName())
	}
	switch r.GetOperation() {
	case admission.Create:
		return admitNewNode(r)
	case admission.Update:
		return admitChangedNode(r)
	default:
		return nil
	}
}

func admitNewNode(r request) error {
	node, err := object[*corev1.Node](r)
	if err != nil {
		return err
	}
	if configSource(node) != nil {
		return r.forbid("node %q is not allowed to create pods with a non-nil configSource", r.node)
	}
	if labels := forbiddenLabels(node.Labels, nil); len(labels) > 0 {
		return r.forbid("node %q is not allowed to set the following labels: %s", r.node, strings.Join(labels, ", "))
	}
	return nil
}

func admitChangedNode(r request) error {
	node, err := object[*corev1.Node](r)
	if err != nil {
		return err
	}
	old, err := oldObject[*corev1.Node](r)
	if err != nil {
		return err
	}
	same := apiequality.Semantic.DeepEqual
	if configSource(node) != nil && !same(configSource(node), configSource(old)) {
		return r.forbid("node %q is not allowed to update configSource to a new non-nil configSource", r.node)
	}
	if !same(node.Spec.Taints, old.Spec.Taints) {
		return r.forbid("node %q is not allowed to modify taints", r.node)
	}
	if !same(node.OwnerReferences, old.OwnerReferences) {
		return r.forbid("node %q is not allowed to modify ownerReferences", r.node)
	}
	if labels := forbiddenLabels(node.Labels, old.Labels); len(labels) > 0 {
		return r.forbid("is not allowed to modify labels: %s", strings.Join(labels, ", "))
	}
	return nil
}

// configSource is what once told a kubelet where its configuration is. Kubernetes
// refuses it still.
func configSource(node *corev1.Node) *corev1.NodeConfigSource {
	return node.Spec.ConfigSource //lint:ignore SA1019 nothing sets it any more but who tries
}

// forbiddenLabels are those that differ and that are not a node's to set, sorted.
func forbiddenLabels(is, was map[string]string) []string {
	forbidden := map[string]bool{}
	for _, labels := range []map[string]string{is, was} {
		for key := range labels {
			value, there := is[key]
			before, wasThere := was[key]
			if (value != before || there != wasThere) && !isNodesLabel(key) {
				forbidden[key] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(forbidden))
}

// isNodesLabel tells whether a node may set a label: Kubernetes' own few, and
// those that are none of Kubernetes'.
func isNodesLabel(key string) bool {
	domain, _, hasDomain := strings.Cut(key, "/")
	if !hasDomain {
		return true
	}
	if isWithin(domain, corev1.LabelNamespaceNodeRestriction) {
		return false
	}
	if !isWithin(domain, "kubernetes.io") && !isWithin(domain, "k8s.io") {
		return true
	}
	return isKubeletLabel(key) || isWithin(domain, corev1.LabelNamespaceSuffixKubelet) || isWithin(domain, corev1.LabelNamespaceSuffixNode)
}

func isWithin(domain, parent string) bool {
	return domain == parent || strings.HasSuffix(domain, "."+parent)
}

// isKubeletLabel has the labels by which kubelets describe their machine.
func isKubeletLabel(key string) bool {
	switch key {
	case corev1.LabelHostname, corev1.LabelTopologyZone, corev1.LabelTopologyRegion,
		corev1.LabelFailureDomainBetaZone, corev1.LabelFailureDomainBetaRegion,
		corev1.LabelInstanceType, corev1.LabelInstanceTypeStable,
		corev1.LabelOSStable, corev1.LabelArchStable, "beta.kubernetes.io/os", "beta.kubernetes.io/arch":
		return true
	}
	return false
}

// admitLease lets a node keep its own lease.
func (p *Plugin) admitLease(_ context.Context, r request) error {
	if r.GetNamespace() != corev1.NamespaceNodeLease {
		return r.forbid("can only access leases in the %q system namespace", corev1.NamespaceNodeLease)
	}
	name := r.GetName()
	if r.GetOperation() == admission.Create {
		// The request's name may be empty, and the object's is what counts.
		lease, err := object[*coordinationv1.Lease](r)
		if err != nil {
			return err
		}
		name = lease.Name
	}
	if name != r.node {
		return r.forbid("can only access node lease with the same name as the requesting node")
	}
	return nil
}

// admitCSINode lets a node keep its own CSINode.
func (p *Plugin) admitCSINode(_ context.Context, r request) error {
	name := r.GetName()
	if r.GetOperation() == admission.Create {
		accessor, err := meta.Accessor(r.GetObject())
		if err != nil {
			return r.forbid("unable to access the object name")
		}
		name = accessor.GetName()
	}
	if name != r.node {
		return r.forbid("can only access CSINode with the same name as the requesting node")
	}
	if r.GetSubresource() == "status" {
		return r.forbid("CSIVolumeHealth feature gate is disabled")
	}
	return nil
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

//lint:file-ignore SA1019 nodes of old clusters still have the deprecated configSource

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func nodes() Resource {
	return &Definition[*corev1.Node]{
		GroupVersion: corev1.SchemeGroupVersion,
		Kind:         "Node", Plural: "nodes", Singular: "node",
		ShortNames:     []string{"no"},
		ClusterScoped:  true,
		New:            func() *corev1.Node { return &corev1.Node{} },
		NewList:        func() runtime.Object { return &corev1.NodeList{} },
		Default:        defaultNode,
		PrepareCreate:  func(_ context.Context, node *corev1.Node) { prepareNode(node) },
		PrepareUpdate:  func(_ context.Context, node, old *corev1.Node) { prepareNodeUpdate(node, old) },
		Validate:       validateNode,
		ValidateUpdate: validateNodeUpdate,
		Warnings:       nodeWarnings,
		Status: &StatusDefinition[*corev1.Node]{
			Prepare:  prepareNodeStatus,
			Reset:    resetNodeStatus,
			Validate: validateNodeStatus,
		},
		Fields: func(node *corev1.Node) fields.Set {
			return fields.Set{"spec.unschedulable": strconv.FormatBool(node.Spec.Unschedulable)}
		},
		Columns: nodeColumns(),
		Row:     nodeRow,
		// Nodes were once called minions, and are still kept there.
		Prefix: "minions",
	}
}

// defaultNode keeps the range of addresses and the list of ranges in step, and
// lets pods have all that the node has (Kubernetes: pkg/apis/core/v1).
func defaultNode(node *corev1.Node) {
	spec, status := &node.Spec, &node.Status
	if spec.PodCIDR != "" && (len(spec.PodCIDRs) == 0 || spec.PodCIDRs[0] != spec.PodCIDR) {
		spec.PodCIDRs = []string{spec.PodCIDR}
	}
	if len(spec.PodCIDRs) > 0 {
		spec.PodCIDR = spec.PodCIDRs[0]
	}
	if status.Allocatable == nil && status.Capacity != nil {
		status.Allocatable = status.Capacity.DeepCopy()
	}
	roundUp(status.Capacity)
	roundUp(status.Allocatable)
}

// resetNodeStatus lets a node bring its status along when it registers.
func resetNodeStatus(node, old *corev1.Node) {
	if old != nil {
		node.Status = old.Status
	}
}

// prepareNode drops the fields of a feature that Kubernetes has removed, and of
// one that is off by default.
func prepareNode(node *corev1.Node) {
	node.Spec.ConfigSource = nil
	node.Status.Config = nil
	node.Spec.PodPreemptionPolicy = nil
}

func prepareNodeUpdate(node, old *corev1.Node) {
	if old.Spec.ConfigSource == nil {
		node.Spec.ConfigSource = nil
	}
	if old.Spec.PodPreemptionPolicy == nil {
		node.Spec.PodPreemptionPolicy = nil
	}
}

func prepareNodeStatus(_ context.Context, node, old *corev1.Node) {
	node.Spec = old.Spec
	if old.Status.Config == nil {
		node.Status.Config = nil
	}
	if old.Status.NodeInfo.RunningInUserNamespace == nil {
		node.Status.NodeInfo.RunningInUserNamespace = nil
	}
}

func nodeWarnings(_ context.Context, node, _ *corev1.Node) []string {
	var warnings []string
	if node.Spec.ConfigSource != nil {
		warnings = append(warnings, "spec.configSource: the feature is removed")
	}
	if node.Spec.DoNotUseExternalID != "" {
		warnings = append(warnings, "spec.externalID: this field is deprecated, and is unused by Kubernetes")
	}
	for i, cidr := range node.Spec.PodCIDRs {
		warnings = append(warnings, utilvalidation.GetWarningsForCIDR(field.NewPath("spec", "podCIDRs").Index(i), cidr)...)
	}
	return warnings
}

func nodeColumns() []metav1.TableColumnDefinition {
	info, status := corev1.NodeSystemInfo{}.SwaggerDoc(), corev1.NodeStatus{}.SwaggerDoc()
	return []metav1.TableColumnDefinition{
		nameColumn(),
		column("Status", "string", "The status of the node"),
		column("Roles", "string", "The roles of the node"),
		ageColumn(),
		column("Version", "string", info["kubeletVersion"]),
		wide("Internal-IP", "string", status["addresses"]),
		wide("External-IP", "string", status["addresses"]),
		wide("OS-Image", "string", info["osImage"]),
		wide("Kernel-Version", "string", info["kernelVersion"]),
		wide("Container-Runtime", "string", info["containerRuntimeVersion"]),
	}
}

func nodeRow(node *corev1.Node) []any {
	info := &node.Status.NodeInfo
	kernel := orUnknown(info.KernelVersion)
	if info.Architecture != "" {
		kernel += " (" + info.Architecture + ")"
	}
	return []any{
		node.Name, readiness(node), orNone(strings.Join(nodeRoles(node), ",")), age(node), info.KubeletVersion,
		nodeAddress(node, corev1.NodeInternalIP), nodeAddress(node, corev1.NodeExternalIP),
		orUnknown(info.OSImage), kernel, orUnknown(info.ContainerRuntimeVersion),
	}
}

func readiness(node *corev1.Node) string {
	state := "Unknown"
	for _, condition := range node.Status.Conditions {
		if condition.Type != corev1.NodeReady {
			continue
		}
		state = "NotReady"
		if condition.Status == corev1.ConditionTrue {
			state = "Ready"
		}
	}
	if node.Spec.Unschedulable {
		state += ",SchedulingDisabled"
	}
	return state
}

// nodeRoles are named by the labels "node-role.kubernetes.io/ROLE" and
// "kubernetes.io/role=ROLE".
func nodeRoles(node *corev1.Node) []string {
	roles := map[string]bool{}
	for key, value := range node.Labels {
		if role, ok := strings.CutPrefix(key, "node-role.kubernetes.io/"); ok {
			roles[role] = true
		}
		if key == "kubernetes.io/role" {
			roles[value] = true
		}
	}
	delete(roles, "")
	return slices.Sorted(maps.Keys(roles))
}

func nodeAddress(node *corev1.Node, kind corev1.NodeAddressType) string {
	for _, address := range node.Status.Addresses {
		if address.Type == kind {
			return address.Address
		}
	}
	return "<none>"
}

func orUnknown(text string) string {
	if text == "" {
		return "<unknown>"
	}
	return text
}

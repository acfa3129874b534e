// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestTheAddressRangesOfANodeAgree(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		cidr, want string
		cidrs, all []string
	}{
		{cidr: "10.0.0.0/24", want: "10.0.0.0/24", all: []string{"10.0.0.0/24"}},
		{cidrs: []string{"10.0.0.0/24", "fd00::/64"}, want: "10.0.0.0/24", all: []string{"10.0.0.0/24", "fd00::/64"}},
		{cidr: "10.1.0.0/24", cidrs: []string{"10.0.0.0/24"}, want: "10.1.0.0/24", all: []string{"10.1.0.0/24"}},
	} {
		node := &corev1.Node{Spec: corev1.NodeSpec{PodCIDR: test.cidr, PodCIDRs: test.cidrs}}
		defaultNode(node)
		if diff := cmp.Diff(test.all, node.Spec.PodCIDRs); diff != "" || node.Spec.PodCIDR != test.want {
			t.Errorf("%q and %q became %q and %q", test.cidr, test.cidrs, node.Spec.PodCIDR, node.Spec.PodCIDRs)
		}
	}
}

func TestANodeBringsItsStatusAndMayOfferAllItHas(t *testing.T) {
	t.Parallel()
	node := &corev1.Node{Status: corev1.NodeStatus{Capacity: corev1.ResourceList{"cpu": resource.MustParse("2")}}}
	defaultNode(node)
	resetNodeStatus(node, nil)
	if got := node.Status.Allocatable.Cpu().String(); got != "2" {
		t.Errorf("allocatable %s, want 2", got)
	}
	changed := node.DeepCopy()
	changed.Status = corev1.NodeStatus{}
	resetNodeStatus(changed, node)
	if diff := cmp.Diff(node.Status, changed.Status); diff != "" {
		t.Errorf("an update of the node changed the status:\n%s", diff)
	}
}

func TestWhatANodeIsKnownByStays(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		before, after corev1.NodeSpec
		want          []string
	}{
		"a first range":     {after: corev1.NodeSpec{PodCIDRs: []string{"10.0.0.0/24"}}},
		"another range":     {corev1.NodeSpec{PodCIDRs: []string{"10.0.0.0/24"}}, corev1.NodeSpec{PodCIDRs: []string{"10.1.0.0/24"}}, []string{`spec.podCIDRs: Forbidden: node updates may not change podCIDR except from "" to valid`}},
		"a first provider":  {after: corev1.NodeSpec{ProviderID: "p"}},
		"another provider":  {corev1.NodeSpec{ProviderID: "p"}, corev1.NodeSpec{ProviderID: "q"}, []string{`spec.providerID: Invalid value: "q": field cannot be modified once set`}},
		"no provider":       {corev1.NodeSpec{ProviderID: "p"}, corev1.NodeSpec{}, []string{`spec.providerID: Invalid value: "": field cannot be cleared once set`}},
		"cordoned":          {after: corev1.NodeSpec{Unschedulable: true}},
		"a taint":           {after: corev1.NodeSpec{Taints: []corev1.Taint{{Key: "a", Effect: corev1.TaintEffectNoSchedule}}}},
		"a taint of no use": {after: corev1.NodeSpec{Taints: []corev1.Taint{{Key: "a", Effect: "Never"}}}, want: []string{`metadata.taints[0].effect: Unsupported value: "Never": supported values: "NoSchedule", "PreferNoSchedule", "NoExecute"`}},
		"a taint twice": {after: corev1.NodeSpec{Taints: []corev1.Taint{{Key: "a", Effect: corev1.TaintEffectNoSchedule}, {Key: "a", Value: "v", Effect: corev1.TaintEffectNoSchedule}}}, want: []string{
			"metadata.taints[1]: Duplicate value: {…",
		}},
		"two of a family": {after: corev1.NodeSpec{PodCIDRs: []string{"10.0.0.0/24", "10.1.0.0/24"}}, want: []string{
			`spec.podCIDRs: Invalid value: ["10.0.0.0/24","10.1.0.0/24"]: may specify no more than one CIDR for each IP family`,
		}},
	} {
		node := &corev1.Node{Spec: test.after}
		podExpect(t, name, append(validateNode(node), validateNodeUpdate(node, &corev1.Node{Spec: test.before})...), test.want...)
	}
}

func TestANodeIsPrintedAsKubectlUsersKnowIt(t *testing.T) {
	t.Parallel()
	node := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: "n", Labels: map[string]string{"node-role.kubernetes.io/worker": "", "kubernetes.io/role": "edge"}},
		Spec:       corev1.NodeSpec{Unschedulable: true},
		Status: corev1.NodeStatus{
			Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}},
			Addresses:  []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "10.0.0.1"}},
			NodeInfo:   corev1.NodeSystemInfo{KubeletVersion: "v1.37.2", KernelVersion: "6.1", Architecture: "amd64"},
		},
	}
	want := []any{"n", "Ready,SchedulingDisabled", "edge,worker", "<unknown>", "v1.37.2", "10.0.0.1", "<none>", "<unknown>", "6.1 (amd64)", "<unknown>"}
	if diff := cmp.Diff(want, nodeRow(node)); diff != "" {
		t.Errorf("row (-want +got):\n%s", diff)
	}
}

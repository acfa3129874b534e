// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// graphOf is a settled graph of config maps and nodes.
func graphOf(objects ...*node) *graph {
	g := newGraph([]Resource{
		{corev1.SchemeGroupVersion.WithResource("configmaps"), "ConfigMap", true},
		{corev1.SchemeGroupVersion.WithResource("nodes"), "Node", false},
	})
	for _, object := range objects {
		object.resource = g.resources[corev1.SchemeGroupVersion.WithKind("ConfigMap")]
		g.observe(object)
	}
	g.settle()
	return g
}

func mapNode(namespace, name string, owners ...metav1.OwnerReference) *node {
	return &node{identity: identity{namespace: namespace, name: name, uid: types.UID("uid-" + name)}, owners: owners}
}

func owner(kind, name string) metav1.OwnerReference {
	return metav1.OwnerReference{APIVersion: "v1", Kind: kind, Name: name, UID: types.UID("uid-" + name)}
}

func names(ids []identity) []string {
	var all []string
	for _, id := range ids {
		all = append(all, id.name)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func TestTheGraphPointsToWhatIsNotPlainlyOwned(t *testing.T) {
	t.Parallel()
	ending := mapNode("dev", "ending")
	ending.ending, ending.foreground = true, true
	orphaning := mapNode("dev", "orphaning")
	orphaning.ending, orphaning.orphan = true, true
	deleted := mapNode("dev", "deleted", owner("ConfigMap", "never"))
	deleted.ending = true
	g := graphOf(
		mapNode("dev", "free"), mapNode("dev", "top"), ending, orphaning, deleted,
		mapNode("dev", "owned", owner("ConfigMap", "top")),
		mapNode("dev", "of-absent", owner("ConfigMap", "never")),
		mapNode("dev", "of-ending", owner("ConfigMap", "ending")),
		mapNode("dev", "of-unserved", owner("Gadget", "never")),
		mapNode("other", "of-elsewhere", owner("ConfigMap", "top")),
		mapNode("dev", "of-wrong-kind", metav1.OwnerReference{APIVersion: "v1", Kind: "Node", Name: "top", UID: "uid-top"}),
		mapNode("dev", "of-wrong-name", metav1.OwnerReference{APIVersion: "v1", Kind: "ConfigMap", Name: "pot", UID: "uid-top"}),
	)
	want := []string{"ending", "of-absent", "of-elsewhere", "of-ending", "of-wrong-kind", "of-wrong-name", "orphaning"}
	if diff := cmp.Diff(want, names(g.settle())); diff != "" {
		t.Errorf("it points elsewhere (-want +got):\n%s", diff)
	}
}

func TestAnOwnerThatWasMissedWhileNobodyWatchedIsNoticed(t *testing.T) {
	t.Parallel()
	g := graphOf(mapNode("dev", "top"), mapNode("dev", "owned", owner("ConfigMap", "top")))
	resource := g.resources[corev1.SchemeGroupVersion.WithKind("ConfigMap")]
	left := mapNode("dev", "owned", owner("ConfigMap", "top"))
	left.resource = resource
	if got := names(g.replace(resource, []*node{left})); !slices.Equal(got, []string{"owned"}) {
		t.Errorf("after a list without the owner it points to %v, want what it owned", got)
	}
}

func TestWhoWaitsIsLookedAtWhenADependentChanges(t *testing.T) {
	t.Parallel()
	top := mapNode("dev", "top")
	g := graphOf(top, mapNode("dev", "owned", owner("ConfigMap", "top")))
	waits := mapNode("dev", "top")
	waits.resource, waits.ending, waits.foreground = top.resource, true, true
	if got := names(g.observe(waits)); !slices.Equal(got, []string{"owned", "top"}) {
		t.Errorf("an owner that begins to wait points to %v, want itself and what it owns", got)
	}
	if got := names(g.forget("uid-owned")); !slices.Equal(got, []string{"top"}) {
		t.Errorf("the end of what it owned points to %v, want who waits for it", got)
	}
	if got := g.forget("uid-top"); len(got) != 0 || len(g.dependents) != 0 {
		t.Errorf("what is left points to %v, and there are %d owners", got, len(g.dependents))
	}
}

func TestAGraphThatHasNotSeenEverythingPointsNowhere(t *testing.T) {
	t.Parallel()
	g := newGraph([]Resource{{corev1.SchemeGroupVersion.WithResource("configmaps"), "ConfigMap", true}})
	n := mapNode("dev", "owned", owner("ConfigMap", "top"))
	n.resource = g.resources[corev1.SchemeGroupVersion.WithKind("ConfigMap")]
	if got := g.observe(n); len(got) != 0 {
		t.Errorf("it points to %v, though its owner may only not have been seen yet", names(got))
	}
}

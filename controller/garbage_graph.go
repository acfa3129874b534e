// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"slices"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// identity is which object one is.
type identity struct {
	resource        *Resource
	namespace, name string
	uid             types.UID
}

// node is what the graph keeps of an object.
type node struct {
	identity
	owners []metav1.OwnerReference
	// ending tells whether it is being deleted. Then foreground means that it waits
	// for the end of its dependents, orphan that they have to be let go.
	ending, foreground, orphan bool
}

// waits tells whether the object ends as soon as its dependents have.
func (n *node) waits() bool { return n.ending && n.foreground }

// graph is who owns whom, as the watches have shown it. It is a hint where to look:
// what it says is verified in the store before anything is deleted. Its methods may
// be called at the same time; those that change it return the objects to look at.
type graph struct {
	// resources are what is watched, by the kind that owner references name.
	resources map[schema.GroupVersionKind]*Resource

	mu    sync.Mutex
	nodes map[types.UID]*node
	// dependents are the UIDs of who names a UID as its owner.
	dependents map[types.UID]map[types.UID]struct{}
	// settled is set when all that exists has been seen: before, an owner that is
	// not there says nothing.
	settled bool
}

func newGraph(resources []Resource) *graph {
	g := &graph{
		resources: map[schema.GroupVersionKind]*Resource{}, nodes: map[types.UID]*node{},
		dependents: map[types.UID]map[types.UID]struct{}{},
	}
	for i := range resources {
		r := &resources[i]
		g.resources[r.GroupVersion().WithKind(r.Kind)] = r
	}
	return g
}

// resourceOf is the resource of an owner; nil if it is none that is watched.
func (g *graph) resourceOf(owner metav1.OwnerReference) *Resource {
	return g.resources[schema.FromAPIVersionAndKind(owner.APIVersion, owner.Kind)]
}

// nodeOf reads the metadata of an object.
func nodeOf(resource *Resource, object *metav1.PartialObjectMetadata) *node {
	return &node{
		identity:   identity{resource, object.Namespace, object.Name, object.UID},
		owners:     object.OwnerReferences,
		ending:     !object.DeletionTimestamp.IsZero(),
		foreground: slices.Contains(object.Finalizers, metav1.FinalizerDeleteDependents),
		orphan:     slices.Contains(object.Finalizers, metav1.FinalizerOrphanDependents),
	}
}

// settle tells that all that exists has been seen.
func (g *graph) settle() []identity {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.settled = true
	var all []identity
	for _, n := range g.nodes {
		if g.concerns(n) {
			all = append(all, n.identity)
		}
	}
	return all
}

// observe takes in an object as it is now.
func (g *graph) observe(n *node) []identity {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.put(n)
}

func (g *graph) put(n *node) []identity {
	old := g.nodes[n.uid]
	g.nodes[n.uid] = n
	if old != nil {
		g.unlink(old)
	}
	for _, owner := range n.owners {
		if g.dependents[owner.UID] == nil {
			g.dependents[owner.UID] = map[types.UID]struct{}{}
		}
		g.dependents[owner.UID][n.uid] = struct{}{}
	}
	if !g.settled {
		return nil
	}
	var touched []identity
	if old != nil {
		touched = g.waitingOwners(old)
	}
	if g.concerns(n) {
		touched = append(touched, n.identity)
	}
	// Its dependents may have been seen before it, or be waited for from now on.
	if old == nil || n.waits() && !old.waits() {
		touched = append(touched, g.concernedDependents(n.uid)...)
	}
	return touched
}

// forget takes an object out.
func (g *graph) forget(uid types.UID) []identity {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.remove(uid)
}

func (g *graph) remove(uid types.UID) []identity {
	n, known := g.nodes[uid]
	if !known {
		return nil
	}
	delete(g.nodes, uid)
	g.unlink(n)
	if !g.settled {
		return nil
	}
	return append(g.waitingOwners(n), g.concernedDependents(uid)...)
}

func (g *graph) unlink(n *node) {
	for _, owner := range n.owners {
		delete(g.dependents[owner.UID], n.uid)
		if len(g.dependents[owner.UID]) == 0 {
			delete(g.dependents, owner.UID)
		}
	}
}

// replace takes in all objects that there are of a resource.
func (g *graph) replace(resource *Resource, all []*node) []identity {
	g.mu.Lock()
	defer g.mu.Unlock()
	there := make(map[types.UID]struct{}, len(all))
	var touched []identity
	for _, n := range all {
		there[n.uid] = struct{}{}
		touched = append(touched, g.put(n)...)
	}
	for uid, n := range g.nodes {
		if _, ok := there[uid]; !ok && n.resource == resource {
			touched = append(touched, g.remove(uid)...)
		}
	}
	return touched
}

// waitingOwners are the owners of an object that wait for its end.
func (g *graph) waitingOwners(n *node) []identity {
	var owners []identity
	for _, ref := range n.owners {
		if owner := g.nodes[ref.UID]; owner != nil && owner.waits() {
			owners = append(owners, owner.identity)
		}
	}
	return owners
}

func (g *graph) concernedDependents(uid types.UID) []identity {
	var all []identity
	for dependent := range g.dependents[uid] {
		if n := g.nodes[dependent]; n != nil && g.concerns(n) {
			all = append(all, n.identity)
		}
	}
	return all
}

// concerns tells whether there is something to do about an object, as far as the
// graph knows: it is not plainly owned by what exists.
func (g *graph) concerns(n *node) bool {
	if n.ending {
		return n.foreground || n.orphan
	}
	return slices.ContainsFunc(n.owners, func(ref metav1.OwnerReference) bool { return !g.plain(n, ref) })
}

// plain tells whether an owner is there, as the reference says, and stays. One of a
// kind that is not watched is somebody else's business.
func (g *graph) plain(n *node, ref metav1.OwnerReference) bool {
	resource := g.resourceOf(ref)
	if resource == nil {
		return true
	}
	owner := g.nodes[ref.UID]
	return owner != nil && owner.resource == resource && owner.name == ref.Name && !owner.waits() &&
		(!resource.Namespaced || owner.namespace == n.namespace)
}

// find returns a copy of what is known of an object, and whether it concerns.
func (g *graph) find(id identity) (n node, concerns bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	known, ok := g.nodes[id.uid]
	if !ok || known.identity != id {
		return node{}, false
	}
	return *known, g.concerns(known)
}

// dependentsOf are copies of what is known of the dependents of an object.
func (g *graph) dependentsOf(uid types.UID) []node {
	g.mu.Lock()
	defer g.mu.Unlock()
	var all []node
	for dependent := range g.dependents[uid] {
		if n := g.nodes[dependent]; n != nil {
			all = append(all, *n)
		}
	}
	return all
}

// elsewhere tells whether an owner is known to live in another namespace than the
// object that names it.
func (g *graph) elsewhere(n *node, ref metav1.OwnerReference) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	owner := g.nodes[ref.UID]
	return owner != nil && owner.resource.Namespaced && owner.namespace != n.namespace
}

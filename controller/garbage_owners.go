// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// ownership is what became of the owners of an object.
type ownership struct {
	// solid are those that exist and stay.
	solid []metav1.OwnerReference
	// waiting tells whether some end when the object has, changed whether some are
	// gone or wait.
	waiting, changed bool
	// impossible tells that an owner can never exist as it is named.
	impossible bool
}

// stays tells whether there is nothing to do.
func (o ownership) stays() bool { return o.impossible || !o.changed }

// classify asks the store about the owners of an object.
func (g *garbageCollection) classify(ctx context.Context, n *node, refs []metav1.OwnerReference) (ownership, error) {
	var o ownership
	for _, ref := range refs {
		if g.graph.elsewhere(n, ref) {
			g.reportElsewhere(n, ref)
		}
		resource := g.graph.resourceOf(ref)
		if resource == nil {
			o.solid = append(o.solid, ref)
			continue
		}
		if resource.Namespaced && n.namespace == "" {
			// Kubernetes leaves alone what has no namespace and names an owner in one.
			o.impossible = true
			continue
		}
		owner, err := g.owner(ctx, n, ref, resource)
		switch {
		case err != nil:
			return ownership{}, err
		case owner == nil:
			o.changed = true
		case nodeOf(resource, owner).waits():
			o.changed, o.waiting = true, true
		default:
			o.solid = append(o.solid, ref)
		}
	}
	return o, nil
}

// owner reads the owner that a reference names; nil if there is none.
func (g *garbageCollection) owner(ctx context.Context, n *node, ref metav1.OwnerReference, resource *Resource) (*metav1.PartialObjectMetadata, error) {
	id := identity{resource: resource, name: ref.Name, uid: ref.UID}
	if resource.Namespaced {
		id.namespace = n.namespace
	}
	if _, known := g.absent.Get(id); known {
		return nil, nil
	}
	owner, err := g.current(ctx, id)
	if err == nil && owner == nil {
		g.absent.Add(id, struct{}{})
	}
	return owner, err
}

// letGo strikes an owner off its dependents, and then lets it end.
func (g *garbageCollection) letGo(ctx context.Context, n *node) error {
	for _, dependent := range g.graph.dependentsOf(n.uid) {
		object, err := g.current(ctx, dependent.identity)
		if err != nil {
			return err
		}
		if object == nil {
			continue
		}
		refs := slices.DeleteFunc(object.OwnerReferences, func(ref metav1.OwnerReference) bool { return ref.UID == n.uid })
		err = g.write(ctx, dependent.identity, object, map[string]any{"ownerReferences": refs})
		if err != nil {
			return err
		}
	}
	return g.unfinalize(ctx, n.identity, metav1.FinalizerOrphanDependents)
}

// release lets an owner end when no dependent blocks it any more. Each of them
// comes here by itself, as one whose owner waits.
func (g *garbageCollection) release(ctx context.Context, n *node) error {
	blocks := func(d node) bool {
		return slices.ContainsFunc(d.owners, func(ref metav1.OwnerReference) bool {
			return ref.UID == n.uid && ref.BlockOwnerDeletion != nil && *ref.BlockOwnerDeletion
		})
	}
	if slices.ContainsFunc(g.graph.dependentsOf(n.uid), blocks) {
		return nil
	}
	return g.unfinalize(ctx, n.identity, metav1.FinalizerDeleteDependents)
}

// unfinalize takes a finalizer off an object.
func (g *garbageCollection) unfinalize(ctx context.Context, id identity, finalizer string) error {
	object, err := g.current(ctx, id)
	if err != nil || object == nil || !slices.Contains(object.Finalizers, finalizer) {
		return err
	}
	rest := slices.DeleteFunc(slices.Clone(object.Finalizers), func(f string) bool { return f == finalizer })
	return g.write(ctx, id, object, map[string]any{"finalizers": rest})
}

// write changes metadata of an object that has not changed since it was read.
func (g *garbageCollection) write(ctx context.Context, id identity, read *metav1.PartialObjectMetadata, change map[string]any) error {
	change["uid"], change["resourceVersion"] = read.UID, read.ResourceVersion
	patch, err := json.Marshal(map[string]any{"metadata": change})
	if err != nil {
		return fmt.Errorf("writing to %s: %w", id, err)
	}
	_, err = g.in(id).Patch(ctx, id.name, types.MergePatchType, patch, metav1.PatchOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("writing to %s: %w", id, err)
	}
	return nil
}

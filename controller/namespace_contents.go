// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/metadata"
)

// namespaceContents deletes what is in a namespace.
type namespaceContents struct {
	client metadata.Interface
	// stages are emptied one after the other: pods, then the rest.
	stages [][]schema.GroupVersionResource
}

func newNamespaceContents(client metadata.Interface, namespaced []schema.GroupVersionResource) namespaceContents {
	var pods, rest []schema.GroupVersionResource
	for _, resource := range namespaced {
		if resource.GroupResource() == corev1.Resource("pods") {
			pods = append(pods, resource)
		} else {
			rest = append(rest, resource)
		}
	}
	return namespaceContents{client, [][]schema.GroupVersionResource{pods, rest}}
}

// leftovers is what is still in a namespace after a pass over it.
type leftovers struct {
	// remaining counts objects by resource, finalizers those that wait for one.
	remaining  map[schema.GroupResource]int
	finalizers map[string]int
	failures   []error
}

// nothing tells whether the namespace is known to be empty.
func (l leftovers) nothing() bool {
	return len(l.remaining) == 0 && len(l.failures) == 0
}

// clear asks for the deletion of everything, stage by stage, and tells what is
// still there.
func (c namespaceContents) clear(ctx context.Context, namespace string, now time.Time) leftovers {
	left := leftovers{remaining: map[schema.GroupResource]int{}, finalizers: map[string]int{}}
	for _, stage := range c.stages {
		for _, resource := range stage {
			items, err := c.clearResource(ctx, resource, namespace)
			if err == nil {
				err = left.add(resource.GroupResource(), items, now)
			}
			if err != nil {
				left.failures = append(left.failures, fmt.Errorf("deleting %s: %w", resource.GroupResource(), err))
			}
		}
		if !left.nothing() {
			break
		}
	}
	return left
}

// clearResource returns what remains of one resource. Most are not there at all,
// and cost one small request.
func (c namespaceContents) clearResource(ctx context.Context, resource schema.GroupVersionResource, namespace string) ([]metav1.PartialObjectMetadata, error) {
	in := c.client.Resource(resource).Namespace(namespace)
	first, err := in.List(ctx, metav1.ListOptions{Limit: 1})
	if err != nil || len(first.Items) == 0 {
		return nil, err
	}
	// In the background: orphaning makes no sense where everything goes.
	background := metav1.DeletePropagationBackground
	err = in.DeleteCollection(ctx, metav1.DeleteOptions{PropagationPolicy: &background}, metav1.ListOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return nil, err
	}
	rest, err := in.List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	return rest.Items, nil
}

// add counts what remains of a resource. Objects may remain because of a finalizer
// or for the grace that they are given; that any remains without a reason is an
// error.
func (l leftovers) add(resource schema.GroupResource, items []metav1.PartialObjectMetadata, now time.Time) error {
	explained := len(items) == 0
	for i := range items {
		l.remaining[resource]++
		for _, finalizer := range items[i].Finalizers {
			l.finalizers[finalizer]++
		}
		explained = explained || len(items[i].Finalizers) > 0 || inGrace(&items[i], now)
	}
	if !explained {
		return fmt.Errorf("%d of them remain for no known reason", len(items))
	}
	return nil
}

// inGrace tells whether an object has time to end: its deletion timestamp is when
// that time is over.
func inGrace(object metav1.Object, now time.Time) bool {
	end := object.GetDeletionTimestamp()
	return end != nil && end.After(now)
}

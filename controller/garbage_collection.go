// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/lru"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	runtimecontroller "sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"
)

const (
	// garbageCollector is who reports what is wrong with owner references.
	garbageCollector = "garbage-collector-controller"
	// absentOwners is how many owners that do not exist are remembered: those of
	// many dependents are looked up once. A UID does not come back.
	absentOwners = 1000
	// garbagePatience is how long the watches may take to list what there is before
	// that is counted as an error, again and again, as in Kubernetes.
	garbagePatience = 30 * time.Second
)

// garbageCollection deletes what nobody owns any more (Kubernetes:
// pkg/controller/garbagecollector). An object whose owners are all gone is deleted.
// An owner that is deleted "in the foreground" stays until the dependents that
// block it are gone; one that is deleted "orphaning" lets them go first.
//
// Where to look is told by a graph, which is fed by watches of metadata and keeps a
// few words of each object; there is no second cache. What to do is decided by what
// the store says then, and written only if nothing has changed since.
type garbageCollection struct {
	client    metadata.Interface
	resources []Resource
	events    record.EventRecorder
	graph     *graph
	absent    *lru.Cache
	metrics   *Metrics
	// queue is where the graph points, once.
	queue chan workqueue.TypedRateLimitingInterface[identity]
}

func newGarbageCollection(client metadata.Interface, resources []Resource, events record.EventRecorder, counts *Metrics) *garbageCollection {
	var collected []Resource
	for _, resource := range resources {
		// Events are never owned; they expire.
		if resource.Resource != "events" {
			collected = append(collected, resource)
		}
	}
	return &garbageCollection{
		client: client, resources: collected, events: events, graph: newGraph(collected), absent: lru.New(absentOwners), metrics: counts,
		queue: make(chan workqueue.TypedRateLimitingInterface[identity], 1),
	}
}

func (g *garbageCollection) register(m manager.Manager) error {
	if err := m.Add(manager.RunnableFunc(g.feed)); err != nil {
		return err
	}
	return builder.TypedControllerManagedBy[identity](m).Named("garbage-collection").
		WithOptions(runtimecontroller.TypedOptions[identity]{MaxConcurrentReconciles: bulkWorkers}).
		WatchesRawSource(source.TypedFunc[identity](func(_ context.Context, queue workqueue.TypedRateLimitingInterface[identity]) error {
			g.queue <- queue
			return nil
		})).
		Complete(ordinary(g))
}

// Reconcile makes one step for an object that the graph has pointed to.
func (g *garbageCollection) Reconcile(ctx context.Context, id identity) (reconcile.Result, error) {
	n, concerns := g.graph.find(id)
	if !concerns {
		return reconcile.Result{}, nil
	}
	var err error
	switch {
	case n.ending && n.orphan:
		err = g.letGo(ctx, &n)
	case n.ending:
		err = g.release(ctx, &n)
	default:
		err = g.judge(ctx, &n)
	}
	if apierrors.IsNotFound(err) {
		return reconcile.Result{}, nil // its event comes
	}
	return reconcile.Result{}, err
}

// current reads the object as it is; nil if it is gone or another one by now.
func (g *garbageCollection) current(ctx context.Context, id identity) (*metav1.PartialObjectMetadata, error) {
	object, err := g.in(id).Get(ctx, id.name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", id, err)
	}
	if object.UID != id.uid {
		return nil, nil
	}
	return object, nil
}

func (g *garbageCollection) in(id identity) metadata.ResourceInterface {
	if !id.resource.Namespaced {
		return g.client.Resource(id.resource.GroupVersionResource)
	}
	return g.client.Resource(id.resource.GroupVersionResource).Namespace(id.namespace)
}

// String names the object in errors.
func (i identity) String() string {
	return fmt.Sprintf("%s %q", i.resource.GroupResource(), types.NamespacedName{Namespace: i.namespace, Name: i.name})
}

// judge looks at the owners of an object, and deletes it if none is left.
func (g *garbageCollection) judge(ctx context.Context, n *node) error {
	object, err := g.current(ctx, n.identity)
	if err != nil || object == nil || !object.DeletionTimestamp.IsZero() {
		return err
	}
	owners, err := g.classify(ctx, n, object.OwnerReferences)
	if err != nil || owners.stays() {
		return err
	}
	if len(owners.solid) > 0 {
		// Others own it: those that are gone are struck off, and those that wait for
		// it need not.
		return g.write(ctx, n.identity, object, map[string]any{"ownerReferences": owners.solid})
	}
	policy := metav1.DeletePropagationBackground
	if owners.waiting {
		if dependents := g.graph.dependentsOf(n.uid); len(dependents) > 0 {
			policy = metav1.DeletePropagationForeground
			if slices.ContainsFunc(dependents, func(d node) bool { return d.waits() }) {
				return g.deleteCircular(ctx, n.identity, object)
			}
		}
	}
	return g.delete(ctx, n.identity, object, policyOf(object, policy))
}

// policyOf is what its finalizers ask for, else the policy.
func policyOf(object *metav1.PartialObjectMetadata, otherwise metav1.DeletionPropagation) metav1.DeletionPropagation {
	switch {
	case slices.Contains(object.Finalizers, metav1.FinalizerOrphanDependents):
		return metav1.DeletePropagationOrphan
	case slices.Contains(object.Finalizers, metav1.FinalizerDeleteDependents):
		return metav1.DeletePropagationForeground
	}
	return otherwise
}

// deleteCircular deletes an object that may own one of those that wait for its end:
// first nobody waits for it any more.
func (g *garbageCollection) deleteCircular(ctx context.Context, id identity, object *metav1.PartialObjectMetadata) error {
	refs := slices.Clone(object.OwnerReferences)
	blocking := false
	for i := range refs {
		blocking = blocking || refs[i].BlockOwnerDeletion != nil && *refs[i].BlockOwnerDeletion
		refs[i].BlockOwnerDeletion = new(false)
	}
	if blocking {
		// The event of this write brings the object here again.
		return g.write(ctx, id, object, map[string]any{"ownerReferences": refs})
	}
	return g.delete(ctx, id, object, metav1.DeletePropagationForeground)
}

func (g *garbageCollection) delete(ctx context.Context, id identity, object *metav1.PartialObjectMetadata, policy metav1.DeletionPropagation) error {
	err := g.in(id).Delete(ctx, id.name, metav1.DeleteOptions{
		Preconditions:     &metav1.Preconditions{UID: &object.UID, ResourceVersion: &object.ResourceVersion},
		PropagationPolicy: &policy,
	})
	if err != nil {
		return fmt.Errorf("deleting %s, whose owners are gone: %w", id, err)
	}
	return nil
}

// feed keeps the graph in step with the store until ctx ends, and has the
// controller look where it points. Until everything has been seen that is nowhere.
func (g *garbageCollection) feed(ctx context.Context) error {
	var queue workqueue.TypedRateLimitingInterface[identity]
	select {
	case queue = <-g.queue:
	case <-ctx.Done():
		return nil
	}
	var following sync.WaitGroup
	defer following.Wait()
	seen := make(chan struct{}, len(g.resources))
	for i := range g.resources {
		resource := &g.resources[i]
		following.Go(func() {
			follow(ctx, "garbage/"+resource.GroupResource().String(), g.client.Resource(resource.GroupVersionResource),
				&metav1.PartialObjectMetadata{}, &graphFeed{g.graph, resource, queue}, func() { seen <- struct{}{} })
		})
	}
	late := time.NewTicker(garbagePatience)
	defer late.Stop()
	for missing := len(g.resources); missing > 0; {
		select {
		case <-seen:
			missing--
		case <-late.C:
			g.metrics.garbageUnsynced.Inc()
		case <-ctx.Done():
			return nil
		}
	}
	late.Stop()
	(&graphFeed{queue: queue}).look(g.graph.settle())
	<-ctx.Done()
	return nil
}

// graphFeed takes what a watch of one resource shows.
type graphFeed struct {
	graph    *graph
	resource *Resource
	queue    workqueue.TypedRateLimitingInterface[identity]
}

// look has objects looked at: soon, so that what was written just before has been
// seen by all watches.
func (f *graphFeed) look(at []identity) {
	for _, id := range at {
		f.queue.AddAfter(id, landing)
	}
}

func (f *graphFeed) see(object any) {
	if object, ok := object.(*metav1.PartialObjectMetadata); ok {
		f.look(f.graph.observe(nodeOf(f.resource, object)))
	}
}

func (f *graphFeed) lose(object any) {
	if object, ok := object.(*metav1.PartialObjectMetadata); ok {
		f.look(f.graph.forget(object.UID))
	}
}

func (f *graphFeed) list() (take func(object runtime.Object), complete func()) {
	var nodes []*node
	take = func(object runtime.Object) {
		if object, ok := object.(*metav1.PartialObjectMetadata); ok {
			nodes = append(nodes, nodeOf(f.resource, object))
		}
	}
	return take, func() { f.look(f.graph.replace(f.resource, nodes)) }
}

// reportElsewhere tells that an object names an owner in another namespace.
func (g *garbageCollection) reportElsewhere(n *node, ref metav1.OwnerReference) {
	gv := n.resource.GroupVersion()
	about := &corev1.ObjectReference{APIVersion: gv.String(), Kind: n.resource.Kind, Namespace: n.namespace, Name: n.name, UID: n.uid}
	owner := fmt.Sprintf("[%s/%s, namespace: %s, name: %s, uid: %s]", ref.APIVersion, ref.Kind, n.namespace, ref.Name, ref.UID)
	g.events.Eventf(about, corev1.EventTypeWarning, "OwnerRefInvalidNamespace", "ownerRef %s does not exist in namespace %q", owner, n.namespace)
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package live

import (
	"context"
	"fmt"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"

	"github.com/muster-identity/muster/pages"
)

// kind is a table and how objects become its values.
type kind[T any] struct {
	*table[T]
	valueOf func(runtime.Object) T
}

func (k kind[T]) writeOf(obj runtime.Object, revision int64, deleted bool) write[T] {
	m := obj.(metav1.Object)
	return write[T]{
		name:     types.NamespacedName{Namespace: m.GetNamespace(), Name: m.GetName()},
		revision: revision,
		deleted:  deleted,
		value:    k.valueOf(obj),
	}
}

func (k kind[T]) commitObject(obj runtime.Object, revision int64, deleted bool) {
	k.commit(k.writeOf(obj, revision, deleted))
}

func (k kind[T]) confirmObject(obj runtime.Object) {
	revision := revisionOf(obj.(metav1.Object).GetResourceVersion())
	k.confirm(k.writeOf(obj, revision, false))
}

func (k kind[T]) observeObject(obj runtime.Object, deleted bool) {
	revision := revisionOf(obj.(metav1.Object).GetResourceVersion())
	k.observe(k.writeOf(obj, revision, deleted))
}

func (k kind[T]) list() listing { return &reading[T]{kind: k} }

// listing takes the objects of a list one by one, and puts them in force when it has
// all of them.
type listing interface {
	take(obj runtime.Object)
	// replace tells that there is nothing else as of a revision.
	replace(revision int64)
}

// reading is a list of a kind that is being read.
type reading[T any] struct {
	kind kind[T]
	all  []write[T]
}

func (l *reading[T]) take(obj runtime.Object) {
	l.all = append(l.all, l.kind.writeOf(obj, revisionOf(obj.(metav1.Object).GetResourceVersion()), false))
}

func (l *reading[T]) replace(revision int64) { l.kind.replace(l.all, revision) }

// Feed follows a resource until ctx ends: it lists and watches through lw, in
// process, and again whenever the watch breaks. synced is called once, when the
// first list is in force. expected is an empty object of the resource.
func (v *View) Feed(ctx context.Context, resource schema.GroupResource, lw cache.ListerWatcher, expected runtime.Object, synced func()) error {
	f, ok := v.feeds[resource]
	if !ok {
		return fmt.Errorf("the live view does not keep %s", resource)
	}
	store := &reflected{feed: f, synced: sync.OnceFunc(synced)}
	paged := &pages.ListerWatcher{From: lw, Begin: store.begin}
	reflector := cache.NewReflectorWithOptions(paged, expected, store, cache.ReflectorOptions{Name: "live/" + resource.String()})
	reflector.RunWithContext(ctx)
	return nil
}

// reflected receives what a reflector sees.
type reflected struct {
	feed feed
	// list is the one that is being read.
	list   listing
	synced func()
}

func (r *reflected) begin() (take func(obj runtime.Object)) {
	r.list = r.feed.list()
	return r.list.take
}

// Add takes an object that was created.
func (r *reflected) Add(obj any) error { return r.observe(obj, false) }

// Update takes an object that was changed.
func (r *reflected) Update(obj any) error { return r.observe(obj, false) }

// Delete takes an object's last state, with the revision of its deletion.
func (r *reflected) Delete(obj any) error { return r.observe(obj, true) }

func (r *reflected) observe(obj any, deleted bool) error {
	r.feed.observeObject(obj.(runtime.Object), deleted)
	return nil
}

// Replace takes it that all objects there are have been listed.
func (r *reflected) Replace(_ []any, resourceVersion string) error {
	r.list.replace(revisionOf(resourceVersion))
	r.list = nil
	r.synced()
	return nil
}

// Bookmark notes how far the watch is.
func (r *reflected) Bookmark(resourceVersion string) error {
	r.feed.progress(revisionOf(resourceVersion))
	return nil
}

// Resync has nothing to do: everything is in force when it arrives.
func (r *reflected) Resync() error { return nil }

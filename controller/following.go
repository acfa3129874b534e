// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"

	"github.com/muster-identity/muster/pages"
)

// lister lists and watches objects.
type lister[L runtime.Object] interface {
	List(ctx context.Context, options metav1.ListOptions) (L, error)
	Watch(ctx context.Context, options metav1.ListOptions) (watch.Interface, error)
}

// follower is told what there is of a resource. Calls do not overlap. It keeps of
// the objects what it needs: nobody else does.
type follower interface {
	// see takes an object that is new or changed.
	see(object any)
	// lose takes the last state of an object that is gone.
	lose(object any)
	// list begins a list of all objects there are. Each is taken, and then the list
	// is complete: what is known beside is gone.
	list() (take func(object runtime.Object), complete func())
}

// follow tells f about all objects of a resource until ctx ends, and calls synced
// when it has told of all there were. example is an empty object.
func follow[L runtime.Object](ctx context.Context, name string, from lister[L], example runtime.Object, f follower, synced func()) {
	store := &followed{follower: f, synced: sync.OnceFunc(synced)}
	paged := &pages.ListerWatcher{
		From: &cache.ListWatch{
			ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
				return from.List(ctx, options)
			},
			WatchFuncWithContext: from.Watch,
		},
		Begin: store.begin,
	}
	cache.NewReflectorWithOptions(paged, example, store, cache.ReflectorOptions{Name: "controllers/" + name}).RunWithContext(ctx)
}

// followed is where a reflector leaves what it sees.
type followed struct {
	follower
	// complete is of the list that is being read.
	complete func()
	synced   func()
}

func (f *followed) begin() (take func(object runtime.Object)) {
	take, f.complete = f.list()
	return take
}

// Add passes a new object on.
func (f *followed) Add(object any) error {
	f.see(object)
	return nil
}

// Update passes a changed object on.
func (f *followed) Update(object any) error {
	f.see(object)
	return nil
}

// Delete passes on that an object is gone.
func (f *followed) Delete(object any) error {
	f.lose(object)
	return nil
}

// Replace tells that all there is has been passed on.
func (f *followed) Replace([]any, string) error {
	f.complete()
	f.complete = nil
	f.synced()
	return nil
}

// Resync has nothing to do.
func (f *followed) Resync() error { return nil }

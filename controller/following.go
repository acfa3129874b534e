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
	// seeAll takes all objects there are: what it knows beside is gone.
	seeAll(objects []any)
}

// follow tells f about all objects of a resource until ctx ends, and calls synced
// when it has told of all there were. example is an empty object; client is whoever
// is behind from.
func follow[L runtime.Object](ctx context.Context, name string, from lister[L], client any, example runtime.Object, f follower, synced func()) {
	lw := cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			return from.List(ctx, options)
		},
		WatchFuncWithContext: from.Watch,
	}, client)
	store := &followed{follower: f, synced: sync.OnceFunc(synced)}
	cache.NewReflectorWithOptions(lw, example, store, cache.ReflectorOptions{Name: "controllers/" + name}).RunWithContext(ctx)
}

// followed is where a reflector leaves what it sees.
type followed struct {
	follower
	synced func()
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

// Replace passes on what there is.
func (f *followed) Replace(objects []any, _ string) error {
	f.seeAll(objects)
	f.synced()
	return nil
}

// Resync has nothing to do.
func (f *followed) Resync() error { return nil }

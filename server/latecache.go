// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/apiserver/pkg/storage/storagebackend/factory"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
)

// numerous are the kinds of which there may be a hundred thousand objects. A watch
// cache holds all of them, whole.
var numerous = map[schema.GroupResource]bool{
	corev1.Resource("pods"):            true,
	corev1.Resource("secrets"):         true,
	corev1.Resource("serviceaccounts"): true,
}

const (
	// fewReaders is how many clients may watch a numerous kind at a time, and how
	// often all of its objects may be read in scanPeriod, before a watch cache pays:
	// without it each watch decodes for itself what happens.
	fewReaders = 10
	scanPeriod = time.Minute
)

// lateCaches makes the watch caches of the numerous kinds begin when they are
// needed, and not before the server is ready: its own controllers do well without.
type lateCaches struct {
	generic.RESTOptionsGetter
}

// GetRESTOptions gives a numerous kind its late cache.
func (l lateCaches) GetRESTOptions(resource schema.GroupResource, example runtime.Object) (generic.RESTOptions, error) {
	options, err := l.RESTOptionsGetter.GetRESTOptions(resource, example)
	if err != nil || !numerous[resource] {
		return options, err
	}
	cached := options.Decorator
	options.Decorator = func(config *storagebackend.ConfigForResource, prefix string, key func(runtime.Object) (string, error), newFunc, newList func() runtime.Object, attrs storage.AttrFunc, triggers storage.IndexerFuncs, indexers *cache.Indexers) (storage.Interface, factory.DestroyFunc, error) {
		direct, destroy, err := generic.NewRawStorage(config, newFunc, newList, prefix)
		if err != nil {
			return direct, destroy, err
		}
		late := &lateCache{Interface: direct, prefix: strings.TrimSuffix(prefix, "/"), resource: resource, now: time.Now}
		late.make = func() (storage.Interface, factory.DestroyFunc, error) {
			return cached(config, prefix, key, newFunc, newList, attrs, triggers, indexers)
		}
		return late, func() { late.end(); destroy() }, nil
	}
	return options, nil
}

// lateCache is the store itself at first, and a watch cache before it from when
// there are more than a few readers of all objects, and it has seen everything.
// Both answer alike.
type lateCache struct {
	storage.Interface
	resource schema.GroupResource
	// prefix is what the keys of all objects begin with, without the last slash.
	prefix string
	make   func() (storage.Interface, factory.DestroyFunc, error)
	now    func() time.Time

	mu sync.Mutex
	// watches is how many watches the store itself serves. Guarded by mu.
	watches int
	// scans is how often all objects were read since scansFrom. Guarded by mu.
	scans     int
	scansFrom time.Time
	// begun and ended tell of the cache, which may not be ready. Guarded by mu.
	begun, ended bool
	cached       storage.Interface
	destroy      factory.DestroyFunc
}

// serving is the cache if there is one that has seen everything, else the store.
func (l *lateCache) serving() storage.Interface {
	l.mu.Lock()
	cached := l.cached
	l.mu.Unlock()
	if cached == nil || cached.ReadinessCheck() != nil {
		return l.Interface
	}
	return cached
}

// Get reads an object.
func (l *lateCache) Get(ctx context.Context, key string, options storage.GetOptions, into runtime.Object) error {
	return l.serving().Get(ctx, key, options, into)
}

// GetList reads objects.
func (l *lateCache) GetList(ctx context.Context, key string, options storage.ListOptions, into runtime.Object) error {
	serving := l.serving()
	if serving == l.Interface && l.isAll(key) && options.Predicate.Limit == 0 {
		l.note(0, 1)
	}
	return serving.GetList(ctx, key, options, into)
}

// Delete removes an object; the cache knows what it is.
func (l *lateCache) Delete(ctx context.Context, key string, out runtime.Object, preconditions *storage.Preconditions, validate storage.ValidateObjectFunc, known runtime.Object, options storage.DeleteOptions) error {
	return l.serving().Delete(ctx, key, out, preconditions, validate, known, options)
}

// GuaranteedUpdate changes an object; the cache knows what it is.
func (l *lateCache) GuaranteedUpdate(ctx context.Context, key string, out runtime.Object, ignoreNotFound bool, preconditions *storage.Preconditions, update storage.UpdateFunc, known runtime.Object) error {
	return l.serving().GuaranteedUpdate(ctx, key, out, ignoreNotFound, preconditions, update, known)
}

// Watch follows objects.
func (l *lateCache) Watch(ctx context.Context, key string, options storage.ListOptions) (watch.Interface, error) {
	serving := l.serving()
	if serving != l.Interface {
		return serving.Watch(ctx, key, options)
	}
	scans := 0
	if l.isAll(key) && (options.SendInitialEvents != nil && *options.SendInitialEvents || options.ResourceVersion == "" || options.ResourceVersion == "0") {
		scans = 1
	}
	watching, stop := context.WithCancel(ctx)
	options.ProgressNotify = options.Predicate.AllowWatchBookmarks
	events, err := l.Interface.Watch(watching, key, options)
	if err != nil {
		stop()
		return nil, err
	}
	if options.ProgressNotify {
		go l.remind(watching)
	}
	l.note(1, scans)
	return newDirectWatch(watching, events, options.ProgressNotify, func() { stop(); l.note(-1, 0) }), nil
}

func (l *lateCache) isAll(key string) bool { return strings.TrimSuffix(key, "/") == l.prefix }

// note notes that there are so many more watches, and that all objects are read so
// many times more, and begins the cache if that pays.
func (l *lateCache) note(watches, scans int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.watches += watches
	if now := l.now(); now.Sub(l.scansFrom) > scanPeriod {
		l.scans, l.scansFrom = 0, now
	}
	l.scans += scans
	if l.begun || l.ended || l.watches <= fewReaders && l.scans <= fewReaders {
		return
	}
	l.begun = true
	cached, destroy, err := l.make()
	if err != nil {
		klog.ErrorS(err, "there is no watch cache", "resource", l.resource)
		return
	}
	l.cached, l.destroy = cached, destroy
}

// end takes the cache down.
func (l *lateCache) end() {
	l.mu.Lock()
	destroy := l.destroy
	l.ended, l.destroy = true, nil
	l.mu.Unlock()
	if destroy != nil {
		destroy()
	}
}

// A watch cache sends bookmarks each minute and shortly before the end of a watch
// (k8s.io/apiserver/pkg/storage/cacher); so does the store, when it is asked.
const (
	bookmarkPeriod = time.Minute
	bookmarkAtEnd  = 2 * time.Second
)

// remind asks the store for bookmarks until ctx ends.
func (l *lateCache) remind(ctx context.Context) {
	for {
		pause := bookmarkPeriod
		if end, ok := ctx.Deadline(); ok {
			if last := end.Sub(l.now()) - bookmarkAtEnd; last > 0 {
				pause = min(pause, last)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		if err := l.RequestWatchProgress(ctx); err != nil && ctx.Err() == nil {
			klog.V(1).InfoS("there is no bookmark", "resource", l.resource, "reason", err)
		}
	}
}

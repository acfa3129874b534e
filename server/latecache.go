// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/registry/generic"
	genericoptions "k8s.io/apiserver/pkg/server/options"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/apiserver/pkg/storage/storagebackend/factory"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
)

const (
	// fewObjects is how many objects of a kind have their watch cache from the start:
	// it saves a read with each update.
	fewObjects = 500
	// fewReaders is how many clients may watch a numerous kind at a time, and how
	// often all of its objects may be read in scanPeriod, before a watch cache pays:
	// without it each of them has the objects decoded for itself.
	fewReaders = 10
	scanPeriod = time.Minute
)

// lateCaches makes the watch caches of some kinds begin when they are needed, if
// there are many objects: a cache holds all of them, whole, and would have to be
// filled before the server is ready.
type lateCaches struct {
	generic.RESTOptionsGetter
	// open makes a storage without a cache.
	open openFunc
	// cached tells which kinds have a cache.
	cached func(schema.GroupResource) bool
}

// openFunc makes the storage of a resource that has its keys below a prefix.
type openFunc func(config *storagebackend.ConfigForResource, newFunc, newList func() runtime.Object, prefix string) (storage.Interface, factory.DestroyFunc, error)

// isNumerous tells whether there may be a hundred thousand objects of a kind.
func isNumerous(resource schema.GroupResource) bool {
	return slices.Contains([]schema.GroupResource{corev1.Resource("pods"), corev1.Resource("secrets"), corev1.Resource("serviceaccounts")}, resource)
}

// watchCached tells which kinds have a watch cache (--watch-cache,
// --watch-cache-sizes).
func watchCached(store *genericoptions.EtcdOptions) (func(schema.GroupResource) bool, error) {
	sizes, err := genericoptions.ParseWatchCacheSizes(store.WatchCacheSizes)
	if err != nil {
		return nil, fmt.Errorf("--watch-cache-sizes: %w", err)
	}
	return func(resource schema.GroupResource) bool {
		size, given := sizes[resource]
		return store.EnableWatchCache && (!given || size > 0)
	}, nil
}

// GetRESTOptions puts a lateCache where the cache of many objects would be.
func (l lateCaches) GetRESTOptions(resource schema.GroupResource, example runtime.Object) (generic.RESTOptions, error) {
	options, err := l.RESTOptionsGetter.GetRESTOptions(resource, example)
	if err != nil || !isNumerous(resource) || !l.cached(resource) {
		return options, err
	}
	cached := options.Decorator
	options.Decorator = func(config *storagebackend.ConfigForResource, prefix string, key func(runtime.Object) (string, error), newFunc, newList func() runtime.Object, attrs storage.AttrFunc, triggers storage.IndexerFuncs, indexers *cache.Indexers) (storage.Interface, factory.DestroyFunc, error) {
		makeCache := func() (storage.Interface, factory.DestroyFunc, error) {
			return cached(config, prefix, key, newFunc, newList, attrs, triggers, indexers)
		}
		store, destroy, err := l.open(config, newFunc, newList, prefix)
		if err != nil {
			return store, destroy, err
		}
		has, err := store.Stats(context.Background())
		if err != nil {
			destroy()
			return nil, nil, fmt.Errorf("counting %s: %w", resource, err)
		}
		if has.ObjectCount <= fewObjects {
			destroy()
			return makeCache()
		}
		late := &lateCache{Interface: store, resource: resource, prefix: strings.TrimSuffix(prefix, "/"), make: makeCache, now: time.Now}
		return late, func() { late.end(); destroy() }, nil
	}
	return options, nil
}

// lateCache is the store itself at first. Before that there is a watch cache from
// when it has more than a few readers, and the cache has seen everything. Both
// answer alike.
type lateCache struct {
	storage.Interface
	resource schema.GroupResource
	// prefix is what the keys of all objects begin with, without the last slash.
	prefix string
	make   func() (storage.Interface, factory.DestroyFunc, error)
	now    func() time.Time

	// cached is nil before the cache has begun.
	cached atomic.Pointer[storage.Interface]
	// since is a revision of the store when the cache was ready; zero before.
	since atomic.Uint64

	mu sync.Mutex
	// watches is how many watches the store serves. Guarded by mu.
	watches int
	// scans is how often all objects were read since scansFrom. Guarded by mu.
	scans     int
	scansFrom time.Time
	// closed is set when there shall be no cache any more: it has begun, or the
	// server ends. destroy takes it down. Guarded by mu.
	closed  bool
	destroy factory.DestroyFunc
}

// serving is who answers now.
func (l *lateCache) serving() storage.Interface {
	cached := l.cached.Load()
	if cached == nil || (*cached).ReadinessCheck() != nil {
		return l.Interface
	}
	return *cached
}

// Get reads an object.
func (l *lateCache) Get(ctx context.Context, key string, options storage.GetOptions, into runtime.Object) error {
	return l.serving().Get(ctx, key, options, into)
}

// Delete removes an object, of which the cache knows what it is.
func (l *lateCache) Delete(ctx context.Context, key string, out runtime.Object, preconditions *storage.Preconditions, validate storage.ValidateObjectFunc, known runtime.Object, options storage.DeleteOptions) error {
	return l.serving().Delete(ctx, key, out, preconditions, validate, known, options)
}

// GuaranteedUpdate changes an object, of which the cache knows what it is.
func (l *lateCache) GuaranteedUpdate(ctx context.Context, key string, out runtime.Object, ignoreNotFound bool, preconditions *storage.Preconditions, update storage.UpdateFunc, known runtime.Object) error {
	return l.serving().GuaranteedUpdate(ctx, key, out, ignoreNotFound, preconditions, update, known)
}

// GetList reads objects.
func (l *lateCache) GetList(ctx context.Context, key string, options storage.ListOptions, into runtime.Object) error {
	serving := l.serving()
	if serving == l.Interface && options.Predicate.Limit == 0 && l.isAll(key) {
		l.note(0, 1)
	}
	return serving.GetList(ctx, key, options, into)
}

// Watch follows objects.
func (l *lateCache) Watch(ctx context.Context, key string, options storage.ListOptions) (watch.Interface, error) {
	if serving := l.serving(); serving != l.Interface && l.remembers(ctx, options.ResourceVersion) {
		return serving.Watch(ctx, key, options)
	}
	scans := 0
	if beginsWithAll(options) && l.isAll(key) {
		scans = 1
	}
	watching, stop := context.WithCancel(ctx)
	options.ProgressNotify = options.Predicate.AllowWatchBookmarks
	events, err := l.Interface.Watch(watching, key, options)
	if err != nil {
		stop()
		return nil, err
	}
	l.note(1, scans)
	if options.ProgressNotify {
		go l.remind(watching)
	}
	return newDirectWatch(watching, events, options.ProgressNotify, func() { stop(); l.note(-1, 0) }), nil
}

// remembers tells whether the cache, which is ready, knows what has happened since a
// version. It refuses those who ask for more, and would have them read all again.
func (l *lateCache) remembers(ctx context.Context, version string) bool {
	asked, err := l.Versioner().ParseResourceVersion(version)
	if err != nil || asked == 0 {
		return true
	}
	since := l.since.Load()
	if since == 0 {
		if since, err = l.GetCurrentResourceVersion(ctx); err != nil {
			return false
		}
		l.since.Store(since)
	}
	return asked >= since
}

func (l *lateCache) isAll(key string) bool { return strings.TrimSuffix(key, "/") == l.prefix }

// beginsWithAll tells whether a watch begins with what there is.
func beginsWithAll(options storage.ListOptions) bool {
	if options.SendInitialEvents != nil {
		return *options.SendInitialEvents
	}
	return options.ResourceVersion == "" || options.ResourceVersion == "0"
}

// note notes that there are so many more watches, and that all objects are read so
// many times more, and begins the cache if that pays.
func (l *lateCache) note(watches, scans int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := l.now(); now.Sub(l.scansFrom) >= scanPeriod {
		l.scans, l.scansFrom = 0, now
	}
	l.watches += watches
	l.scans += scans
	if l.closed || l.watches <= fewReaders && l.scans <= fewReaders {
		return
	}
	l.closed = true
	cached, destroy, err := l.make()
	if err != nil {
		klog.ErrorS(err, "there is no watch cache", "resource", l.resource)
		return
	}
	l.destroy = destroy
	l.cached.Store(&cached)
}

// end takes the cache down.
func (l *lateCache) end() {
	l.mu.Lock()
	destroy := l.destroy
	l.closed, l.destroy = true, nil
	l.mu.Unlock()
	if destroy != nil {
		destroy()
	}
}

// A watch cache sends bookmarks each minute and shortly before the end of a watch
// (k8s.io/apiserver/pkg/storage/cacher). So does the store when it is asked.
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

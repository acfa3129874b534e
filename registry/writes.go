// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"path"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/apiserver/pkg/storage/storagebackend/factory"
	"k8s.io/client-go/tools/cache"
)

// WriteListener is told of each write before the request that made it is
// answered. Calls may overlap.
type WriteListener interface {
	// Commit tells of a write that the store has accepted. obj carries the
	// revision of the write; it belongs to the caller, so a listener copies
	// what it keeps.
	Commit(resource schema.GroupResource, obj runtime.Object, deleted bool)
	// Doubt tells of a write that has failed. It may have taken effect all the
	// same, if its answer was lost on the way. namespace is empty for
	// cluster-scoped resources.
	Doubt(resource schema.GroupResource, namespace, name string)
}

// ListenToWrites makes every storage that options hands out tell listener of
// its writes. It stands below the generic store, where every path of a write
// comes through (create, update, patch, apply, deletion in all its stages,
// collections), and dry runs do not.
func ListenToWrites(options generic.RESTOptionsGetter, listener WriteListener) generic.RESTOptionsGetter {
	return wrapping{options, func(resource schema.GroupResource, prefix string, store storage.Interface) storage.Interface {
		return &heardStorage{Interface: store, resource: resource, prefix: prefix, listener: listener}
	}}
}

// wrapping puts something around every storage that the options hand out. A
// store whose storage is replaced when it is complete has begun to use it.
type wrapping struct {
	generic.RESTOptionsGetter
	wrap func(resource schema.GroupResource, prefix string, store storage.Interface) storage.Interface
}

// GetRESTOptions decorates the storage of a resource.
func (w wrapping) GetRESTOptions(resource schema.GroupResource, example runtime.Object) (generic.RESTOptions, error) {
	options, err := w.RESTOptionsGetter.GetRESTOptions(resource, example)
	if err != nil {
		return options, err
	}
	next := options.Decorator
	options.Decorator = func(config *storagebackend.ConfigForResource, prefix string, key func(runtime.Object) (string, error), newFunc, newList func() runtime.Object, attrs storage.AttrFunc, triggers storage.IndexerFuncs, indexers *cache.Indexers) (storage.Interface, factory.DestroyFunc, error) {
		store, destroy, err := next(config, prefix, key, newFunc, newList, attrs, triggers, indexers)
		if err != nil {
			return store, destroy, err
		}
		return w.wrap(resource, prefix, store), destroy, nil
	}
	return options, nil
}

// heardStorage is a storage whose writes are heard.
type heardStorage struct {
	storage.Interface
	resource schema.GroupResource
	prefix   string
	listener WriteListener
}

// doubt tells of a failed write of the object that is kept under key:
// prefix/namespace/name or prefix/name.
func (s *heardStorage) doubt(key string) {
	namespace, name := path.Split(strings.Trim(strings.TrimPrefix(key, s.prefix), "/"))
	s.listener.Doubt(s.resource, strings.TrimSuffix(namespace, "/"), name)
}

// Create stores a new object.
func (s *heardStorage) Create(ctx context.Context, key string, obj, out runtime.Object, ttl uint64) error {
	if err := s.Interface.Create(ctx, key, obj, out, ttl); err != nil {
		s.doubt(key)
		return err
	}
	s.listener.Commit(s.resource, out, false)
	return nil
}

// GuaranteedUpdate changes an object, or writes nothing if nothing changed; the
// listener then hears of the revision that it knows.
func (s *heardStorage) GuaranteedUpdate(ctx context.Context, key string, out runtime.Object, ignoreNotFound bool, preconditions *storage.Preconditions, update storage.UpdateFunc, cached runtime.Object) error {
	if err := s.Interface.GuaranteedUpdate(ctx, key, out, ignoreNotFound, preconditions, update, cached); err != nil {
		s.doubt(key)
		return err
	}
	s.listener.Commit(s.resource, out, false)
	return nil
}

// Delete removes an object; out is its last state with the deletion's revision.
func (s *heardStorage) Delete(ctx context.Context, key string, out runtime.Object, preconditions *storage.Preconditions, validate storage.ValidateObjectFunc, cached runtime.Object, options storage.DeleteOptions) error {
	if err := s.Interface.Delete(ctx, key, out, preconditions, validate, cached, options); err != nil {
		s.doubt(key)
		return err
	}
	s.listener.Commit(s.resource, out, true)
	return nil
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/validate/content"
	"k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/watch"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	genericapiserver "k8s.io/apiserver/pkg/server"
	genericoptions "k8s.io/apiserver/pkg/server/options"
	serverstorage "k8s.io/apiserver/pkg/server/storage"
	"k8s.io/client-go/tools/cache"

	"github.com/muster-identity/muster/registry"
)

// storageFactory places each resource in the store as Kubernetes does: the same
// keys, the same encoding.
func storageFactory(store *genericoptions.EtcdOptions, scheme *runtime.Scheme, codecs serializer.CodecFactory, resources []registry.Resource, config *genericapiserver.Config) *serverstorage.DefaultStorageFactory {
	prefixes := map[schema.GroupResource]string{}
	var jsonOnly []schema.GroupResource
	for _, resource := range resources {
		if name := resource.GroupVersionResource().GroupResource(); registry.JSONOnly(name.Group) {
			jsonOnly = append(jsonOnly, name)
		}
		if placed, ok := resource.(interface{ StoragePrefix() string }); ok {
			prefixes[resource.GroupVersionResource().GroupResource()] = placed.StoragePrefix()
		}
	}
	factory := serverstorage.NewDefaultStorageFactory(
		store.StorageConfig,
		store.DefaultStorageMediaType,
		codecs,
		serverstorage.NewDefaultResourceEncodingConfigForEffectiveVersion(scheme, config.EffectiveVersion),
		config.MergedResourceConfig,
		prefixes,
	)
	for _, resource := range jsonOnly {
		factory.SetSerializer(resource, runtime.ContentTypeJSON, nil)
	}
	factory.AddCohabitatingResources(corev1.Resource("events"), eventsv1.SchemeGroupVersion.WithResource("events").GroupResource())
	factory.StorageConfig.StorageObjectCountTracker = config.StorageObjectCountTracker
	return factory
}

// stores are the main storages of the served resources.
type stores map[schema.GroupResource]rest.Storage

// Get reads an object, consistently. It is the live view's source.
func (s stores) Get(ctx context.Context, resource schema.GroupResource, namespace, name string) (runtime.Object, error) {
	getter, ok := s[resource].(rest.Getter)
	if !ok {
		return nil, fmt.Errorf("%s cannot be read", resource)
	}
	if !nameable(name) || !nameable(namespace) && namespace != "" {
		return nil, apierrors.NewNotFound(resource, name)
	}
	// Its errors name the resource of the request that ctx stands for.
	ctx = genericapirequest.WithRequestInfo(genericapirequest.WithNamespace(ctx, namespace), &genericapirequest.RequestInfo{
		IsResourceRequest: true, Verb: "get", APIGroup: resource.Group, APIVersion: "v1",
		Resource: resource.Resource, Namespace: namespace, Name: name,
	})
	return getter.Get(ctx, name, &metav1.GetOptions{})
}

// nameable tells whether a name can be part of a key in the store. A name that
// comes out of a token is not checked by the URL's routing.
func nameable(name string) bool {
	return len(content.IsPathSegmentName(name)) == 0
}

// listWatch lists and watches a resource in process.
func (s stores) listWatch(resource schema.GroupResource) (cache.ListerWatcher, runtime.Object, error) {
	storage, ok := s[resource].(interface {
		rest.Storage
		rest.Lister
		rest.Watcher
	})
	if !ok {
		return nil, nil, fmt.Errorf("%s cannot be watched", resource)
	}
	return &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			return storage.List(ctx, internalOptions(options))
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			events, err := storage.Watch(ctx, internalOptions(options))
			if err != nil {
				return nil, err
			}
			return watch.Filter(events, uncached), nil
		},
	}, storage.New(), nil
}

// uncached takes the object out of the wrapper in which the watch cache shares
// one encoding among its watchers.
func uncached(event watch.Event) (watch.Event, bool) {
	if shared, ok := event.Object.(runtime.CacheableObject); ok {
		event.Object = shared.GetObject()
	}
	return event, true
}

func internalOptions(options metav1.ListOptions) *internalversion.ListOptions {
	return &internalversion.ListOptions{
		ResourceVersion:      options.ResourceVersion,
		ResourceVersionMatch: options.ResourceVersionMatch,
		AllowWatchBookmarks:  options.AllowWatchBookmarks,
		SendInitialEvents:    options.SendInitialEvents,
		TimeoutSeconds:       options.TimeoutSeconds,
		Limit:                options.Limit,
		Continue:             options.Continue,
	}
}

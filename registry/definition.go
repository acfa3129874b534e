// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/generic"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage"
)

// Object is what every stored type is.
type Object interface {
	runtime.Object
	metav1.Object
}

// Definition describes a stored resource whose objects are of type T. The zero
// value of every hook means that there is nothing to do.
type Definition[T Object] struct {
	// GroupVersion, Kind, Plural and Singular name the resource.
	GroupVersion           schema.GroupVersion
	Kind, Plural, Singular string
	// ShortNames and Categories are what kubectl users type.
	ShortNames, Categories []string
	// ClusterScoped is true for resources outside namespaces.
	ClusterScoped bool

	// New and NewList make empty values.
	New     func() T
	NewList func() runtime.Object

	// Default fills what a client left out, on every read of a request body
	// and of a stored object. It is registered with the scheme, once per type.
	Default func(obj T)
	// Name checks metadata.name; nil means a DNS subdomain (RFC 1123).
	Name validation.ValidateNameFunc
	// PrepareCreate and PrepareUpdate drop what this resource's clients may
	// not set. They run before validation.
	PrepareCreate func(ctx context.Context, obj T)
	PrepareUpdate func(ctx context.Context, obj, old T)
	// Validate checks everything but metadata; it runs on create and update.
	Validate func(obj T) field.ErrorList
	// ValidateCreate checks what holds for new objects only. It runs after
	// Validate.
	ValidateCreate func(obj T) field.ErrorList
	// ValidateUpdate checks what may not change. It runs after Validate.
	ValidateUpdate func(obj, old T) field.ErrorList
	// Permit refuses what the caller may not write although it is valid; it
	// runs last, and only if nothing is wrong. old is the zero T on create.
	Permit func(ctx context.Context, obj, old T) field.ErrorList
	// Warnings are sent in Warning headers. old is the zero T on create.
	Warnings func(ctx context.Context, obj, old T) []string

	// Status, if not nil, adds the status subresource.
	Status *StatusDefinition[T]

	// Fields are the selectable fields beyond metadata.name and
	// metadata.namespace. The set must have the same keys for every object.
	Fields func(obj T) fields.Set
	// Columns and Row are the table form. Row returns one cell per column.
	Columns []metav1.TableColumnDefinition
	Row     func(obj T) []any

	// CreateOnUpdate lets PUT create an object that does not exist.
	CreateOnUpdate bool
	// RequireVersion refuses updates without metadata.resourceVersion.
	RequireVersion bool
	// ReturnDeleted answers a deletion with the object instead of a Status.
	ReturnDeleted bool
	// Prefix is the storage folder below /registry; empty means Plural, for
	// Muster's own kinds within a folder named after the group, as custom
	// resources have it.
	Prefix string

	// Wrap stands around the storage of the objects, below the store and its
	// hooks; nil for nothing.
	Wrap func(storage.Interface) storage.Interface
	// GracefulDelete may change the grace period of a deletion; it returns
	// whether the object stays until somebody confirms its end.
	GracefulDelete func(ctx context.Context, obj T, options *metav1.DeleteOptions) bool
	// Extend adjusts the finished store and adds subresources, or replaces
	// the store's own entry in the map. The status subresource is made from
	// the store afterwards, unless Extend has put one into the map.
	Extend func(env Environment, store *genericregistry.Store, storage map[string]rest.Storage) error
}

// StatusDefinition describes the status subresource of T.
type StatusDefinition[T Object] struct {
	// Prepare copies from old whatever an update of the status may not change.
	Prepare func(ctx context.Context, obj, old T)
	// Reset drops the status from obj, or restores that of old, when the
	// main resource is written. old is the zero T on create.
	Reset func(obj, old T)
	// Validate checks the new status.
	Validate func(obj, old T) field.ErrorList
}

// GroupVersionResource names the resource as it is served.
func (d *Definition[T]) GroupVersionResource() schema.GroupVersionResource {
	return d.GroupVersion.WithResource(d.Plural)
}

// GroupVersionKind is the kind of its objects.
func (d *Definition[T]) GroupVersionKind() schema.GroupVersionKind {
	return d.GroupVersion.WithKind(d.Kind)
}

// Namespaced tells whether its objects live in namespaces.
func (d *Definition[T]) Namespaced() bool { return !d.ClusterScoped }

// Stored is true: every Definition is of objects that are kept.
func (d *Definition[T]) Stored() bool { return true }

// StoragePrefix is the folder below /registry where the objects are kept.
func (d *Definition[T]) StoragePrefix() string {
	switch {
	case d.Prefix != "":
		return d.Prefix
	case JSONOnly(d.GroupVersion.Group):
		return d.GroupVersion.Group + "/" + d.Plural
	}
	return d.Plural
}

// Register adds the defaults and the selectable fields to the scheme.
func (d *Definition[T]) Register(scheme *runtime.Scheme) error {
	if d.Default != nil {
		scheme.AddTypeDefaultingFunc(d.New(), func(obj any) { d.Default(obj.(T)) })
		scheme.AddTypeDefaultingFunc(d.NewList(), d.defaultList)
	}
	if d.Fields == nil {
		// The scheme knows metadata.name and metadata.namespace by itself.
		return nil
	}
	known := d.fieldsOf(d.New())
	kind := d.GroupVersion.WithKind(d.Kind)
	return scheme.AddFieldLabelConversionFunc(kind, func(label, value string) (string, string, error) {
		if _, ok := known[label]; ok {
			return label, value, nil
		}
		return "", "", fmt.Errorf("field label not supported: %s", label)
	})
}

func (d *Definition[T]) defaultList(list any) {
	// EachListItem hands out pointers into the list, so that the defaults land
	// in it. It only fails for what is not a list.
	_ = meta.EachListItem(list.(runtime.Object), func(item runtime.Object) error {
		d.Default(item.(T))
		return nil
	})
}

func (d *Definition[T]) fieldsOf(obj T) fields.Set {
	set := generic.ObjectMetaFieldsSet(&metav1.ObjectMeta{Name: obj.GetName(), Namespace: obj.GetNamespace()}, d.Namespaced())
	if d.Fields == nil {
		return set
	}
	return generic.MergeFieldsSets(set, d.Fields(obj))
}

func (d *Definition[T]) attributes(obj runtime.Object) (labels.Set, fields.Set, error) {
	typed, ok := obj.(T)
	if !ok {
		return nil, nil, fmt.Errorf("selecting %s: the object is a %T", d.Plural, obj)
	}
	return typed.GetLabels(), d.fieldsOf(typed), nil
}

// Storage makes the REST storage of the resource and of its subresources.
func (d *Definition[T]) Storage(env Environment) (map[string]rest.Storage, error) {
	strategy := newStrategy(d, env.Scheme)
	store := &genericregistry.Store{
		NewFunc:                   func() runtime.Object { return d.New() },
		NewListFunc:               d.NewList,
		DefaultQualifiedResource:  d.GroupVersionResource().GroupResource(),
		SingularQualifiedResource: schema.GroupResource{Group: d.GroupVersion.Group, Resource: d.Singular},
		CreateStrategy:            strategy,
		UpdateStrategy:            strategy,
		DeleteStrategy:            strategy,
		ResetFieldsStrategy:       strategy,
		ReturnDeletedObject:       d.ReturnDeleted,
		TableConvertor:            d.tableConvertor(),
	}
	if err := store.CompleteWithOptions(&generic.StoreOptions{RESTOptions: d.wrapped(env.RESTOptions), AttrFunc: storage.AttrFunc(d.attributes)}); err != nil {
		return nil, fmt.Errorf("storage of %s: %w", d.Plural, err)
	}
	storage := map[string]rest.Storage{d.Plural: &named{Store: store, shortNames: d.ShortNames, categories: d.Categories}}
	if d.Extend != nil {
		if err := d.Extend(env, store, storage); err != nil {
			return nil, fmt.Errorf("storage of %s: %w", d.Plural, err)
		}
	}
	if status := d.Plural + "/status"; d.Status != nil && storage[status] == nil {
		storage[status] = newStatusStorage(store, newStatusStrategy(strategy))
	}
	return storage, nil
}

func (d *Definition[T]) wrapped(options generic.RESTOptionsGetter) generic.RESTOptionsGetter {
	if d.Wrap == nil {
		return options
	}
	return wrapping{options, func(_ schema.GroupResource, _ string, store storage.Interface) storage.Interface {
		return d.Wrap(store)
	}}
}

// named adds to a store what discovery tells about it.
type named struct {
	*genericregistry.Store
	shortNames, categories []string
}

// ShortNames are the abbreviations that clients accept.
func (n *named) ShortNames() []string { return n.shortNames }

// Categories are the groups ("all") that the resource belongs to.
func (n *named) Categories() []string { return n.categories }

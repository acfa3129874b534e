// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// subresource serves get, update and patch of one side of an object that a
// store keeps: its status, or whatever else has a strategy of its own.
type subresource struct {
	store *genericregistry.Store
}

func newStatusStorage(main *genericregistry.Store, strategy rest.UpdateResetFieldsStrategy) *subresource {
	store := *main
	store.UpdateStrategy = strategy
	store.ResetFieldsStrategy = strategy
	return &subresource{store: &store}
}

// New returns an empty object of the main resource.
func (r *subresource) New() runtime.Object { return r.store.New() }

// Destroy has nothing to do: the main storage owns the store.
func (r *subresource) Destroy() {}

// Get returns the whole object.
func (r *subresource) Get(ctx context.Context, name string, options *metav1.GetOptions) (runtime.Object, error) {
	return r.store.Get(ctx, name, options)
}

// Update changes this side of an object and never creates one.
func (r *subresource) Update(ctx context.Context, name string, info rest.UpdatedObjectInfo, create rest.ValidateObjectFunc, update rest.ValidateObjectUpdateFunc, _ bool, options *metav1.UpdateOptions) (runtime.Object, bool, error) {
	return r.store.Update(ctx, name, info, create, update, false, options)
}

// GetResetFields tells server-side apply which fields cannot be owned here.
func (r *subresource) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return r.store.GetResetFields()
}

// ConvertToTable prints the whole object.
func (r *subresource) ConvertToTable(ctx context.Context, obj, options runtime.Object) (*metav1.Table, error) {
	return r.store.ConvertToTable(ctx, obj, options)
}

// statusStrategy is the strategy of updates through the status subresource.
type statusStrategy[T Object] struct {
	*strategy[T]
}

func newStatusStrategy[T Object](main *strategy[T]) *statusStrategy[T] {
	return &statusStrategy[T]{strategy: main}
}

// AllowCreateOnUpdate is false: a status belongs to an object that exists.
func (s *statusStrategy[T]) AllowCreateOnUpdate(context.Context) bool { return false }

// PrepareForUpdate keeps everything but the status and the labels, annotations
// and finalizers as they were.
func (s *statusStrategy[T]) PrepareForUpdate(ctx context.Context, obj, old runtime.Object) {
	s.Status.Prepare(ctx, obj.(T), old.(T))
}

// ValidateUpdate checks the metadata and the status.
func (s *statusStrategy[T]) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	errs := s.validateMetaUpdate(obj.(T), old.(T))
	if s.Status.Validate != nil {
		errs = append(errs, s.Status.Validate(obj.(T), old.(T))...)
	}
	return errs
}

// WarningsOnUpdate has none: what warns is in the spec.
func (s *statusStrategy[T]) WarningsOnUpdate(context.Context, runtime.Object, runtime.Object) []string {
	return nil
}

// GetResetFields tells server-side apply that the spec is not for this side.
func (s *statusStrategy[T]) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return s.resets(fieldpath.MakePathOrDie("spec"))
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validate/content"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/storage/names"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// strategy makes of a Definition what the generic store calls at each write.
type strategy[T Object] struct {
	runtime.ObjectTyper
	names.NameGenerator
	*Definition[T]
}

func newStrategy[T Object](d *Definition[T], scheme *runtime.Scheme) *strategy[T] {
	return &strategy[T]{ObjectTyper: scheme, NameGenerator: names.SimpleNameGenerator, Definition: d}
}

// NamespaceScoped tells whether the objects live in namespaces.
func (s *strategy[T]) NamespaceScoped() bool { return s.Namespaced() }

// AllowCreateOnUpdate tells whether PUT may create.
func (s *strategy[T]) AllowCreateOnUpdate(context.Context) bool { return s.CreateOnUpdate }

// AllowUnconditionalUpdate tells whether an update needs a resourceVersion.
func (s *strategy[T]) AllowUnconditionalUpdate(context.Context) bool { return !s.RequireVersion }

// Canonicalize has nothing to do: defaults are set when objects are decoded.
func (s *strategy[T]) Canonicalize(runtime.Object) {}

// PrepareForCreate drops what clients may not set.
func (s *strategy[T]) PrepareForCreate(ctx context.Context, obj runtime.Object) {
	var none T
	if s.Status != nil {
		s.Status.Reset(obj.(T), none)
	}
	if s.PrepareCreate != nil {
		s.PrepareCreate(ctx, obj.(T))
	}
}

// PrepareForUpdate drops what clients may not change.
func (s *strategy[T]) PrepareForUpdate(ctx context.Context, obj, old runtime.Object) {
	if s.Status != nil {
		s.Status.Reset(obj.(T), old.(T))
	}
	if s.PrepareUpdate != nil {
		s.PrepareUpdate(ctx, obj.(T), old.(T))
	}
}

// Validate checks a new object.
func (s *strategy[T]) Validate(ctx context.Context, obj runtime.Object) field.ErrorList {
	errs := append(s.validateMeta(obj.(T)), s.validate(obj.(T))...)
	if s.ValidateCreate != nil {
		errs = append(errs, s.ValidateCreate(obj.(T))...)
	}
	if s.Permit != nil && len(errs) == 0 {
		var none T
		return s.Permit(ctx, obj.(T), none)
	}
	return errs
}

// ValidateUpdate checks a changed object.
func (s *strategy[T]) ValidateUpdate(ctx context.Context, obj, old runtime.Object) field.ErrorList {
	errs := s.validateMetaUpdate(obj.(T), old.(T))
	errs = append(errs, s.validate(obj.(T))...)
	if s.Definition.ValidateUpdate != nil {
		errs = append(errs, s.Definition.ValidateUpdate(obj.(T), old.(T))...)
	}
	if s.Permit != nil && len(errs) == 0 {
		return s.Permit(ctx, obj.(T), old.(T))
	}
	return errs
}

// validateMeta checks the metadata of an object. The rule of finalizers is that
// of Kubernetes: pkg/apis/core/validation (ValidateObjectMeta).
func (s *strategy[T]) validateMeta(obj T) field.ErrorList {
	path := field.NewPath("metadata")
	errs := validation.ValidateObjectMetaAccessor(obj, s.Namespaced(), s.nameRule(), path)
	for i, finalizer := range obj.GetFinalizers() {
		errs = append(errs, qualifiedFinalizer(finalizer, path.Child("finalizers").Index(i))...)
	}
	return errs
}

// pathSegmentName is the rule of names that need only fit into a URL.
func pathSegmentName(name string, prefix bool) []string {
	if prefix {
		return content.IsPathSegmentPrefix(name)
	}
	return content.IsPathSegmentName(name)
}

// qualifiedFinalizer refuses a finalizer that is neither Kubernetes' own nor
// belongs to a domain.
func qualifiedFinalizer(name string, path *field.Path) field.ErrorList {
	standard := []string{string(corev1.FinalizerKubernetes), metav1.FinalizerOrphanDependents, metav1.FinalizerDeleteDependents}
	if strings.Contains(name, "/") || slices.Contains(standard, name) {
		return nil
	}
	return field.ErrorList{field.Invalid(path, name, "name is neither a standard finalizer name nor is it fully qualified")}
}

func (s *strategy[T]) validateMetaUpdate(obj, old T) field.ErrorList {
	errs := s.validateMeta(obj)
	return append(errs, validation.ValidateObjectMetaAccessorUpdate(obj, old, field.NewPath("metadata"))...)
}

func (s *strategy[T]) validate(obj T) field.ErrorList {
	if s.Definition.Validate == nil {
		return nil
	}
	return s.Definition.Validate(obj)
}

func (s *strategy[T]) nameRule() validation.ValidateNameFunc {
	if s.Name == nil {
		return validation.NameIsDNSSubdomain
	}
	return s.Name
}

// WarningsOnCreate are sent in Warning headers.
func (s *strategy[T]) WarningsOnCreate(ctx context.Context, obj runtime.Object) []string {
	var none T
	return s.warnings(ctx, obj, none)
}

// WarningsOnUpdate are sent in Warning headers.
func (s *strategy[T]) WarningsOnUpdate(ctx context.Context, obj, old runtime.Object) []string {
	return s.warnings(ctx, obj, old.(T))
}

func (s *strategy[T]) warnings(ctx context.Context, obj runtime.Object, old T) []string {
	if s.Warnings == nil {
		return nil
	}
	return s.Warnings(ctx, obj.(T), old)
}

// CheckGracefulDelete tells whether a deletion waits for a confirmation.
func (s *strategy[T]) CheckGracefulDelete(ctx context.Context, obj runtime.Object, options *metav1.DeleteOptions) bool {
	return s.GracefulDelete != nil && s.GracefulDelete(ctx, obj.(T), options)
}

// GetResetFields tells server-side apply which fields a client cannot own here.
func (s *strategy[T]) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	if s.Status == nil {
		return nil
	}
	return s.resets(fieldpath.MakePathOrDie("status"))
}

func (s *strategy[T]) resets(path fieldpath.Path) map[fieldpath.APIVersion]*fieldpath.Set {
	return map[fieldpath.APIVersion]*fieldpath.Set{
		fieldpath.APIVersion(s.GroupVersion.String()): fieldpath.NewSet(path),
	}
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/registry/rest"
)

// reviewer answers the reviews of type T. Calls may overlap.
type reviewer[T runtime.Object] interface {
	// check refuses what cannot be answered, with an API error.
	check(ctx context.Context, question T) error
	// answer is called with what check and admission have let through. It may
	// write to question, and returns what the client gets.
	answer(ctx context.Context, question T) (T, error)
}

// review describes a resource that is not stored: a client creates one and the
// created object is the answer.
type review[T runtime.Object] struct {
	groupVersion           schema.GroupVersion
	kind, plural, singular string
	namespaced             bool

	newObject func() T
	// reviewer makes the answering side from the collaborators of the house.
	reviewer func(services Services) (reviewer[T], error)
}

// GroupVersionResource names the resource as it is served.
func (r *review[T]) GroupVersionResource() schema.GroupVersionResource {
	return r.groupVersion.WithResource(r.plural)
}

// Namespaced tells whether reviews of this kind are asked within a namespace.
func (r *review[T]) Namespaced() bool { return r.namespaced }

// Stored is false: a review is answered and forgotten.
func (r *review[T]) Stored() bool { return false }

// Register has nothing to add: reviews have neither defaults nor selectors.
func (r *review[T]) Register(*runtime.Scheme) error { return nil }

// Storage makes the REST storage, which knows the verb create only.
func (r *review[T]) Storage(env Environment) (map[string]rest.Storage, error) {
	reviewer, err := r.reviewer(env.Services)
	if err != nil {
		return nil, fmt.Errorf("storage of %s: %w", r.plural, err)
	}
	return map[string]rest.Storage{r.plural: &reviewStorage[T]{review: r, reviewer: reviewer}}, nil
}

// reviewStorage serves the verb create of a review.
type reviewStorage[T runtime.Object] struct {
	review   *review[T]
	reviewer reviewer[T]
}

// New returns an empty review.
func (s *reviewStorage[T]) New() runtime.Object { return s.review.newObject() }

// Destroy has nothing to do: nothing is kept.
func (s *reviewStorage[T]) Destroy() {}

// NamespaceScoped tells whether reviews are asked within a namespace.
func (s *reviewStorage[T]) NamespaceScoped() bool { return s.review.namespaced }

// GetSingularName is the name that kubectl users may type.
func (s *reviewStorage[T]) GetSingularName() string { return s.review.singular }

// Create answers a review. Admission sees the question, not the answer.
func (s *reviewStorage[T]) Create(ctx context.Context, obj runtime.Object, admit rest.ValidateObjectFunc, _ *metav1.CreateOptions) (runtime.Object, error) {
	question, ok := obj.(T)
	if !ok {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("not a %s: %T", s.review.kind, obj))
	}
	if err := s.reviewer.check(ctx, question); err != nil {
		return nil, err
	}
	if admit != nil {
		if err := admit(ctx, question.DeepCopyObject()); err != nil {
			return nil, err
		}
	}
	return s.reviewer.answer(ctx, question)
}

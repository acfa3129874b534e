// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
)

// NamespaceStarter follows the creation of a namespace.
type NamespaceStarter interface {
	// Start is called with a namespace that has just been stored, before its
	// creation is answered; what Start makes in it is there for the client's
	// next request. It is not called for dry runs, and must not change
	// namespace. An error is logged: the namespace exists all the same, and a
	// controller has to do later what failed now. Calls may overlap.
	Start(ctx context.Context, namespace *corev1.Namespace) error
}

func namespaces() Resource {
	return &Definition[*corev1.Namespace]{
		GroupVersion: corev1.SchemeGroupVersion,
		Kind:         "Namespace", Plural: "namespaces", Singular: "namespace",
		ShortNames:    []string{"ns"},
		ClusterScoped: true,
		New:           func() *corev1.Namespace { return &corev1.Namespace{} },
		NewList:       func() runtime.Object { return &corev1.NamespaceList{} },
		Default:       defaultNamespace,
		Name:          validation.ValidateNamespaceName,
		PrepareCreate: func(_ context.Context, namespace *corev1.Namespace) {
			// The defaults could not know a name that was generated since.
			labelWithName(namespace)
			holdNamespace(namespace)
		},
		PrepareUpdate: func(_ context.Context, namespace, old *corev1.Namespace) {
			namespace.Spec.Finalizers = old.Spec.Finalizers
		},
		Validate: func(namespace *corev1.Namespace) field.ErrorList {
			return validateNamespaceFinalizers(namespace.Spec.Finalizers, func(int) *field.Path { return field.NewPath("spec", "finalizers") })
		},
		Status: &StatusDefinition[*corev1.Namespace]{
			Prepare:  func(_ context.Context, namespace, old *corev1.Namespace) { namespace.Spec = old.Spec },
			Reset:    resetNamespaceStatus,
			Validate: func(namespace, _ *corev1.Namespace) field.ErrorList { return validateNamespacePhase(namespace) },
		},
		Fields: func(namespace *corev1.Namespace) fields.Set {
			return fields.Set{"status.phase": string(namespace.Status.Phase)}
		},
		ReturnDeleted: true,
		Columns:       []metav1.TableColumnDefinition{nameColumn(), column("Status", "string", "The status of the namespace"), ageColumn()},
		Row: func(namespace *corev1.Namespace) []any {
			return []any{namespace.Name, string(namespace.Status.Phase), age(namespace)}
		},
		Extend: extendNamespaces,
	}
}

func defaultNamespace(namespace *corev1.Namespace) {
	if namespace.Name != "" {
		labelWithName(namespace)
	}
	if namespace.Status.Phase == "" {
		namespace.Status.Phase = corev1.NamespaceActive
	}
}

// labelWithName lets label selectors find a namespace by its name.
func labelWithName(namespace *corev1.Namespace) {
	if namespace.Labels == nil {
		namespace.Labels = map[string]string{}
	}
	namespace.Labels[corev1.LabelMetadataName] = namespace.Name
}

// holdNamespace keeps a namespace from going before it has been emptied.
func holdNamespace(namespace *corev1.Namespace) {
	if !slices.Contains(namespace.Spec.Finalizers, corev1.FinalizerKubernetes) {
		namespace.Spec.Finalizers = append(namespace.Spec.Finalizers, corev1.FinalizerKubernetes)
	}
}

func resetNamespaceStatus(namespace, old *corev1.Namespace) {
	if old == nil {
		namespace.Status = corev1.NamespaceStatus{Phase: corev1.NamespaceActive}
		return
	}
	namespace.Status = old.Status
}

// extendNamespaces puts the life cycle of namespaces around the store: a
// deletion waits for spec.finalizers too, which only the subresource finalize
// takes away.
func extendNamespaces(env Environment, store *genericregistry.Store, storage map[string]rest.Storage) error {
	store.ShouldDeleteDuringUpdate = namespaceIsDone
	main := store.UpdateStrategy.(*strategy[*corev1.Namespace])
	storage["namespaces/finalize"] = namespaceFinalize{newStatusStorage(store, &namespaceFinalizeStrategy{main})}
	storage["namespaces"] = newNamespaceStorage(storage["namespaces"].(*named), env.Services.NamespaceStarter)
	return nil
}

// namespaceIsDone tells the store to remove a namespace instead of updating it.
func namespaceIsDone(ctx context.Context, key string, obj, existing runtime.Object) bool {
	namespace, ok := obj.(*corev1.Namespace)
	return ok && len(namespace.Spec.Finalizers) == 0 && genericregistry.ShouldDeleteDuringUpdate(ctx, key, obj, existing)
}

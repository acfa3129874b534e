// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage"
	storageerr "k8s.io/apiserver/pkg/storage/errors"
	"k8s.io/apiserver/pkg/util/dryrun"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// namespaceVerbs are what the store does for namespaces as for any resource.
// Deletion of collections is not among them: nobody deletes all namespaces by a
// slip of the keyboard (Kubernetes: pkg/registry/core/namespace/storage).
type namespaceVerbs interface {
	rest.Storage
	rest.Scoper
	rest.CreaterUpdater
	rest.Getter
	rest.Lister
	rest.Watcher
	rest.SingularNameProvider
	rest.ShortNamesProvider
	rest.StorageVersionProvider
	rest.ResetFieldsStrategy
}

// namespaceStorage serves namespaces.
type namespaceStorage struct {
	namespaceVerbs
	stored  *named
	starter NamespaceStarter
	now     func() time.Time
}

func newNamespaceStorage(stored *named, starter NamespaceStarter) *namespaceStorage {
	return &namespaceStorage{namespaceVerbs: stored, stored: stored, starter: starter, now: time.Now}
}

// Create stores a namespace and has it started.
func (s *namespaceStorage) Create(ctx context.Context, obj runtime.Object, admit rest.ValidateObjectFunc, options *metav1.CreateOptions) (runtime.Object, error) {
	created, err := s.stored.Create(ctx, obj, admit, options)
	if err != nil || s.starter == nil || dryrun.IsDryRun(options.DryRun) {
		return created, err
	}
	namespace := created.(*corev1.Namespace)
	if err := s.starter.Start(ctx, namespace); err != nil {
		utilruntime.HandleErrorWithContext(ctx, err, "Starting a namespace", "namespace", namespace.Name)
	}
	return created, nil
}

// Delete begins the end of a namespace, which then is Terminating, and removes
// it once it has no finalizers left.
func (s *namespaceStorage) Delete(ctx context.Context, name string, admit rest.ValidateObjectFunc, options *metav1.DeleteOptions) (runtime.Object, bool, error) {
	found, err := s.stored.Get(ctx, name, &metav1.GetOptions{})
	if err != nil {
		return nil, false, err
	}
	namespace := found.(*corev1.Namespace)
	options, err = s.pinned(namespace, options)
	if err != nil {
		return nil, false, err
	}
	switch {
	case namespace.DeletionTimestamp.IsZero():
		terminating, err := s.terminate(ctx, name, admit, options)
		return terminating, false, err
	case len(namespace.Spec.Finalizers) > 0:
		return namespace, false, nil
	default:
		return s.stored.Delete(ctx, name, admit, options)
	}
}

// pinned ties the deletion to the namespace that was found, so that it cannot
// hit one that was made again under the same name.
func (s *namespaceStorage) pinned(namespace *corev1.Namespace, options *metav1.DeleteOptions) (*metav1.DeleteOptions, error) {
	if options == nil {
		options = metav1.NewDeleteOptions(0)
	}
	if options.Preconditions == nil {
		options.Preconditions = &metav1.Preconditions{}
	}
	wanted := options.Preconditions
	if wanted.UID == nil {
		wanted.UID = &namespace.UID
	}
	if *wanted.UID != namespace.UID {
		return nil, s.conflict(namespace.Name, "UID", *wanted.UID, namespace.UID)
	}
	if wanted.ResourceVersion != nil && *wanted.ResourceVersion != namespace.ResourceVersion {
		return nil, s.conflict(namespace.Name, "ResourceVersion", *wanted.ResourceVersion, namespace.ResourceVersion)
	}
	return options, nil
}

func (s *namespaceStorage) conflict(name, what string, wanted, found any) error {
	//lint:ignore ST1005 these are the words of Kubernetes
	err := fmt.Errorf("Precondition failed: %s in precondition: %v, %s in object meta: %v", what, wanted, what, found)
	return apierrors.NewConflict(s.stored.DefaultQualifiedResource, name, err)
}

// terminate stores the first step of a deletion.
func (s *namespaceStorage) terminate(ctx context.Context, name string, admit rest.ValidateObjectFunc, options *metav1.DeleteOptions) (runtime.Object, error) {
	key, err := s.stored.KeyFunc(ctx, name)
	if err != nil {
		return nil, err
	}
	step := func(existing runtime.Object) (runtime.Object, error) {
		if err := admit(ctx, existing); err != nil {
			return nil, err
		}
		namespace := existing.(*corev1.Namespace)
		beginTermination(namespace, options, s.now())
		return namespace, nil
	}
	preconditions := &storage.Preconditions{UID: options.Preconditions.UID, ResourceVersion: options.Preconditions.ResourceVersion}
	out := s.New()
	err = s.stored.Storage.GuaranteedUpdate(ctx, key, out, false, preconditions, storage.SimpleUpdate(step), dryrun.IsDryRun(options.DryRun), nil)
	if err != nil {
		return nil, s.interpret(err, name)
	}
	return out, nil
}

func (s *namespaceStorage) interpret(err error, name string) error {
	resource := s.stored.DefaultQualifiedResource
	err = storageerr.InterpretUpdateError(storageerr.InterpretGetError(err, resource, name), resource, name)
	if status := (*apierrors.StatusError)(nil); errors.As(err, &status) {
		return err
	}
	return apierrors.NewInternalError(err)
}

// beginTermination marks a namespace as ending, with the finalizers that the
// options ask of the garbage collector.
func beginTermination(namespace *corev1.Namespace, options *metav1.DeleteOptions, now time.Time) {
	if namespace.DeletionTimestamp.IsZero() {
		deleted := metav1.NewTime(now)
		namespace.DeletionTimestamp = &deleted
	}
	namespace.Status.Phase = corev1.NamespaceTerminating
	orphan := collectorFinalizer(options, metav1.DeletePropagationOrphan, true)
	foreground := collectorFinalizer(options, metav1.DeletePropagationForeground, false)
	setFinalizer(namespace, metav1.FinalizerOrphanDependents, orphan)
	setFinalizer(namespace, metav1.FinalizerDeleteDependents, foreground)
}

// collectorFinalizer tells whether the options ask for the finalizer of policy,
// or nil if they leave it as it is. orphans is what policy means in terms of
// the older option orphanDependents.
func collectorFinalizer(options *metav1.DeleteOptions, policy metav1.DeletionPropagation, orphans bool) *bool {
	wanted := false
	//lint:ignore SA1019 clients still send it
	orphanDependents := options.OrphanDependents
	switch {
	case orphanDependents != nil:
		wanted = *orphanDependents == orphans
	case options.PropagationPolicy != nil:
		wanted = *options.PropagationPolicy == policy
	default:
		return nil
	}
	return &wanted
}

func setFinalizer(namespace *corev1.Namespace, name string, wanted *bool) {
	has := slices.Contains(namespace.Finalizers, name)
	switch {
	case wanted == nil || *wanted == has:
	case *wanted:
		namespace.Finalizers = append(namespace.Finalizers, name)
	default:
		namespace.Finalizers = slices.DeleteFunc(namespace.Finalizers, func(have string) bool { return have == name })
	}
}

// namespaceFinalize serves namespaces/finalize, which can be written only.
type namespaceFinalize struct {
	namespaceFinalizeVerbs
}

type namespaceFinalizeVerbs interface {
	rest.Storage
	rest.Updater
	rest.ResetFieldsStrategy
}

// namespaceFinalizeStrategy is the strategy of writes to namespaces/finalize:
// spec.finalizers, and metadata as far as anybody may.
type namespaceFinalizeStrategy struct {
	*strategy[*corev1.Namespace]
}

// PrepareForUpdate keeps the status as it was.
func (s *namespaceFinalizeStrategy) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	obj.(*corev1.Namespace).Status = old.(*corev1.Namespace).Status
}

// ValidateUpdate checks the metadata and the finalizers.
func (s *namespaceFinalizeStrategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	namespace := obj.(*corev1.Namespace)
	errs := s.validateMetaUpdate(namespace, old.(*corev1.Namespace))
	return append(errs, validateNamespaceFinalizers(namespace.Spec.Finalizers, field.NewPath("spec", "finalizers").Index)...)
}

// GetResetFields tells server-side apply that the status is not for this side.
func (s *namespaceFinalizeStrategy) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return s.resets(fieldpath.MakePathOrDie("status"))
}

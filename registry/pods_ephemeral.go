// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/diff"
	"k8s.io/apimachinery/pkg/util/validation/field"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// ephemeralContainers serves get, update and patch of pods/ephemeralcontainers,
// by which containers are added to a pod to look into it.
type ephemeralContainers struct {
	store *genericregistry.Store
}

func newEphemeralContainers(main *genericregistry.Store) *ephemeralContainers {
	store := *main
	store.UpdateStrategy = &ephemeralStrategy{store.UpdateStrategy}
	return &ephemeralContainers{store: &store}
}

var (
	_ rest.Patcher                   = &ephemeralContainers{}
	_ rest.ResetFieldsFilterStrategy = &ephemeralContainers{}
)

// New returns an empty pod.
func (e *ephemeralContainers) New() runtime.Object { return &corev1.Pod{} }

// Destroy has nothing to do: the main storage owns the store.
func (e *ephemeralContainers) Destroy() {}

// Get returns the whole pod.
func (e *ephemeralContainers) Get(ctx context.Context, name string, options *metav1.GetOptions) (runtime.Object, error) {
	return e.store.Get(ctx, name, options)
}

// Update adds containers to a pod that exists.
func (e *ephemeralContainers) Update(ctx context.Context, name string, info rest.UpdatedObjectInfo, create rest.ValidateObjectFunc, update rest.ValidateObjectUpdateFunc, _ bool, options *metav1.UpdateOptions) (runtime.Object, bool, error) {
	return e.store.Update(ctx, name, info, create, update, false, options)
}

// ConvertToTable prints the whole pod.
func (e *ephemeralContainers) ConvertToTable(ctx context.Context, obj, options runtime.Object) (*metav1.Table, error) {
	return e.store.ConvertToTable(ctx, obj, options)
}

// GetResetFieldsFilter tells server-side apply that only these containers can be
// owned here.
func (e *ephemeralContainers) GetResetFieldsFilter() map[fieldpath.APIVersion]fieldpath.Filter {
	only := fieldpath.NewIncludeMatcherFilter(fieldpath.MakePrefixMatcherOrDie("spec", "ephemeralContainers"))
	return map[fieldpath.APIVersion]fieldpath.Filter{fieldpath.APIVersion(corev1.SchemeGroupVersion.String()): only}
}

// ephemeralStrategy is the strategy of updates through the subresource.
type ephemeralStrategy struct {
	rest.RESTUpdateStrategy
}

// PrepareForUpdate keeps everything but the ephemeral containers.
func (s *ephemeralStrategy) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	pod, before := obj.(*corev1.Pod), old.(*corev1.Pod)
	containers := pod.Spec.EphemeralContainers
	pod.Spec = *before.Spec.DeepCopy()
	pod.Status = before.Status
	metav1.ResetObjectMetaForStatus(pod, before)
	pod.Spec.EphemeralContainers = containers
	countPodChange(pod, before)
}

// ValidateUpdate checks the pod with its new containers.
func (s *ephemeralStrategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	return validateEphemeralUpdate(obj.(*corev1.Pod), old.(*corev1.Pod))
}

// WarningsOnUpdate has none.
func (s *ephemeralStrategy) WarningsOnUpdate(context.Context, runtime.Object, runtime.Object) []string {
	return nil
}

// validateEphemeralUpdate lets containers be added, and none be changed or
// removed (Kubernetes: pkg/apis/core/validation,
// ValidatePodEphemeralContainersUpdate).
func validateEphemeralUpdate(pod, old *corev1.Pod) field.ErrorList {
	if _, mirror := old.Annotations[corev1.MirrorPodAnnotationKey]; mirror {
		return field.ErrorList{field.Forbidden(field.NewPath(""), "static pods do not support ephemeral containers")}
	}
	errs := validation.ValidateObjectMetaUpdate(&pod.ObjectMeta, &old.ObjectMeta, field.NewPath("metadata"))
	errs = append(errs, validatePod(pod)...)
	path := field.NewPath("spec", "ephemeralContainers")
	for _, before := range old.Spec.EphemeralContainers {
		i := slices.IndexFunc(pod.Spec.EphemeralContainers, func(container corev1.EphemeralContainer) bool { return container.Name == before.Name })
		if i < 0 {
			errs = append(errs, field.Forbidden(path, fmt.Sprintf("existing ephemeral containers %q may not be removed\n", before.Name)))
			continue
		}
		if now := pod.Spec.EphemeralContainers[i]; !equality.Semantic.DeepEqual(before, now) {
			errs = append(errs, field.Forbidden(path, fmt.Sprintf("existing ephemeral containers %q may not be changed\n%v", before.Name, diff.Diff(before, now))))
		}
	}
	return errs
}

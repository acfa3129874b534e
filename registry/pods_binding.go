// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"errors"
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage"
	storeerr "k8s.io/apiserver/pkg/storage/errors"
	"k8s.io/apiserver/pkg/util/dryrun"
)

// podBinding serves POST of pods/binding, by which a scheduler gives a pod to a
// node, once (Kubernetes: pkg/registry/core/pod/storage, BindingREST).
type podBinding struct {
	store *genericregistry.Store
}

var (
	_ rest.NamedCreater                   = &podBinding{}
	_ rest.SubresourceObjectMetaPreserver = &podBinding{}
)

// New returns an empty binding.
func (b *podBinding) New() runtime.Object { return &corev1.Binding{} }

// Destroy has nothing to do: the main storage owns the store.
func (b *podBinding) Destroy() {}

// PreserveRequestObjectMetaSystemFieldsOnSubresourceCreate is true: UID and
// resourceVersion of a binding say which pod is meant.
func (b *podBinding) PreserveRequestObjectMetaSystemFieldsOnSubresourceCreate() bool { return true }

// Create gives the pod to the target of the binding. Its errors are Conflict for
// a pod that cannot be given away any more, and those of the store.
func (b *podBinding) Create(ctx context.Context, name string, obj runtime.Object, validate rest.ValidateObjectFunc, options *metav1.CreateOptions) (runtime.Object, error) {
	binding, ok := obj.(*corev1.Binding)
	if !ok {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("not a Binding object: %#v", obj))
	}
	if name != binding.Name {
		return nil, apierrors.NewBadRequest("name in URL does not match name in Binding object")
	}
	if errs := validateBinding(binding); len(errs) > 0 {
		return nil, errs.ToAggregate()
	}
	if validate != nil {
		if err := validate(ctx, binding.DeepCopyObject()); err != nil {
			return nil, err
		}
	}
	if err := b.bind(ctx, binding, dryrun.IsDryRun(options.DryRun)); err != nil {
		return nil, err
	}
	return &metav1.Status{Status: metav1.StatusSuccess}, nil
}

func (b *podBinding) bind(ctx context.Context, binding *corev1.Binding, dryRun bool) error {
	key, err := b.store.KeyFunc(ctx, binding.Name)
	if err != nil {
		return err
	}
	err = b.store.Storage.GuaranteedUpdate(ctx, key, &corev1.Pod{}, false, preconditionsOf(binding), storage.SimpleUpdate(func(obj runtime.Object) (runtime.Object, error) {
		pod := obj.(*corev1.Pod)
		if err := mayBind(pod); err != nil {
			return nil, err
		}
		assign(pod, binding, metav1.Now())
		return pod, nil
	}), dryRun, nil)
	return bindError(err, binding.Name)
}

// bindError makes an API error of what storage says, and of our refusals a
// conflict.
func bindError(err error, name string) error {
	pods := schema.GroupResource{Resource: "pods"}
	err = storeerr.InterpretUpdateError(storeerr.InterpretGetError(err, pods, name), pods, name)
	var status *apierrors.StatusError
	if err == nil || errors.As(err, &status) {
		return err
	}
	return apierrors.NewConflict(schema.GroupResource{Resource: "pods/binding"}, name, err)
}

func preconditionsOf(binding *corev1.Binding) *storage.Preconditions {
	if binding.UID == "" && binding.ResourceVersion == "" {
		return nil
	}
	conditions := &storage.Preconditions{}
	if binding.UID != "" {
		conditions.UID = &binding.UID
	}
	if binding.ResourceVersion != "" {
		conditions.ResourceVersion = &binding.ResourceVersion
	}
	return conditions
}

// mayBind tells why a pod cannot be given to a node.
func mayBind(pod *corev1.Pod) error {
	switch {
	case pod.DeletionTimestamp != nil:
		return fmt.Errorf("pod %s is being deleted, cannot be assigned to a host", pod.Name)
	case pod.Spec.NodeName != "":
		return fmt.Errorf("pod %v is already assigned to node %q", pod.Name, pod.Spec.NodeName)
	case len(pod.Spec.SchedulingGates) > 0:
		return fmt.Errorf("pod %v has non-empty .spec.schedulingGates", pod.Name)
	}
	return nil
}

// assign gives the pod to the node, with the labels and annotations of the
// binding.
func assign(pod *corev1.Pod, binding *corev1.Binding, now metav1.Time) {
	pod.Spec.NodeName = binding.Target.Name
	pod.Status.NominatedNodeName = ""
	if pod.Annotations == nil {
		pod.Annotations = map[string]string{}
	}
	maps.Copy(pod.Annotations, binding.Annotations)
	dropInitAnnotations(pod.Annotations)
	if pod.Labels == nil && len(binding.Labels) > 0 {
		pod.Labels = map[string]string{}
	}
	maps.Copy(pod.Labels, binding.Labels)
	scheduled := corev1.PodCondition{Type: corev1.PodScheduled, Status: corev1.ConditionTrue, LastTransitionTime: now}
	condition := podCondition(&pod.Status, corev1.PodScheduled)
	if condition == nil {
		pod.Status.Conditions = append(pod.Status.Conditions, scheduled)
		return
	}
	if condition.Status == corev1.ConditionTrue {
		scheduled.LastTransitionTime = condition.LastTransitionTime
	}
	*condition = scheduled
}

func validateBinding(binding *corev1.Binding) field.ErrorList {
	path := field.NewPath("target")
	var errs field.ErrorList
	if kind := binding.Target.Kind; kind != "" && kind != "Node" {
		errs = append(errs, field.NotSupported(path.Child("kind"), kind, []string{"Node", "<empty>"}))
	}
	if binding.Target.Name == "" {
		return append(errs, field.Required(path.Child("name"), ""))
	}
	if len(errs) > 0 {
		return errs
	}
	return invalid(path.Child("name"), binding.Target.Name, validation.NameIsDNSSubdomain(binding.Target.Name, false))
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

// Package namespacelifecycle is the admission plugin that keeps writes out of
// namespaces that do not exist or are about to end, and keeps the namespaces
// that a server cannot do without. The server room puts it first in the chain.
//
// It does what the plugin of that name in k8s.io/apiserver does. That one reads
// from an informer of its own, waits for it when a namespace is new to it, and
// mistrusts it after a deletion; this one asks whoever knows what exists now,
// and so needs neither a second cache nor a wait. Emptying a namespace that ends
// is the work of the room controller.
package namespacelifecycle

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
)

// Name is what the plugin is called in flags, as in Kubernetes.
const Name = "NamespaceLifecycle"

// State is what is known of a namespace at the time of the question.
type State struct {
	// Exists is true while the namespace is stored, in whatever phase.
	Exists bool
	// Terminating is true once its deletion was asked for.
	Terminating bool
}

// Namespaces tells what became of a namespace. A deletion or a creation that
// has been answered must show: there is no second look. A missing namespace is a
// State, not an error; an error refuses the write as an internal error. Calls
// may overlap.
type Namespaces interface {
	Namespace(ctx context.Context, name string) (State, error)
}

// Plugin is the admission plugin. Make one with New.
type Plugin struct {
	*admission.Handler
	namespaces Namespaces
}

var _ admission.MutationInterface = &Plugin{}

// New makes a plugin that asks namespaces.
func New(namespaces Namespaces) *Plugin {
	return &Plugin{
		Handler:    admission.NewHandler(admission.Create, admission.Delete),
		namespaces: namespaces,
	}
}

// Admit refuses what the state of the namespace does not allow. It changes
// nothing, yet it belongs to the mutating half, so that no other plugin does
// work for a write that cannot be.
func (p *Plugin) Admit(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	namespace := a.GetKind().GroupKind() == schema.GroupKind{Kind: "Namespace"}
	if a.GetOperation() == admission.Delete {
		if namespace && immortal(a.GetName()) {
			return apierrors.NewForbidden(a.GetResource().GroupResource(), a.GetName(), errors.New("this namespace may not be deleted"))
		}
		return nil
	}
	if a.GetOperation() != admission.Create || namespace || a.GetNamespace() == "" || isAccessReview(a) {
		return nil
	}
	return p.admitCreate(ctx, a)
}

func (p *Plugin) admitCreate(ctx context.Context, a admission.Attributes) error {
	name := a.GetNamespace()
	state, err := p.namespaces.Namespace(ctx, name)
	switch {
	case err != nil:
		return apierrors.NewInternalError(fmt.Errorf("looking up namespace %q: %w", name, err))
	case !state.Exists:
		return apierrors.NewNotFound(corev1.Resource("namespaces"), name)
	case state.Terminating:
		return terminating(a)
	}
	return nil
}

// terminating is the refusal that clients recognise by its cause and stop
// trying (Kubernetes: apierrors.HasStatusCause with NamespaceTerminatingCause).
func terminating(a admission.Attributes) error {
	name := a.GetNamespace()
	err := admission.NewForbidden(a, fmt.Errorf("unable to create new content in namespace %s because it is being terminated", name))
	if status, ok := errors.AsType[*apierrors.StatusError](err); ok {
		status.ErrStatus.Details.Causes = append(status.ErrStatus.Details.Causes, metav1.StatusCause{
			Type:    corev1.NamespaceTerminatingCause,
			Message: fmt.Sprintf("namespace %s is being terminated", name),
			Field:   "metadata.namespace",
		})
	}
	return err
}

// immortal namespaces hold what the server itself needs.
func immortal(name string) bool {
	switch name {
	case metav1.NamespaceDefault, metav1.NamespaceSystem, metav1.NamespacePublic:
		return true
	}
	return false
}

// isAccessReview tells the one creation in a namespace that needs no namespace:
// to answer "not found" would tell the asker which namespaces there are.
func isAccessReview(a admission.Attributes) bool {
	return a.GetResource().GroupResource() == schema.GroupResource{Group: "authorization.k8s.io", Resource: "localsubjectaccessreviews"}
}

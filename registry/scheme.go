// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"fmt"
	"reflect"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	batchv1 "k8s.io/api/batch/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	identityv1 "github.com/muster-identity/muster/identity/v1"
)

// groups are the served API groups in the order of discovery.
func groups() []runtime.SchemeBuilder {
	return []runtime.SchemeBuilder{
		corev1.SchemeBuilder,
		eventsv1.SchemeBuilder,
		authenticationv1.SchemeBuilder,
		authorizationv1.SchemeBuilder,
		batchv1.SchemeBuilder,
		rbacv1.SchemeBuilder,
		coordinationv1.SchemeBuilder,
		identityv1.SchemeBuilder,
	}
}

// GroupVersions are the served group versions, in the order of discovery.
func GroupVersions() []schema.GroupVersion {
	return []schema.GroupVersion{
		corev1.SchemeGroupVersion,
		eventsv1.SchemeGroupVersion,
		authenticationv1.SchemeGroupVersion,
		authorizationv1.SchemeGroupVersion,
		batchv1.SchemeGroupVersion,
		rbacv1.SchemeGroupVersion,
		coordinationv1.SchemeGroupVersion,
		identityv1.SchemeGroupVersion,
	}
}

// NewScheme makes the scheme of the resources: their types, each as v1 and as
// the internal version of its group, their defaults and selectable fields.
func NewScheme(resources []Resource) (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	for _, group := range groups() {
		if err := group.AddToScheme(scheme); err != nil {
			return nil, fmt.Errorf("registering types: %w", err)
		}
	}
	for _, version := range GroupVersions() {
		registerHub(scheme, version)
		if err := scheme.SetVersionPriority(version); err != nil {
			return nil, fmt.Errorf("registering %s: %w", version, err)
		}
	}
	if err := registerEventConversions(scheme); err != nil {
		return nil, err
	}
	for _, resource := range resources {
		if err := resource.Register(scheme); err != nil {
			return nil, fmt.Errorf("registering %s: %w", resource.GroupVersionResource(), err)
		}
	}
	return scheme, nil
}

// JSONOnly tells whether the types of a group have no protobuf encoding: they
// are stored and served as JSON, as custom resources are.
func JSONOnly(group string) bool { return group == identityv1.GroupName }

// registerHub registers the types of a group version as its internal version.
// The events of events.k8s.io are those of the core group: one storage serves
// both.
func registerHub(scheme *runtime.Scheme, version schema.GroupVersion) {
	hub := schema.GroupVersion{Group: version.Group, Version: runtime.APIVersionInternal}
	if version == eventsv1.SchemeGroupVersion {
		scheme.AddKnownTypes(hub, &corev1.Event{}, &corev1.EventList{})
		return
	}
	for kind, goType := range scheme.KnownTypes(version) {
		if ownType(goType) {
			scheme.AddKnownTypeWithName(hub.WithKind(kind), reflect.New(goType).Interface().(runtime.Object))
		}
	}
}

// ownType tells whether a type is a group's own: every group version has the
// options of requests and the events of watches beside them.
func ownType(goType reflect.Type) bool {
	return strings.HasPrefix(goType.PkgPath(), "k8s.io/api/") || goType.PkgPath() == reflect.TypeFor[identityv1.TokenRevocation]().PkgPath()
}

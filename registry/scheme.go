// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	authenticationv1beta1 "k8s.io/api/authentication/v1beta1"
	authorizationv1 "k8s.io/api/authorization/v1"
	batchv1 "k8s.io/api/batch/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/conversion"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"

	identityv1 "github.com/muster-identity/muster/identity/v1"
)

// groupVersion is one version of an API group with its types.
type groupVersion struct {
	version schema.GroupVersion
	types   runtime.SchemeBuilder
}

// groupVersions are all that can be served, in the order of discovery. Of the
// versions of one group the first is preferred.
func groupVersions() []groupVersion {
	return []groupVersion{
		{corev1.SchemeGroupVersion, corev1.SchemeBuilder},
		{eventsv1.SchemeGroupVersion, eventsv1.SchemeBuilder},
		{authenticationv1.SchemeGroupVersion, authenticationv1.SchemeBuilder},
		{authenticationv1beta1.SchemeGroupVersion, authenticationv1beta1.SchemeBuilder},
		{authorizationv1.SchemeGroupVersion, authorizationv1.SchemeBuilder},
		{batchv1.SchemeGroupVersion, batchv1.SchemeBuilder},
		{certificatesv1.SchemeGroupVersion, certificatesv1.SchemeBuilder},
		{rbacv1.SchemeGroupVersion, rbacv1.SchemeBuilder},
		{admissionregistrationv1.SchemeGroupVersion, admissionregistrationv1.SchemeBuilder},
		{coordinationv1.SchemeGroupVersion, coordinationv1.SchemeBuilder},
		{identityv1.SchemeGroupVersion, identityv1.SchemeBuilder},
	}
}

// served are the group versions that have one of the resources.
func served(resources []Resource) []groupVersion {
	return slices.DeleteFunc(groupVersions(), func(g groupVersion) bool {
		return !slices.ContainsFunc(resources, func(r Resource) bool { return r.GroupVersionResource().GroupVersion() == g.version })
	})
}

// GroupVersions are the group versions of the resources, in the order of
// discovery. Of the versions of one group the first is preferred.
func GroupVersions(resources []Resource) []schema.GroupVersion {
	var versions []schema.GroupVersion
	for _, group := range served(resources) {
		versions = append(versions, group.version)
	}
	return versions
}

// NewScheme makes the scheme of the resources: their types, each as v1 and as
// the internal version of its group, their defaults and selectable fields.
func NewScheme(resources []Resource) (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	versions := map[string][]schema.GroupVersion{}
	for _, group := range served(resources) {
		version := group.version
		if err := group.types.AddToScheme(scheme); err != nil {
			return nil, fmt.Errorf("registering types: %w", err)
		}
		registerHub(scheme, version)
		versions[version.Group] = append(versions[version.Group], version)
		if err := scheme.SetVersionPriority(versions[version.Group]...); err != nil {
			return nil, fmt.Errorf("registering %s: %w", version, err)
		}
	}
	if err := errors.Join(registerEventConversions(scheme), registerTokenReviewConversions(scheme)); err != nil {
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
	switch version {
	case eventsv1.SchemeGroupVersion:
		scheme.AddKnownTypes(hub, &corev1.Event{}, &corev1.EventList{})
		return
	case authenticationv1beta1.SchemeGroupVersion:
		return // the types of v1 are the hub
	}
	for kind, goType := range scheme.KnownTypes(version) {
		if ownType(goType) {
			obj := reflect.New(goType).Interface().(runtime.Object)
			scheme.AddKnownTypeWithName(hub.WithKind(kind), obj)
			// Admission by webhooks and policies converts what it shows to them.
			utilruntime.Must(scheme.AddConversionFunc(obj, obj, copyInto))
		}
	}
}

// copyInto converts an object of the hub, which is the served version already.
// Like other conversions it shares what lies below the object and leaves the
// kind alone.
func copyInto(in, out any, _ conversion.Scope) error {
	to := out.(runtime.Object)
	kind := to.GetObjectKind().GroupVersionKind()
	reflect.ValueOf(out).Elem().Set(reflect.ValueOf(in).Elem())
	to.GetObjectKind().SetGroupVersionKind(kind)
	return nil
}

// ownType tells whether a type is a group's own: every group version has the
// options of requests and the events of watches beside them.
func ownType(goType reflect.Type) bool {
	return strings.HasPrefix(goType.PkgPath(), "k8s.io/api/") || goType.PkgPath() == reflect.TypeFor[identityv1.TokenRevocation]().PkgPath()
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
)

// defaultEventTTL is how long events are kept (Kubernetes: --event-ttl).
const defaultEventTTL = time.Hour

// events is the core/v1 side of the events, which takes what old reporters write.
func events() Resource {
	definition := eventDefinition()
	definition.GroupVersion = corev1.SchemeGroupVersion
	// Old reporters name events as they like, if only it can be in a URL.
	definition.Name = pathSegmentName
	definition.Validate = func(event *corev1.Event) field.ErrorList {
		return validateEvent(event, "reportingComponent")
	}
	return definition
}

// eventsV1 is the events.k8s.io/v1 side of the same stored events, which asks
// more of a reporter and lets little change afterwards.
func eventsV1() Resource {
	definition := eventDefinition()
	definition.GroupVersion = eventsv1.SchemeGroupVersion
	definition.Validate = func(event *corev1.Event) field.ErrorList {
		return validateEvent(event, "reportingController")
	}
	definition.ValidateCreate = validateEventV1Create
	definition.ValidateUpdate = validateEventV1Update
	return renamedEvents{definition}
}

// eventDefinition is what both sides have in common.
func eventDefinition() *Definition[*corev1.Event] {
	return &Definition[*corev1.Event]{
		Kind: "Event", Plural: "events", Singular: "event",
		ShortNames:     []string{"ev"},
		New:            func() *corev1.Event { return &corev1.Event{} },
		NewList:        func() runtime.Object { return &corev1.EventList{} },
		Fields:         eventFields,
		Columns:        eventColumns(),
		Row:            eventRow,
		CreateOnUpdate: true,
		Extend:         keepEvents,
	}
}

// keepEvents lets the store forget events after their time, and tells it that
// they have no dependents for a deletion to wait for.
func keepEvents(env Environment, store *genericregistry.Store, _ map[string]rest.Storage) error {
	ttl := env.Services.EventTTL
	if ttl == 0 {
		ttl = defaultEventTTL
	}
	store.TTLFunc = func(runtime.Object, uint64, bool) (uint64, error) {
		return uint64(ttl / time.Second), nil
	}
	store.DeleteStrategy = eventDeletion{store.DeleteStrategy}
	return nil
}

type eventDeletion struct{ rest.RESTDeleteStrategy }

// DefaultGarbageCollectionPolicy says that events have no dependents.
func (eventDeletion) DefaultGarbageCollectionPolicy(context.Context) rest.GarbageCollectionPolicy {
	return rest.Unsupported
}

// eventFields are the selectable fields under their names in core/v1.
func eventFields(event *corev1.Event) fields.Set {
	source := event.Source.Component
	if source == "" {
		source = event.ReportingController
	}
	return fields.Set{
		"involvedObject.kind":            event.InvolvedObject.Kind,
		"involvedObject.namespace":       event.InvolvedObject.Namespace,
		"involvedObject.name":            event.InvolvedObject.Name,
		"involvedObject.uid":             string(event.InvolvedObject.UID),
		"involvedObject.apiVersion":      event.InvolvedObject.APIVersion,
		"involvedObject.resourceVersion": event.InvolvedObject.ResourceVersion,
		"involvedObject.fieldPath":       event.InvolvedObject.FieldPath,
		"reason":                         event.Reason,
		"reportingComponent":             event.ReportingController,
		"source":                         source,
		"type":                           event.Type,
	}
}

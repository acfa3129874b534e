// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/conversion"
	"k8s.io/apimachinery/pkg/runtime"
)

// registerEventConversions teaches the scheme to turn the events of core/v1,
// which are the stored ones, into those of events.k8s.io/v1 and back.
func registerEventConversions(scheme *runtime.Scheme) error {
	err := errors.Join(
		addConversion(scheme, eventToV1),
		addConversion(scheme, eventFromV1),
		addConversion(scheme, eventListToV1),
		addConversion(scheme, eventListFromV1),
	)
	if err != nil {
		return fmt.Errorf("registering the conversions of events: %w", err)
	}
	return nil
}

func addConversion[From, To any](scheme *runtime.Scheme, convert func(in *From, out *To)) error {
	return scheme.AddConversionFunc((*From)(nil), (*To)(nil), func(in, out any, _ conversion.Scope) error {
		convert(in.(*From), out.(*To))
		return nil
	})
}

// The conversions share memory with their input, as those of a scheme may.

func eventToV1(in *corev1.Event, out *eventsv1.Event) {
	out.ObjectMeta = in.ObjectMeta
	out.EventTime = in.EventTime
	if in.Series != nil {
		out.Series = &eventsv1.EventSeries{Count: in.Series.Count, LastObservedTime: in.Series.LastObservedTime}
	}
	out.ReportingController = in.ReportingController
	out.ReportingInstance = in.ReportingInstance
	out.Action = in.Action
	out.Reason = in.Reason
	out.Regarding = in.InvolvedObject
	out.Related = in.Related
	out.Note = in.Message
	out.Type = in.Type
	out.DeprecatedSource = in.Source
	out.DeprecatedFirstTimestamp = in.FirstTimestamp
	out.DeprecatedLastTimestamp = in.LastTimestamp
	out.DeprecatedCount = in.Count
}

func eventFromV1(in *eventsv1.Event, out *corev1.Event) {
	out.ObjectMeta = in.ObjectMeta
	out.EventTime = in.EventTime
	if in.Series != nil {
		out.Series = &corev1.EventSeries{Count: in.Series.Count, LastObservedTime: in.Series.LastObservedTime}
	}
	out.ReportingController = in.ReportingController
	out.ReportingInstance = in.ReportingInstance
	out.Action = in.Action
	out.Reason = in.Reason
	out.InvolvedObject = in.Regarding
	out.Related = in.Related
	out.Message = in.Note
	out.Type = in.Type
	out.Source = in.DeprecatedSource
	out.FirstTimestamp = in.DeprecatedFirstTimestamp
	out.LastTimestamp = in.DeprecatedLastTimestamp
	out.Count = in.DeprecatedCount
}

func eventListToV1(in *corev1.EventList, out *eventsv1.EventList) {
	out.ListMeta = in.ListMeta
	out.Items = make([]eventsv1.Event, len(in.Items))
	for i := range in.Items {
		eventToV1(&in.Items[i], &out.Items[i])
	}
}

func eventListFromV1(in *eventsv1.EventList, out *corev1.EventList) {
	out.ListMeta = in.ListMeta
	out.Items = make([]corev1.Event, len(in.Items))
	for i := range in.Items {
		eventFromV1(&in.Items[i], &out.Items[i])
	}
}

// renamedEvents are events whose selectable fields go by their names in
// events.k8s.io/v1. The store selects by those of core/v1.
type renamedEvents struct{ *Definition[*corev1.Event] }

// Register adds the selectable fields to the scheme.
func (r renamedEvents) Register(scheme *runtime.Scheme) error {
	kind := r.GroupVersion.WithKind(r.Kind)
	return scheme.AddFieldLabelConversionFunc(kind, func(label, value string) (string, string, error) {
		stored, ok := eventV1Label(label)
		if !ok {
			return "", "", fmt.Errorf("field label not supported: %s", label)
		}
		return stored, value, nil
	})
}

// eventV1Label gives the core/v1 name of a selectable field. The source, which
// is deprecated, cannot be selected by in events.k8s.io/v1.
func eventV1Label(label string) (string, bool) {
	switch label {
	case "metadata.name", "metadata.namespace", "reason", "type":
		return label, true
	case "reportingController":
		return "reportingComponent", true
	case "regarding.kind", "regarding.namespace", "regarding.name", "regarding.uid",
		"regarding.apiVersion", "regarding.resourceVersion", "regarding.fieldPath":
		return "involvedObject" + label[len("regarding"):], true
	}
	return "", false
}

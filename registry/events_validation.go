// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// How long the texts of events may be, in bytes.
const (
	eventWordLimit = 128
	eventNoteLimit = 1024
)

// validateEvent checks what both groups ask for. An event without eventTime is
// of an old reporter; controllerField is the name of the reporting controller
// in the group of the request (Kubernetes: pkg/apis/core/validation/events.go).
func validateEvent(event *corev1.Event, controllerField string) field.ErrorList {
	if event.EventTime.IsZero() {
		return validateEventNamespace(event, event.InvolvedObject.Namespace != "" && event.Namespace == event.InvolvedObject.Namespace,
			metav1.NamespaceNone, metav1.NamespaceDefault)
	}
	errs := validateEventNamespace(event, event.InvolvedObject.Namespace != "", metav1.NamespaceDefault, metav1.NamespaceSystem)
	path := field.NewPath(controllerField)
	if event.ReportingController == "" {
		errs = append(errs, field.Required(path, ""))
	}
	for _, msg := range utilvalidation.IsQualifiedName(event.ReportingController) {
		errs = append(errs, field.Invalid(path, event.ReportingController, msg))
	}
	errs = append(errs, validateEventWord(event.ReportingInstance, "reportingInstance")...)
	errs = append(errs, validateEventWord(event.Action, "action")...)
	errs = append(errs, validateEventWord(event.Reason, "reason")...)
	return append(errs, validateEventLength(event.Message, "message", eventNoteLimit)...)
}

// validateEventNamespace takes a match, and for objects outside namespaces the
// namespaces in which their events are kept.
func validateEventNamespace(event *corev1.Event, match bool, clusterScoped ...string) field.ErrorList {
	if match {
		return nil
	}
	if event.InvolvedObject.Namespace == "" {
		for _, namespace := range clusterScoped {
			if event.Namespace == namespace {
				return nil
			}
		}
	}
	path := field.NewPath("involvedObject", "namespace")
	return field.ErrorList{field.Invalid(path, event.InvolvedObject.Namespace, "does not match event.namespace")}
}

func validateEventWord(value, name string) field.ErrorList {
	if value == "" {
		return field.ErrorList{field.Required(field.NewPath(name), "")}
	}
	return validateEventLength(value, name, eventWordLimit)
}

func validateEventLength(value, name string, limit int) field.ErrorList {
	if len(value) <= limit {
		return nil
	}
	return field.ErrorList{field.Invalid(field.NewPath(name), "", fmt.Sprintf("can have at most %d characters", limit))}
}

// validateEventV1Create checks what events.k8s.io/v1 asks of new events.
func validateEventV1Create(event *corev1.Event) field.ErrorList {
	errs := validateEventSeries(event)
	if event.EventTime.IsZero() {
		errs = append(errs, field.Required(field.NewPath("eventTime"), ""))
	}
	if event.Type != corev1.EventTypeNormal && event.Type != corev1.EventTypeWarning {
		errs = append(errs, field.Invalid(field.NewPath("type"), "", "has invalid value: "+event.Type))
	}
	for _, deprecated := range []struct {
		name string
		set  bool
	}{
		{"firstTimestamp", !event.FirstTimestamp.IsZero()},
		{"lastTimestamp", !event.LastTimestamp.IsZero()},
		{"count", event.Count != 0},
		{"source", event.Source != corev1.EventSource{}},
	} {
		if deprecated.set {
			errs = append(errs, field.Invalid(field.NewPath(deprecated.name), "", "needs to be unset"))
		}
	}
	return errs
}

func validateEventSeries(event *corev1.Event) field.ErrorList {
	if event.Series == nil {
		return nil
	}
	var errs field.ErrorList
	if event.Series.Count < 2 {
		errs = append(errs, field.Invalid(field.NewPath("series.count"), "", "should be at least 2"))
	}
	if event.Series.LastObservedTime.IsZero() {
		errs = append(errs, field.Required(field.NewPath("series.lastObservedTime"), ""))
	}
	return errs
}

// validateEventV1Update lets nothing change but the series and the metadata.
func validateEventV1Update(event, old *corev1.Event) field.ErrorList {
	var errs field.ErrorList
	if !equalSeries(event.Series, old.Series) {
		errs = validateEventSeries(event)
	}
	for _, fixed := range []struct {
		name     string
		now, was any
	}{
		{"involvedObject", event.InvolvedObject, old.InvolvedObject},
		{"reason", event.Reason, old.Reason},
		{"message", event.Message, old.Message},
		{"source", event.Source, old.Source},
		{"firstTimestamp", event.FirstTimestamp, old.FirstTimestamp},
		{"lastTimestamp", event.LastTimestamp, old.LastTimestamp},
		{"count", event.Count, old.Count},
		{"type", event.Type, old.Type},
		{"action", event.Action, old.Action},
		{"related", event.Related, old.Related},
		{"reportingController", event.ReportingController, old.ReportingController},
		{"reportingInstance", event.ReportingInstance, old.ReportingInstance},
	} {
		errs = append(errs, validation.ValidateImmutableField(fixed.now, fixed.was, field.NewPath(fixed.name))...)
	}
	// Clients that keep whole microseconds may send the time back cut to them.
	if !event.EventTime.Truncate(time.Microsecond).Equal(old.EventTime.Truncate(time.Microsecond)) {
		errs = append(errs, validation.ValidateImmutableField(event.EventTime, old.EventTime, field.NewPath("eventTime"))...)
	}
	return errs
}

func equalSeries(a, b *corev1.EventSeries) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Count == b.Count && a.LastObservedTime.Equal(&b.LastObservedTime)
}

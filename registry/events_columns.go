// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"cmp"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func eventColumns() []metav1.TableColumnDefinition {
	doc := corev1.Event{}.SwaggerDoc()
	name := nameColumn()
	name.Priority = 1
	return []metav1.TableColumnDefinition{
		column("Last Seen", "string", doc["lastTimestamp"]),
		column("Type", "string", doc["type"]),
		column("Reason", "string", doc["reason"]),
		column("Object", "string", doc["involvedObject"]),
		wide("Subobject", "string", corev1.ObjectReference{}.SwaggerDoc()["fieldPath"]),
		wide("Source", "string", doc["source"]),
		column("Message", "string", doc["message"]),
		wide("First Seen", "string", doc["firstTimestamp"]),
		wide("Count", "string", doc["count"]),
		name,
	}
}

// eventRow reads old and new events alike: those of events.k8s.io/v1 have an
// eventTime and perhaps a series, those of core/v1 two timestamps and a count.
func eventRow(event *corev1.Event) []any {
	first := event.FirstTimestamp
	if first.IsZero() {
		first = metav1.Time(event.EventTime)
	}
	last, count := event.LastTimestamp, event.Count
	if last.IsZero() {
		last = first
	}
	switch {
	case event.Series != nil:
		last, count = metav1.Time(event.Series.LastObservedTime), event.Series.Count
	case count == 0:
		count = 1
	}
	return []any{
		ago(last),
		event.Type,
		event.Reason,
		joinNonEmpty("/", strings.ToLower(event.InvolvedObject.Kind), event.InvolvedObject.Name),
		event.InvolvedObject.FieldPath,
		joinNonEmpty(", ", cmp.Or(event.Source.Component, event.ReportingController), cmp.Or(event.Source.Host, event.ReportingInstance)),
		strings.TrimSpace(event.Message),
		ago(first),
		int64(count),
		event.Name,
	}
}

// joinNonEmpty is the first part, with the second after it if there is one.
func joinNonEmpty(separator, first, second string) string {
	if second == "" {
		return first
	}
	return first + separator + second
}

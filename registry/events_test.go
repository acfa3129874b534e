// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
)

// eventFull is an event with every field of both groups.
func eventFull() *corev1.Event {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	return &corev1.Event{
		ObjectMeta:          metav1.ObjectMeta{Name: "e", Namespace: "dev"},
		InvolvedObject:      corev1.ObjectReference{Kind: "Pod", Namespace: "dev", Name: "p", FieldPath: "spec.containers{a}"},
		Reason:              "Started",
		Message:             "it runs\n",
		Source:              corev1.EventSource{Component: "kubelet", Host: "n"},
		FirstTimestamp:      metav1.NewTime(at),
		LastTimestamp:       metav1.NewTime(at.Add(time.Second)),
		Count:               3,
		Type:                corev1.EventTypeNormal,
		EventTime:           metav1.NewMicroTime(at.Add(time.Microsecond)),
		Series:              &corev1.EventSeries{Count: 4, LastObservedTime: metav1.NewMicroTime(at.Add(time.Minute))},
		Action:              "Starting",
		Related:             &corev1.ObjectReference{Kind: "Node", Name: "n"},
		ReportingController: "example.org/agent",
		ReportingInstance:   "agent-1",
	}
}

// eventNew is an event as events.k8s.io/v1 wants new ones.
func eventNew() *corev1.Event {
	event := eventFull()
	event.Source, event.FirstTimestamp, event.LastTimestamp, event.Count = corev1.EventSource{}, metav1.Time{}, metav1.Time{}, 0
	return event
}

func TestEventsOfBothGroupsAreStoredAsOne(t *testing.T) {
	t.Parallel()
	scheme, err := NewScheme([]Resource{events(), eventsV1()})
	if err != nil {
		t.Fatal(err)
	}
	codecs := serializer.NewCodecFactory(scheme)
	for _, version := range []runtime.GroupVersioner{corev1.SchemeGroupVersion, eventsv1.SchemeGroupVersion} {
		for _, mediaType := range []string{runtime.ContentTypeJSON, runtime.ContentTypeProtobuf} {
			info, _ := runtime.SerializerInfoForMediaType(codecs.SupportedMediaTypes(), mediaType)
			codec := codecs.CodecForVersions(info.Serializer, info.Serializer, version, runtime.InternalGroupVersioner)
			for _, object := range []runtime.Object{eventFull(), &corev1.EventList{Items: []corev1.Event{*eventFull()}}} {
				bytes, err := runtime.Encode(codec, object)
				if err != nil {
					t.Fatalf("encoding %T to %v: %v", object, version, err)
				}
				back, err := runtime.Decode(codec, bytes)
				if err != nil {
					t.Fatalf("decoding %T from %v: %v", object, version, err)
				}
				back.GetObjectKind().SetGroupVersionKind(object.GetObjectKind().GroupVersionKind())
				if diff := cmp.Diff(object, back); diff != "" {
					t.Errorf("%T through %v in %s (-want +got):\n%s", object, version, mediaType, diff)
				}
			}
		}
	}
}

func TestEventFieldsGoByTheNamesOfTheirGroup(t *testing.T) {
	t.Parallel()
	scheme, err := NewScheme([]Resource{events(), eventsV1()})
	if err != nil {
		t.Fatal(err)
	}
	stored := eventFields(eventFull())
	for version, labels := range map[string]map[string]string{
		"v1": {
			"involvedObject.name": "p", "involvedObject.fieldPath": "spec.containers{a}", "reason": "Started",
			"reportingComponent": "example.org/agent", "source": "kubelet", "type": "Normal",
			"regarding.name": "", "reportingController": "",
		},
		"events.k8s.io/v1": {
			"regarding.name": "p", "regarding.fieldPath": "spec.containers{a}", "reason": "Started",
			"reportingController": "example.org/agent", "type": "Normal",
			"involvedObject.name": "", "source": "", "reportingComponent": "", "regarding.other": "",
		},
	} {
		kind := corev1.SchemeGroupVersion.WithKind("Event")
		if version != "v1" {
			kind = eventsv1.SchemeGroupVersion.WithKind("Event")
		}
		for label, want := range labels {
			name, _, err := scheme.ConvertFieldLabel(kind, label, "x")
			if want == "" {
				if err == nil {
					t.Errorf("%s knows the label %s", version, label)
				}
				continue
			}
			if err != nil || stored[name] != want {
				t.Errorf("%s in %s selects %q by %q (%v), want %q", label, version, stored[name], name, err, want)
			}
		}
	}
}

func TestEventsAreChecked(t *testing.T) {
	t.Parallel()
	const mismatch = `involvedObject.namespace: Invalid value: "%s": does not match event.namespace`
	for name, test := range map[string]struct {
		change func(*corev1.Event)
		want   []string
	}{
		"an old event is in its object's namespace": {change: func(e *corev1.Event) {
			e.EventTime = metav1.MicroTime{}
		}},
		"an old event elsewhere is refused": {
			change: func(e *corev1.Event) { e.EventTime = metav1.MicroTime{}; e.Namespace = "other" },
			want:   []string{strings.ReplaceAll(mismatch, "%s", "dev")},
		},
		"an old event of a cluster object is in default": {change: func(e *corev1.Event) {
			e.EventTime = metav1.MicroTime{}
			e.InvolvedObject.Namespace, e.Namespace = "", "default"
		}},
		"an old event of a cluster object is not in kube-system": {
			change: func(e *corev1.Event) {
				e.EventTime = metav1.MicroTime{}
				e.InvolvedObject.Namespace, e.Namespace = "", "kube-system"
			},
			want: []string{strings.ReplaceAll(mismatch, "%s", "")},
		},
		"a new event of a cluster object may be in kube-system": {change: func(e *corev1.Event) {
			e.InvolvedObject.Namespace, e.Namespace = "", "kube-system"
		}},
		"a new event names its reporter and its words": {
			change: func(e *corev1.Event) { e.ReportingInstance, e.Action, e.Reason = "", "", strings.Repeat("r", 129) },
			want: []string{
				"reportingInstance: Required value", "action: Required value",
				`reason: Invalid value: "": can have at most 128 characters`,
			},
		},
		"a reporter has a qualified name": {
			change: func(e *corev1.Event) { e.ReportingController = "a/b/c" },
			want:   []string{`reportingComponent: Invalid value: "a/b/c": a valid label key must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')`},
		},
		"a note is not a book": {
			change: func(e *corev1.Event) { e.Message = strings.Repeat("m", 1025) },
			want:   []string{`message: Invalid value: "": can have at most 1024 characters`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			event := eventFull()
			test.change(event)
			if diff := cmp.Diff(test.want, secretErrors(validateEvent(event, "reportingComponent"))); diff != "" {
				t.Errorf("errors (-want +got):\n%s", diff)
			}
		})
	}
}

func TestEventsV1TakesOnlyNewEvents(t *testing.T) {
	t.Parallel()
	if errs := validateEventV1Create(eventNew()); len(errs) > 0 {
		t.Errorf("a new event is refused: %v", errs)
	}
	old := eventFull()
	old.EventTime, old.Type, old.Series = metav1.MicroTime{}, "Odd", &corev1.EventSeries{Count: 1}
	want := []string{
		`series.count: Invalid value: "": should be at least 2`,
		"series.lastObservedTime: Required value",
		"eventTime: Required value",
		`type: Invalid value: "": has invalid value: Odd`,
		`firstTimestamp: Invalid value: "": needs to be unset`,
		`lastTimestamp: Invalid value: "": needs to be unset`,
		`count: Invalid value: "": needs to be unset`,
		`source: Invalid value: "": needs to be unset`,
	}
	if diff := cmp.Diff(want, secretErrors(validateEventV1Create(old))); diff != "" {
		t.Errorf("errors (-want +got):\n%s", diff)
	}
}

func TestEventsV1LetsOnlyTheSeriesGrow(t *testing.T) {
	t.Parallel()
	old, grown := eventNew(), eventNew()
	grown.Series.Count++
	grown.EventTime = metav1.NewMicroTime(grown.EventTime.Add(time.Nanosecond))
	if errs := validateEventV1Update(grown, old); len(errs) > 0 {
		t.Errorf("a grown series is refused: %v", errs)
	}
	changed := eventNew()
	changed.Message, changed.Related = "else", nil
	changed.EventTime = metav1.NewMicroTime(changed.EventTime.Add(time.Microsecond))
	var names []string
	for _, err := range validateEventV1Update(changed, old) {
		names = append(names, err.Field+": "+err.Detail)
	}
	want := []string{"message: field is immutable", "related: field is immutable", "eventTime: field is immutable"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("errors (-want +got):\n%s", diff)
	}
}

func TestEventRowsReadOldAndNewEvents(t *testing.T) {
	t.Parallel()
	old := &corev1.Event{ObjectMeta: metav1.ObjectMeta{Name: "e"}, Type: "Normal", Reason: "R", Message: " m\n"}
	old.InvolvedObject = corev1.ObjectReference{Kind: "Pod", Name: "p"}
	old.Source = corev1.EventSource{Component: "kubelet", Host: "n"}
	old.FirstTimestamp = metav1.NewTime(time.Now().Add(-time.Hour))
	old.LastTimestamp, old.Count = metav1.NewTime(time.Now().Add(-10*time.Minute)), 7
	want := []any{"10m", "Normal", "R", "pod/p", "", "kubelet, n", "m", "60m", int64(7), "e"}
	if diff := cmp.Diff(want, eventRow(old)); diff != "" {
		t.Errorf("an old event (-want +got):\n%s", diff)
	}
	recent := &corev1.Event{ReportingController: "c", EventTime: metav1.NewMicroTime(time.Now().Add(-time.Hour))}
	recent.InvolvedObject.Kind = "Node"
	want = []any{"60m", "", "", "node", "", "c", "", "60m", int64(1), ""}
	if diff := cmp.Diff(want, eventRow(recent)); diff != "" {
		t.Errorf("a single new event (-want +got):\n%s", diff)
	}
	if len(eventColumns()) != len(want) {
		t.Errorf("%d columns for %d cells", len(eventColumns()), len(want))
	}
}

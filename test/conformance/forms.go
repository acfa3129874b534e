// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
)

// forms are the encodings in which objects come.
func forms() []test {
	return []test{
		{"the same object comes in JSON, YAML and protobuf", encodings},
		{"a list comes as a table", tables},
		{"an object comes as its metadata alone", metadataAlone},
		{"long answers are compressed for whoever can read that", compression},
		{"a form that nobody serves is turned away", refusedForms},
		{"a body may be in YAML or protobuf", bodies},
	}
}

func sorted(values []string) []string { return slices.Sorted(slices.Values(values)) }

func encodings(e *env) {
	made := e.configMap("c", nil)
	for _, mediaType := range []string{"application/json", "application/yaml", "application/vnd.kubernetes.protobuf"} {
		got := e.do(request{method: http.MethodGet, path: e.mapsPath() + "/c", accept: mediaType}).want(e, http.StatusOK)
		if served := got.header.Get("Content-Type"); served != mediaType {
			e.Errorf("asked for %s, the answer is in %s", mediaType, served)
		}
		object, err := runtime.Decode(scheme.Codecs.UniversalDeserializer(), got.body)
		e.check(err)
		if decoded, ok := object.(*corev1.ConfigMap); !ok || decoded.UID != made.UID || decoded.Data["key"] != "value" {
			e.Errorf("in %s the answer is %v", mediaType, object)
		}
	}
	// Whoever has a second choice gets it.
	got := e.do(request{method: http.MethodGet, path: e.mapsPath() + "/c", accept: "application/x-unknown,application/yaml"}).want(e, http.StatusOK)
	if served := got.header.Get("Content-Type"); served != "application/yaml" {
		e.Errorf("the second choice was YAML, the answer is in %s", served)
	}
}

func tables(e *env) {
	e.configMap("c", nil)
	const accept = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
	for include, kind := range map[string]string{"": "PartialObjectMetadata", "?includeObject=Object": "ConfigMap", "?includeObject=None": ""} {
		var table struct {
			metav1.TypeMeta
			Rows []struct {
				Cells  []any
				Object *metav1.TypeMeta
			}
		}
		e.do(request{method: http.MethodGet, path: e.mapsPath() + "/c" + include, accept: accept}).want(e, http.StatusOK).into(e, &table)
		if table.Kind != "Table" || len(table.Rows) != 1 {
			e.Errorf("%q: the answer is a %s of %d rows", include, table.Kind, len(table.Rows))
			continue
		}
		row := table.Rows[0]
		if len(row.Cells) != 3 || row.Cells[0] != "c" || row.Cells[1] != float64(1) {
			e.Errorf("%q: the row is %v, want c, 1 key and an age", include, row.Cells)
		}
		if got := row.Object; got == nil && kind != "" || got != nil && got.Kind != kind {
			e.Errorf("%q: the row comes with %v, want a %q", include, got, kind)
		}
	}
}

func metadataAlone(e *env) {
	e.configMap("c", map[string]string{"a": "b"})
	for suffix, want := range map[string]string{"/c": "PartialObjectMetadata", "": "PartialObjectMetadataList"} {
		accept := "application/json;as=" + want + ";g=meta.k8s.io;v=v1"
		got := e.do(request{method: http.MethodGet, path: e.mapsPath() + suffix, accept: accept}).want(e, http.StatusOK)
		var kind metav1.TypeMeta
		got.into(e, &kind)
		if kind.Kind != want || bytes.Contains(got.body, []byte(`"data"`)) || !bytes.Contains(got.body, []byte(`"a":"b"`)) {
			e.Errorf("the answer is a %s: %s", kind.Kind, got.body)
		}
	}
}

func compression(e *env) {
	long := strings.Repeat("value ", 40000)
	_, err := e.client.CoreV1().ConfigMaps(e.ns).Create(e.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "long"}, Data: map[string]string{"key": long}}, metav1.CreateOptions{})
	e.check(err)
	got := e.do(request{method: http.MethodGet, path: e.mapsPath() + "/long", header: http.Header{"Accept-Encoding": {"gzip"}}}).want(e, http.StatusOK)
	if got.header.Get("Content-Encoding") != "gzip" || len(got.body) > len(long)/10 {
		e.Fatalf("the answer is of %d bytes and encoding %q", len(got.body), got.header.Get("Content-Encoding"))
	}
	reader, err := gzip.NewReader(bytes.NewReader(got.body))
	e.check(err)
	e.check(reader.Close())
}

func refusedForms(e *env) {
	e.pinRefusals("refusals/forms.txt", []refused{
		{"an answer in XML", request{method: http.MethodGet, path: e.mapsPath(), accept: "application/xml"}},
		{"a body in XML", request{method: http.MethodPost, path: e.mapsPath(), contentType: "application/xml", body: `<a/>`}},
		{"a body in plain text", request{method: http.MethodPost, path: e.mapsPath(), contentType: "text/plain", body: `{}`}},
	})
}

func bodies(e *env) {
	e.do(request{method: http.MethodPost, path: e.mapsPath(), contentType: "application/yaml", body: "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: yaml\ndata:\n  key: value\n"}).want(e, http.StatusCreated)
	e.wantData("yaml", map[string]string{"key": "value"})
	info, ok := runtime.SerializerInfoForMediaType(scheme.Codecs.SupportedMediaTypes(), "application/vnd.kubernetes.protobuf")
	if !ok {
		e.Fatal("the client knows no protobuf")
	}
	encoded, err := runtime.Encode(scheme.Codecs.EncoderForVersion(info.Serializer, corev1.SchemeGroupVersion), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "proto"}, Data: map[string]string{"key": "value"}})
	e.check(err)
	e.do(request{method: http.MethodPost, path: e.mapsPath(), contentType: "application/vnd.kubernetes.protobuf", body: string(encoded)}).want(e, http.StatusCreated)
	e.wantData("proto", map[string]string{"key": "value"})
}

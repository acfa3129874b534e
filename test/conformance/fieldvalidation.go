// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"net/http"
	"strings"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// fieldValidation is what becomes of fields that nobody knows, or that come
// twice (the parameter fieldValidation).
func fieldValidation() []test {
	return []test{
		{"such fields are warned of unless a client says otherwise", fieldWarnings},
		{"a strict client is turned away with them", strictFields},
		{"an easy client hears nothing of them", ignoredFields},
	}
}

// odd is a body with an unknown and a doubled field.
const odd = `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"generateName":"odd-","colour":"red"},"data":{"key":"1","key":"2"},"date":{}}`

func (e *env) postOdd(query string) answer {
	e.Helper()
	return e.do(request{method: http.MethodPost, path: e.mapsPath() + query, body: odd})
}

func fieldWarnings(e *env) {
	for _, query := range []string{"", "?fieldValidation=Warn"} {
		got := e.postOdd(query).want(e, http.StatusCreated)
		want := []string{`299 - "duplicate field \"data.key\""`, `299 - "unknown field \"date\""`, `299 - "unknown field \"metadata.colour\""`}
		if diff := cmp.Diff(want, sorted(got.header.Values("Warning"))); diff != "" {
			e.Errorf("warnings of %q (-want +got):\n%s", query, diff)
		}
	}
	e.configMap("c", nil)
	got := e.patch("configmaps/c", mergePatch, `{"date":{}}`).want(e, http.StatusOK)
	if diff := cmp.Diff([]string{`299 - "unknown field \"date\""`}, got.header.Values("Warning")); diff != "" {
		e.Errorf("warnings of a patch (-want +got):\n%s", diff)
	}
}

func strictFields(e *env) {
	strict := func(what, method, path, contentType, body string) refused {
		return refused{what, request{method: method, path: path + "?fieldValidation=Strict&fieldManager=me", contentType: contentType, body: body}}
	}
	e.configMap("c", nil)
	one := e.mapsPath() + "/c"
	e.pinRefusals("refusals/fields.txt", []refused{
		strict("created", http.MethodPost, e.mapsPath(), "", odd),
		strict("created in YAML", http.MethodPost, e.mapsPath(), "application/yaml", "metadata:\n  name: x\ndate: 1\ndata:\n  key: a\n  key: b\n"),
		strict("written", http.MethodPut, one, "", `{"metadata":{"name":"c"},"date":{}}`),
		strict("merged", http.MethodPatch, one, mergePatch, `{"date":{}}`),
		strict("merged strategically", http.MethodPatch, one, strategic, `{"date":{}}`),
		strict("patched", http.MethodPatch, one, jsonPatch, `[{"op":"add","path":"/date","value":{}}]`),
		strict("applied", http.MethodPatch, one, applyPatch, `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c"},"date":{}}`),
		{"of no known strictness", request{method: http.MethodPost, path: e.mapsPath() + "?fieldValidation=Some", body: odd}},
	})
	if names := strings.Join(e.named(metav1.ListOptions{}), " "); names != "c" {
		e.Errorf("there are %q, want c alone", names)
	}
}

func ignoredFields(e *env) {
	got := e.postOdd("?fieldValidation=Ignore").want(e, http.StatusCreated)
	if warnings := got.header.Values("Warning"); len(warnings) > 0 {
		e.Errorf("the warnings are %q, want none", warnings)
	}
}

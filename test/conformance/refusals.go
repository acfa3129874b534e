// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"net/http"
	"strings"
)

// refusals are what every resource turns away alike.
func refusals() []test {
	return []test{
		{"a request that is not right is told why", refusedRequests},
	}
}

func refusedRequests(e *env) {
	e.configMap("c", nil)
	post := func(what, body string) refused {
		return refused{what, request{method: http.MethodPost, path: e.mapsPath(), body: body}}
	}
	put := func(what, body string) refused {
		return refused{what, request{method: http.MethodPut, path: e.mapsPath() + "/c", body: body}}
	}
	e.pinRefusals("refusals/requests.txt", []refused{
		post("a name that exists", `{"metadata":{"name":"c"}}`),
		post("no name", `{"data":{}}`),
		post("a name in capitals", `{"metadata":{"name":"C"}}`),
		post("a name that is too long", `{"metadata":{"name":"`+strings.Repeat("x", 254)+`"}}`),
		post("a label that is none", `{"metadata":{"name":"x","labels":{"a b":"c d"}}}`),
		post("an annotation without a name", `{"metadata":{"name":"x","annotations":{"a/":""}}}`),
		post("a finalizer that is none", `{"metadata":{"name":"x","finalizers":["a b"]}}`),
		post("an owner without a UID", `{"metadata":{"name":"x","ownerReferences":[{"apiVersion":"v1","kind":"Pod","name":"p"}]}}`),
		post("a version", `{"metadata":{"name":"x","resourceVersion":"7"}}`),
		post("another namespace", `{"metadata":{"name":"x","namespace":"other"}}`),
		post("another kind", `{"apiVersion":"v1","kind":"Secret","metadata":{"name":"x"}}`),
		post("another version of the API", `{"apiVersion":"v2","kind":"ConfigMap","metadata":{"name":"x"}}`),
		post("a number for a text", `{"metadata":{"name":"x"},"data":{"key":1}}`),
		post("half of it", `{"metadata":`),
		post("nothing", ``),
		put("another name", `{"metadata":{"name":"d"}}`),
		put("another UID", `{"metadata":{"name":"c","uid":"11111111-2222-3333-4444-555555555555"}}`),
		put("an old version", `{"metadata":{"name":"c","resourceVersion":"1"}}`),
		put("a version that is none", `{"metadata":{"name":"c","resourceVersion":"abc"}}`),
		{"to write what is not there", request{method: http.MethodPut, path: e.mapsPath() + "/none", body: `{"metadata":{"name":"none"}}`}},
		{"to delete what is not there", request{method: http.MethodDelete, path: e.mapsPath() + "/none"}},
		{"to delete with two wishes", request{method: http.MethodDelete, path: e.mapsPath() + "/c", body: `{"propagationPolicy":"Orphan","orphanDependents":true}`}},
		{"a dry run of some steps", request{method: http.MethodPost, path: e.mapsPath() + "?dryRun=Some", body: `{"metadata":{"name":"x"}}`}},
		{"a writer with too long a name", request{method: http.MethodPost, path: e.mapsPath() + "?fieldManager=" + strings.Repeat("x", 129), body: `{"metadata":{"name":"x"}}`}},
		{"a subresource that is none", request{method: http.MethodGet, path: e.mapsPath() + "/c/status"}},
		{"a resource that is none", request{method: http.MethodGet, path: "/api/v1/namespaces/" + e.ns + "/frobs"}},
		{"a group that is none", request{method: http.MethodGet, path: "/apis/example.com/v1"}},
		{"a collection with POST on one", request{method: http.MethodPost, path: e.mapsPath() + "/c", body: `{}`}},
		{"a method that is none", request{method: "FROB", path: e.mapsPath()}},
	})
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"
	apidiscoveryv2 "k8s.io/api/apidiscovery/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// discovery is how clients learn what is served.
func discovery() []test {
	return []test{
		{"every resource is listed with its kind, verbs and short names", resourceLists},
		{"the one document that lists everything says what the many say", aggregatedDiscovery},
		{"a document that has not changed is not sent again", unchangedDocuments},
		{"OpenAPI v2 describes what is served", openAPIV2},
		{"OpenAPI v3 describes what is served, group by group", openAPIV3},
		{"the version is that of Kubernetes 1.37", version},
		{"the health of each part can be asked for", health},
	}
}

func (e *env) resourceLists() []*metav1.APIResourceList {
	e.Helper()
	var core metav1.APIVersions
	e.get("/api").want(e, http.StatusOK).into(e, &core)
	if !slices.Equal(core.Versions, []string{"v1"}) {
		e.Errorf("the versions of the core group are %q, want v1", core.Versions)
	}
	paths := []string{"/api/v1"}
	var groups metav1.APIGroupList
	e.get("/apis").want(e, http.StatusOK).into(e, &groups)
	for _, group := range groups.Groups {
		paths = append(paths, "/apis/"+group.PreferredVersion.GroupVersion)
	}
	lists := make([]*metav1.APIResourceList, 0, len(paths))
	for _, path := range paths {
		var list metav1.APIResourceList
		e.get(path).want(e, http.StatusOK).into(e, &list)
		lists = append(lists, &list)
	}
	return lists
}

// tell is a line about a resource.
func tell(groupVersion string, r metav1.APIResource) string {
	scope := "cluster"
	if r.Namespaced {
		scope = "namespaced"
	}
	kind := r.Kind
	if r.Version != "" {
		kind = r.Group + "/" + r.Version + " " + kind
	}
	verbs := slices.Sorted(slices.Values(r.Verbs))
	return fmt.Sprintf("%s %s: %s, %s, singular %q, short %v, in %v, %s", groupVersion, r.Name, kind, scope, r.SingularName, r.ShortNames, r.Categories, strings.Join(verbs, " "))
}

func resourceLists(e *env) {
	served := map[string]string{}
	for _, list := range e.resourceLists() {
		for _, resource := range list.APIResources {
			served[list.GroupVersion+" "+resource.Name] = tell(list.GroupVersion, resource)
		}
	}
	var told strings.Builder
	for _, name := range pinnedResources() {
		fmt.Fprintln(&told, served[name])
	}
	e.pin("resources.txt", told.String())
}

// pinnedResources are those that this package knows; a target may serve more.
func pinnedResources() []string {
	names := []string{
		"authentication.k8s.io/v1 selfsubjectreviews", "authentication.k8s.io/v1 tokenreviews",
		"authorization.k8s.io/v1 localsubjectaccessreviews", "authorization.k8s.io/v1 selfsubjectaccessreviews",
		"authorization.k8s.io/v1 selfsubjectrulesreviews", "authorization.k8s.io/v1 subjectaccessreviews",
		"batch/v1 jobs/status", "v1 namespaces/finalize", "v1 namespaces/status", "v1 nodes/status",
		"v1 pods/binding", "v1 pods/ephemeralcontainers", "v1 pods/status", "v1 serviceaccounts/token", "v1 services/status",
	}
	for _, sample := range Samples("any", "any") {
		names = append(names, sample.Resource.GroupVersion().String()+" "+sample.Resource.Resource)
	}
	slices.Sort(names)
	return names
}

func aggregatedDiscovery(e *env) {
	const accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
	one := map[string][]string{}
	for _, path := range []string{"/api", "/apis"} {
		got := e.do(request{method: http.MethodGet, path: path, accept: accept}).want(e, http.StatusOK)
		if mediaType := got.header.Get("Content-Type"); mediaType != accept {
			e.Errorf("%s: the answer is in %q, want %q", path, mediaType, accept)
		}
		var groups apidiscoveryv2.APIGroupDiscoveryList
		got.into(e, &groups)
		for _, group := range groups.Items {
			for _, version := range group.Versions {
				for _, resource := range version.Resources {
					name := strings.TrimPrefix(group.Name+"/"+version.Version, "/") + " " + resource.Resource
					one[name] = slices.Sorted(slices.Values(resource.Verbs))
					for _, sub := range resource.Subresources {
						one[name+"/"+sub.Subresource] = slices.Sorted(slices.Values(sub.Verbs))
					}
				}
			}
		}
	}
	for _, list := range e.resourceLists() {
		for _, resource := range list.APIResources {
			name := list.GroupVersion + " " + resource.Name
			if diff := cmp.Diff(slices.Sorted(slices.Values(resource.Verbs)), one[name]); diff != "" {
				e.Errorf("verbs of %s (-of many +of one):\n%s", name, diff)
			}
		}
	}
}

func unchangedDocuments(e *env) {
	for _, document := range []request{
		{path: "/apis", accept: "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"},
		{path: "/openapi/v2"},
		{path: "/openapi/v3/api/v1"},
	} {
		document.method = http.MethodGet
		first := e.do(document).want(e, http.StatusOK)
		tag := first.header.Get("Etag")
		if tag == "" {
			e.Errorf("%s has no ETag", document.path)
			continue
		}
		document.header = http.Header{"If-None-Match": {tag}}
		e.do(document).want(e, http.StatusNotModified)
	}
}

func openAPIV2(e *env) {
	var document struct {
		Swagger     string
		Info        struct{ Title string }
		Definitions map[string]any
		Paths       map[string]any
	}
	e.get("/openapi/v2").want(e, http.StatusOK).into(e, &document)
	if document.Swagger != "2.0" || document.Info.Title != "Kubernetes" {
		e.Errorf("the document is Swagger %q of %q", document.Swagger, document.Info.Title)
	}
	for _, name := range []string{"ServiceAccount", "Pod", "Secret"} {
		if document.Definitions["io.k8s.api.core.v1."+name] == nil {
			e.Errorf("%s is not described", name)
		}
	}
	if document.Paths["/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"] == nil {
		e.Error("the path for tokens is not described")
	}
	const protobuf = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
	e.do(request{method: http.MethodGet, path: "/openapi/v2", accept: protobuf}).want(e, http.StatusOK)
}

func openAPIV3(e *env) {
	var index struct {
		Paths map[string]struct{ ServerRelativeURL string }
	}
	e.get("/openapi/v3").want(e, http.StatusOK).into(e, &index)
	for _, list := range e.resourceLists() {
		name := "apis/" + list.GroupVersion
		if list.GroupVersion == "v1" {
			name = "api/v1"
		}
		var document struct {
			OpenAPI    string
			Components struct{ Schemas map[string]any }
		}
		e.get(index.Paths[name].ServerRelativeURL).want(e, http.StatusOK).into(e, &document)
		if !strings.HasPrefix(document.OpenAPI, "3.") || len(document.Components.Schemas) == 0 {
			e.Errorf("%s is described in OpenAPI %q with %d schemas", name, document.OpenAPI, len(document.Components.Schemas))
		}
	}
}

func version(e *env) {
	var got struct{ Major, Minor, GitVersion string }
	e.get("/version").want(e, http.StatusOK).into(e, &got)
	if got.Major != "1" || got.Minor != "37" || !strings.HasPrefix(got.GitVersion, "v1.37.") {
		e.Errorf("the version is %+v, want 1.37", got)
	}
}

func health(e *env) {
	for _, path := range []string{"/healthz", "/livez", "/readyz", "/livez/ping", "/readyz/etcd"} {
		if got := string(e.get(path).want(e, http.StatusOK).body); got != "ok" {
			e.Errorf("%s says %q, want ok", path, got)
		}
	}
	if got := string(e.get("/readyz?verbose").want(e, http.StatusOK).body); !strings.HasSuffix(got, "readyz check passed\n") || !strings.Contains(got, "[+]etcd ok") {
		e.Errorf("/readyz in detail is\n%s", got)
	}
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"net/http"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	jsonPatch  = "application/json-patch+json"
	mergePatch = "application/merge-patch+json"
	strategic  = "application/strategic-merge-patch+json"
	applyPatch = "application/apply-patch+yaml"
)

// patches are changes that name no more than what changes.
func patches() []test {
	return []test{
		{"a JSON patch is a list of steps", jsonPatches},
		{"a merge patch replaces lists, a strategic one merges them by key", mergePatches},
		{"whoever applies owns what they name, and no more", apply},
		{"two who apply the same field are in conflict, until one forces", applyConflict},
		{"what is no longer applied goes", applyRemoves},
		{"the status is applied apart from the rest", applyStatus},
		{"the writers of an object are noted with it", managers},
		{"a patch that is not right is turned away", refusedPatches},
	}
}

// patch patches an object of the core group in the test's namespace.
func (e *env) patch(path, contentType, body string) answer {
	e.Helper()
	return e.do(request{method: http.MethodPatch, path: "/api/v1/namespaces/" + e.ns + "/" + path, contentType: contentType, body: body})
}

func (e *env) data(name string) map[string]string {
	e.Helper()
	got, err := e.client.CoreV1().ConfigMaps(e.ns).Get(e.Context(), name, metav1.GetOptions{})
	e.check(err)
	return got.Data
}

func (e *env) wantData(name string, want map[string]string) {
	e.Helper()
	if diff := cmp.Diff(want, e.data(name)); diff != "" {
		e.Errorf("data (-want +got):\n%s", diff)
	}
}

func jsonPatches(e *env) {
	e.configMap("c", nil)
	e.patch("configmaps/c", jsonPatch, `[
		{"op":"test","path":"/data/key","value":"value"},
		{"op":"add","path":"/data/more","value":"1"},
		{"op":"move","from":"/data/key","path":"/data/moved"}
	]`).want(e, http.StatusOK)
	e.wantData("c", map[string]string{"more": "1", "moved": "value"})
	e.patch("configmaps/c", jsonPatch, `[{"op":"remove","path":"/data/more"},{"op":"test","path":"/data/moved","value":"other"}]`).want(e, http.StatusUnprocessableEntity)
	e.wantData("c", map[string]string{"more": "1", "moved": "value"})
}

func mergePatches(e *env) {
	e.configMap("c", nil)
	e.patch("configmaps/c", mergePatch, `{"data":{"key":null,"more":"1"}}`).want(e, http.StatusOK)
	e.wantData("c", map[string]string{"more": "1"})

	accounts := e.client.CoreV1().ServiceAccounts(e.ns)
	names := func(account *corev1.ServiceAccount, err error) string {
		e.Helper()
		e.check(err)
		var names []string
		for _, secret := range account.Secrets {
			names = append(names, secret.Name)
		}
		slices.Sort(names)
		return strings.Join(names, " ")
	}
	e.account("a")
	for _, step := range []struct{ contentType, body, want string }{
		{strategic, `{"secrets":[{"name":"one"}]}`, "one"},
		{strategic, `{"secrets":[{"name":"two"}]}`, "one two"},
		{strategic, `{"secrets":[{"name":"one","$patch":"delete"}]}`, "two"},
		{mergePatch, `{"secrets":[{"name":"three"}]}`, "three"},
	} {
		e.patch("serviceaccounts/a", step.contentType, step.body).want(e, http.StatusOK)
		if got := names(accounts.Get(e.Context(), "a", metav1.GetOptions{})); got != step.want {
			e.Errorf("after %s the secrets are %q, want %q", step.body, got, step.want)
		}
	}
}

// apply applies fields to the config map c.
func (e *env) apply(manager, fields, query string) answer {
	e.Helper()
	return e.patch("configmaps/c?fieldManager="+manager+query, applyPatch, `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c"},`+fields+`}`)
}

func apply(e *env) {
	e.apply("one", `"data":{"one":"1"}`, "").want(e, http.StatusCreated)
	e.apply("two", `"data":{"two":"2"}`, "").want(e, http.StatusOK)
	e.wantData("c", map[string]string{"one": "1", "two": "2"})
	again := e.apply("two", `"data":{"two":"2"}`, "").want(e, http.StatusOK)
	var before, after metav1.PartialObjectMetadata
	again.into(e, &before)
	e.apply("two", `"data":{"two":"2"}`, "").want(e, http.StatusOK).into(e, &after)
	if before.ResourceVersion != after.ResourceVersion {
		e.Error("applying the same again makes a new version")
	}
}

func applyConflict(e *env) {
	e.apply("one", `"data":{"key":"1"}`, "").want(e, http.StatusCreated)
	e.pinRefusals("refusals/apply.txt", []refused{
		{"another's field", request{method: http.MethodPatch, path: e.mapsPath() + "/c?fieldManager=two", contentType: applyPatch, body: `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c"},"data":{"key":"2"}}`}},
		{"nobody's field", request{method: http.MethodPatch, path: e.mapsPath() + "/c", contentType: applyPatch, body: `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c"},"data":{"key":"2"}}`}},
		{"of another kind", request{method: http.MethodPatch, path: e.mapsPath() + "/c?fieldManager=two", contentType: applyPatch, body: `{"apiVersion":"v1","kind":"Secret","metadata":{"name":"c"}}`}},
		{"without a kind", request{method: http.MethodPatch, path: e.mapsPath() + "/c?fieldManager=two", contentType: applyPatch, body: `{"data":{"key":"2"}}`}},
		{"with managed fields", request{method: http.MethodPatch, path: e.mapsPath() + "/c?fieldManager=two", contentType: applyPatch, body: `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c","managedFields":[{"manager":"x"}]}}`}},
	})
	e.wantData("c", map[string]string{"key": "1"})
	e.apply("two", `"data":{"key":"2"}`, "&force=true").want(e, http.StatusOK)
	e.wantData("c", map[string]string{"key": "2"})
	e.apply("one", `"data":{"key":"1"}`, "").want(e, http.StatusConflict)
}

func applyRemoves(e *env) {
	e.apply("one", `"data":{"a":"1","b":"2","c":"3"}`, "").want(e, http.StatusCreated)
	e.apply("two", `"data":{"b":"2"}`, "").want(e, http.StatusOK)
	e.apply("one", `"data":{"a":"1"}`, "").want(e, http.StatusOK)
	e.wantData("c", map[string]string{"a": "1", "b": "2"}) // b is two's still
}

func applyStatus(e *env) {
	e.pod("p", "")
	const status = `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"},"status":{"message":"applied"}}`
	e.patch("pods/p/status?fieldManager=agent", applyPatch, status).want(e, http.StatusOK)
	pod, err := e.client.CoreV1().Pods(e.ns).Get(e.Context(), "p", metav1.GetOptions{})
	e.check(err)
	if pod.Status.Message != "applied" {
		e.Errorf("the status says %q, want applied", pod.Status.Message)
	}
	for _, entry := range pod.ManagedFields {
		if entry.Manager == "agent" && (entry.Subresource != "status" || entry.Operation != metav1.ManagedFieldsOperationApply) {
			e.Errorf("agent is noted for %s of %q", entry.Operation, entry.Subresource)
		}
	}
}

func managers(e *env) {
	e.do(request{method: http.MethodPost, path: e.mapsPath() + "?fieldManager=maker", body: `{"metadata":{"name":"c"},"data":{"key":"value"}}`}).want(e, http.StatusCreated)
	e.patch("configmaps/c?fieldManager=changer", mergePatch, `{"data":{"more":"1"}}`).want(e, http.StatusOK)
	e.apply("applier", `"data":{"applied":"1"}`, "").want(e, http.StatusOK)
	got, err := e.client.CoreV1().ConfigMaps(e.ns).Get(e.Context(), "c", metav1.GetOptions{})
	e.check(err)
	noted := map[string]string{}
	for _, entry := range got.ManagedFields {
		noted[string(entry.Operation)+" by "+entry.Manager] = entry.FieldsV1.GetRawString()
	}
	want := map[string]string{
		"Update by maker":   `{"f:data":{".":{},"f:key":{}}}`,
		"Update by changer": `{"f:data":{"f:more":{}}}`,
		"Apply by applier":  `{"f:data":{"f:applied":{}}}`,
	}
	if diff := cmp.Diff(want, noted); diff != "" {
		e.Errorf("who has written what (-want +got):\n%s", diff)
	}
}

func refusedPatches(e *env) {
	e.configMap("c", nil)
	patch := func(what, contentType, body string) refused {
		return refused{what, request{method: http.MethodPatch, path: e.mapsPath() + "/c", contentType: contentType, body: body}}
	}
	e.pinRefusals("refusals/patches.txt", []refused{
		patch("of no known type", "application/xml", `<a/>`),
		patch("that is no JSON", mergePatch, `{`),
		patch("without steps that can be taken", jsonPatch, `[{"op":"remove","path":"/data/none"}]`),
		patch("with a step of no known kind", jsonPatch, `[{"op":"frob","path":"/data/key"}]`),
		patch("to what the field cannot hold", mergePatch, `{"data":"text"}`),
		patch("to another version", mergePatch, `{"metadata":{"resourceVersion":"1"}}`),
		{"of an object that is not there", request{method: http.MethodPatch, path: e.mapsPath() + "/none", contentType: mergePatch, body: `{}`}},
	})
}

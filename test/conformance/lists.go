// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// lists are how objects are found.
func lists() []test {
	return []test{
		{"a long list comes in pages, all of one moment", pages},
		{"a list in pages goes on from a newer moment if it must", pagesOfTheLimit},
		{"objects are selected by their labels", labelSelectors},
		{"objects are selected by their fields", fieldSelectors},
		{"a list may be of a moment, or not older than one", resourceVersions},
		{"a list of all namespaces holds those of each", allNamespaces},
		{"a collection is deleted as it is selected", deleteCollection},
		{"a list that is not right is turned away", refusedLists},
	}
}

func (e *env) mapsPath() string { return "/api/v1/namespaces/" + e.ns + "/configmaps" }

// named are the names of the config maps that options select, without those
// that the system makes.
func (e *env) named(options metav1.ListOptions) []string {
	e.Helper()
	list, err := e.client.CoreV1().ConfigMaps(e.ns).List(e.Context(), options)
	e.check(err)
	var names []string
	for _, item := range list.Items {
		if item.Name != "kube-root-ca.crt" {
			names = append(names, item.Name)
		}
	}
	return names
}

func (e *env) numbered(count int) (names []string) {
	e.Helper()
	for i := range count {
		name := fmt.Sprintf("c%02d", i)
		e.configMap(name, map[string]string{"test": "yes", "parity": []string{"even", "odd"}[i%2]})
		names = append(names, name)
	}
	return names
}

func pages(e *env) {
	want := e.numbered(7)
	maps := e.client.CoreV1().ConfigMaps(e.ns)
	options := metav1.ListOptions{Limit: 3, LabelSelector: "test=yes"}
	var got []string
	var at string
	for {
		page, err := maps.List(e.Context(), options)
		e.check(err)
		if at == "" {
			at = page.ResourceVersion
			e.configMap("c99", map[string]string{"test": "yes"}) // after that moment
		}
		if page.ResourceVersion != at {
			e.Errorf("a page is of %s, the first was of %s", page.ResourceVersion, at)
		}
		if len(page.Items) > 3 {
			e.Errorf("a page has %d objects, want 3 at most", len(page.Items))
		}
		for _, item := range page.Items {
			got = append(got, item.Name)
		}
		if options.Continue = page.Continue; options.Continue == "" {
			break
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		e.Errorf("all pages (-want +got):\n%s", diff)
	}
}

func pagesOfTheLimit(e *env) {
	e.numbered(5)
	first, err := e.client.CoreV1().ConfigMaps(e.ns).List(e.Context(), metav1.ListOptions{Limit: 2})
	e.check(err)
	if first.RemainingItemCount == nil || *first.RemainingItemCount < 3 {
		e.Errorf("the first page says that %v objects remain, want 3 or more", first.RemainingItemCount)
	}
	_, err = e.client.CoreV1().ConfigMaps(e.ns).List(e.Context(), metav1.ListOptions{Limit: 2, Continue: "nonsense"})
	if !apierrors.IsBadRequest(err) {
		e.Errorf("a page after nonsense: got error %v, want BadRequest", err)
	}
}

func labelSelectors(e *env) {
	e.numbered(4)
	e.configMap("plain", nil)
	for selector, want := range map[string][]string{
		"parity=odd":            {"c01", "c03"},
		"parity!=odd":           {"c00", "c02", "plain"},
		"parity in (even,none)": {"c00", "c02"},
		"parity notin (even)":   {"c01", "c03", "plain"},
		"parity":                {"c00", "c01", "c02", "c03"},
		"!parity":               {"plain"},
		"test=yes,parity=even":  {"c00", "c02"},
		"test=no":               nil,
	} {
		if diff := cmp.Diff(want, e.named(metav1.ListOptions{LabelSelector: selector})); diff != "" {
			e.Errorf("selected by %q (-want +got):\n%s", selector, diff)
		}
	}
}

func fieldSelectors(e *env) {
	e.configMap("one", nil)
	e.configMap("two", nil)
	for selector, want := range map[string][]string{
		"metadata.name=one":                     {"one"},
		"metadata.name!=one":                    {"two"},
		"metadata.name=one,metadata.name=two":   nil,
		"metadata.namespace=" + e.ns:            {"one", "two"},
		"metadata.namespace=other":              nil,
		"metadata.name=one,metadata.namespace=": nil,
	} {
		if diff := cmp.Diff(want, e.named(metav1.ListOptions{FieldSelector: selector})); diff != "" {
			e.Errorf("selected by %q (-want +got):\n%s", selector, diff)
		}
	}
	e.pod("here", "", on("n1"))
	e.pod("nowhere", "")
	for selector, want := range map[string]string{
		"spec.nodeName=n1": "here", "spec.nodeName=": "nowhere", "status.phase=Pending,metadata.name=here": "here",
		"spec.serviceAccountName=default,spec.nodeName=n1": "here", "spec.restartPolicy=Never": "",
	} {
		pods, err := e.client.CoreV1().Pods(e.ns).List(e.Context(), metav1.ListOptions{FieldSelector: selector})
		e.check(err)
		var names []string
		for _, pod := range pods.Items {
			names = append(names, pod.Name)
		}
		if got := strings.Join(names, " "); got != want {
			e.Errorf("pods selected by %q are %q, want %q", selector, got, want)
		}
	}
	_, err := e.client.CoreV1().Secrets(e.ns).Create(e.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "s"}, Type: "example.com/x"}, metav1.CreateOptions{})
	e.check(err)
	secrets, err := e.client.CoreV1().Secrets(e.ns).List(e.Context(), metav1.ListOptions{FieldSelector: "type=example.com/x"})
	e.check(err)
	if len(secrets.Items) != 1 {
		e.Errorf("%d secrets are selected by their type, want 1", len(secrets.Items))
	}
}

func resourceVersions(e *env) {
	one := e.configMap("one", nil)
	two := e.configMap("two", nil)
	for _, ask := range []struct {
		options metav1.ListOptions
		want    []string
	}{
		{metav1.ListOptions{}, []string{"one", "two"}},
		{metav1.ListOptions{ResourceVersion: two.ResourceVersion}, []string{"one", "two"}},
		{metav1.ListOptions{ResourceVersion: two.ResourceVersion, ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan}, []string{"one", "two"}},
		{metav1.ListOptions{ResourceVersion: one.ResourceVersion, ResourceVersionMatch: metav1.ResourceVersionMatchExact}, []string{"one"}},
	} {
		if diff := cmp.Diff(ask.want, e.named(ask.options)); diff != "" {
			e.Errorf("listed with %+v (-want +got):\n%s", ask.options, diff)
		}
	}
	got, err := e.client.CoreV1().ConfigMaps(e.ns).Get(e.Context(), "one", metav1.GetOptions{ResourceVersion: "0"})
	if err == nil && got.Name != "one" { // the server's memory may lag, but does not lie
		err = errors.New("another object was read")
	}
	if err != nil && !apierrors.IsNotFound(err) {
		e.Errorf("reading at any moment: %v", err)
	}
}

func allNamespaces(e *env) {
	e.configMap("mine", map[string]string{"of": e.ns})
	other := e.namespace()
	_, err := e.client.CoreV1().ConfigMaps(other).Create(e.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "theirs", Labels: map[string]string{"of": e.ns}}}, metav1.CreateOptions{})
	e.check(err)
	list, err := e.client.CoreV1().ConfigMaps("").List(e.Context(), metav1.ListOptions{LabelSelector: "of=" + e.ns})
	e.check(err)
	var got []string
	for _, item := range list.Items {
		got = append(got, item.Namespace+"/"+item.Name)
	}
	slices.Sort(got)
	want := []string{e.ns + "/mine", other + "/theirs"}
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		e.Errorf("config maps of all namespaces (-want +got):\n%s", diff)
	}
}

func deleteCollection(e *env) {
	e.numbered(4)
	e.configMap("plain", nil)
	maps := e.client.CoreV1().ConfigMaps(e.ns)
	selected := metav1.ListOptions{LabelSelector: "parity=odd"}
	e.check(maps.DeleteCollection(e.Context(), metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}}, selected))
	if got := e.named(selected); len(got) != 2 {
		e.Errorf("after a dry run %q are left, want both", got)
	}
	e.check(maps.DeleteCollection(e.Context(), metav1.DeleteOptions{}, selected))
	if diff := cmp.Diff([]string{"c00", "c02", "plain"}, e.named(metav1.ListOptions{})); diff != "" {
		e.Errorf("what is left (-want +got):\n%s", diff)
	}
}

func refusedLists(e *env) {
	get := func(what, query string) refused {
		return refused{what, request{method: http.MethodGet, path: e.mapsPath() + "?" + query}}
	}
	e.pinRefusals("refusals/lists.txt", []refused{
		get("a field that cannot be selected", "fieldSelector=data.key%3Dvalue"),
		get("a field selector that is none", "fieldSelector=metadata.name"),
		get("a label selector that is none", "labelSelector=%3D%3D%3D"),
		get("a version that is none", "resourceVersion=abc"),
		get("exactly no version", "resourceVersionMatch=Exact"),
		get("exactly the version 0", "resourceVersionMatch=Exact&resourceVersion=0"),
		get("a match of no known kind", "resourceVersionMatch=Near&resourceVersion=1"),
		get("a page after no page", "limit=1&continue=nonsense"),
		get("initial events of no watch", "sendInitialEvents=true"),
		get("a watch for initial events without a match", "watch=true&sendInitialEvents=true"),
		{"one that is not there", request{method: http.MethodGet, path: e.mapsPath() + "/none"}},
	})
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
)

// watches are how clients hear of changes.
func watches() []test {
	return []test{
		{"a watch tells every change since the moment it was given, in order", watchSince},
		{"a watch without a moment begins with what there is", watchFromNow},
		{"an object that is no longer selected is told as deleted", watchSelected},
		{"a watch of one object hears of no other", watchOne},
		{"a streaming list ends with a bookmark", watchList},
		{"bookmarks come to whoever asks for them", bookmarks},
		{"watchers are told the same, however many they are", manyWatchers},
		{"a watch ends when its time is up", watchTimeout},
		{"a watch may be of metadata or of tables", watchForms},
	}
}

func (e *env) watch(options metav1.ListOptions) watch.Interface {
	e.Helper()
	events, err := e.client.CoreV1().ConfigMaps(e.ns).Watch(e.Context(), options)
	e.check(err)
	e.Cleanup(events.Stop)
	return events
}

// expect reads as many events as are told, each as its type and the name of
// its config map.
func (e *env) expect(events watch.Interface, want ...string) {
	e.Helper()
	var got []string
	for len(got) < len(want) {
		select {
		case event, open := <-events.ResultChan():
			if !open {
				e.Fatalf("the watch has ended after %q, want %q", got, want)
			}
			object, ok := event.Object.(*corev1.ConfigMap)
			if !ok {
				e.Fatalf("the event is %s of a %T: %v", event.Type, event.Object, apierrors.FromObject(event.Object))
			}
			// A bookmark may come at any time to whoever has allowed them.
			if event.Type != watch.Bookmark && object.Name != "kube-root-ca.crt" {
				got = append(got, strings.TrimSpace(string(event.Type)+" "+object.Name))
			}
		case <-time.After(patience):
			e.Fatalf("the events are %q, want %q", got, want)
		}
	}
	if !slices.Equal(want, got) {
		e.Errorf("the events are %q, want %q", got, want)
	}
}

// moment is the version of the namespace's config maps now.
func (e *env) moment() string {
	e.Helper()
	list, err := e.client.CoreV1().ConfigMaps(e.ns).List(e.Context(), metav1.ListOptions{})
	e.check(err)
	return list.ResourceVersion
}

func (e *env) label(name, value string) {
	e.Helper()
	e.patch("configmaps/"+name, mergePatch, `{"metadata":{"labels":{"color":"`+value+`"}}}`).want(e, http.StatusOK)
}

func (e *env) deleteMap(name string) {
	e.Helper()
	e.check(e.client.CoreV1().ConfigMaps(e.ns).Delete(e.Context(), name, metav1.DeleteOptions{}))
}

func watchSince(e *env) {
	since := e.moment()
	e.configMap("a", nil)
	e.label("a", "red")
	events := e.watch(metav1.ListOptions{ResourceVersion: since})
	e.configMap("b", nil)
	e.deleteMap("a")
	e.expect(events, "ADDED a", "MODIFIED a", "ADDED b", "DELETED a")
}

func watchFromNow(e *env) {
	e.configMap("a", nil)
	events := e.watch(metav1.ListOptions{})
	e.expect(events, "ADDED a")
	e.deleteMap("a")
	e.expect(events, "DELETED a")
}

func watchSelected(e *env) {
	events := e.watch(metav1.ListOptions{LabelSelector: "color=red", ResourceVersion: e.moment()})
	e.configMap("a", nil)
	e.label("a", "red")
	e.label("a", "blue")
	e.label("a", "red")
	e.expect(events, "ADDED a", "DELETED a", "ADDED a")
}

func watchOne(e *env) {
	events := e.watch(metav1.ListOptions{FieldSelector: "metadata.name=b", ResourceVersion: e.moment()})
	e.configMap("a", nil)
	e.configMap("b", nil)
	e.deleteMap("a")
	e.deleteMap("b")
	e.expect(events, "ADDED b", "DELETED b")
}

func watchList(e *env) {
	e.configMap("a", nil)
	e.configMap("b", nil)
	events := e.watch(metav1.ListOptions{
		LabelSelector: "!skip", SendInitialEvents: new(true), AllowWatchBookmarks: true,
		ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan, FieldSelector: "metadata.name!=kube-root-ca.crt",
	})
	e.expect(events, "ADDED a", "ADDED b")
	event := <-events.ResultChan()
	bookmark, ok := event.Object.(*corev1.ConfigMap)
	if event.Type != watch.Bookmark || !ok || bookmark.Annotations[metav1.InitialEventsAnnotationKey] != "true" || bookmark.ResourceVersion == "" {
		e.Fatalf("after what there is comes %s %v, want the bookmark that says so", event.Type, event.Object)
	}
	e.configMap("c", nil)
	e.expect(events, "ADDED c")
}

func bookmarks(e *env) {
	// A bookmark comes shortly before the end of a watch.
	options := metav1.ListOptions{ResourceVersion: e.moment(), AllowWatchBookmarks: true, TimeoutSeconds: new(int64(3))}
	secrets, err := e.client.CoreV1().Secrets(e.ns).Watch(e.Context(), options)
	e.check(err)
	e.Cleanup(secrets.Stop)
	maps := e.watch(options)
	// It tells how far the watch has come, and may be left out where that is nowhere.
	e.configMap("a", nil)
	_, err = e.client.CoreV1().Secrets(e.ns).Create(e.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "a"}}, metav1.CreateOptions{})
	e.check(err)
	for name, events := range map[string]watch.Interface{"config maps": maps, "secrets": secrets} {
		if !hasBookmark(events) {
			e.Errorf("the watch of %s has ended without a bookmark", name)
		}
	}
}

func hasBookmark(events watch.Interface) bool {
	for event := range events.ResultChan() {
		if event.Type == watch.Bookmark {
			return true
		}
	}
	return false
}

// manyWatchers watches secrets, one watch after the other, and writes in between. A
// server may serve the first watch in another way than the last.
func manyWatchers(e *env) {
	const watchers = 20
	secrets := e.client.CoreV1().Secrets(e.ns)
	list, err := secrets.List(e.Context(), metav1.ListOptions{})
	e.check(err)
	since := list.ResourceVersion
	var want []string
	var all []watch.Interface
	for i := range watchers {
		events, err := secrets.Watch(e.Context(), metav1.ListOptions{ResourceVersion: since, LabelSelector: "color=red"})
		e.check(err)
		e.Cleanup(events.Stop)
		all = append(all, events)
		name := fmt.Sprintf("s%d", i)
		created, err := secrets.Create(e.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"color": "red"}}}, metav1.CreateOptions{})
		e.check(err)
		e.patch("secrets/"+name, mergePatch, `{"metadata":{"labels":{"color":"blue"}}}`).want(e, http.StatusOK)
		want = append(want, "ADDED "+name, "DELETED "+name)
		for _, options := range []metav1.ListOptions{{}, {ResourceVersion: created.ResourceVersion}, {Limit: watchers + 1}} {
			list, err := secrets.List(e.Context(), options)
			e.check(err)
			if len(list.Items) != i+1 {
				e.Fatalf("a list with the options %v has %d secrets, want %d", options, len(list.Items), i+1)
			}
		}
	}
	for i, events := range all {
		var got []string
		for len(got) < len(want) {
			event, open := <-events.ResultChan()
			secret, ok := event.Object.(*corev1.Secret)
			if !open || !ok {
				e.Fatalf("watch %d has ended after %q: %v", i, got, event.Object)
			}
			got = append(got, string(event.Type)+" "+secret.Name)
		}
		if !slices.Equal(want, got) {
			e.Errorf("the events of watch %d are %q, want %q", i, got, want)
		}
	}
}

func watchTimeout(e *env) {
	start := time.Now()
	events := e.watch(metav1.ListOptions{ResourceVersion: e.moment(), TimeoutSeconds: new(int64(1))})
	for range events.ResultChan() { // to its end
	}
	if took := time.Since(start); took < 900*time.Millisecond || took > patience {
		e.Errorf("a watch for one second has ended after %s", took)
	}
}

func watchForms(e *env) {
	for accept, want := range map[string]string{
		"application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1": "PartialObjectMetadata",
		"application/json;as=Table;g=meta.k8s.io;v=v1":                 "Table",
		"application/json": "ConfigMap",
	} {
		kind, err := e.firstKind(accept)
		if err != nil || kind != want {
			e.Errorf("watching in %q: the first event has a %q, error %v, want a %s", accept, kind, err, want)
		}
	}
}

// firstKind is the kind of the object in the first event.
func (e *env) firstKind(accept string) (string, error) {
	e.Helper()
	client, err := rest.HTTPClientFor(e.target.Admin)
	e.check(err)
	e.eventually(func() error {
		_, err := e.client.CoreV1().ConfigMaps(e.ns).Get(e.Context(), "kube-root-ca.crt", metav1.GetOptions{})
		return err
	})
	asked, err := http.NewRequestWithContext(e.Context(), http.MethodGet, e.target.Admin.Host+e.mapsPath()+"?watch=true", nil)
	e.check(err)
	asked.Header.Set("Accept", accept)
	response, err := client.Do(asked)
	e.check(err)
	defer response.Body.Close()
	var event struct{ Object metav1.TypeMeta }
	if err := json.NewDecoder(response.Body).Decode(&event); err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	return event.Object.Kind, nil
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/retry"
)

// kinds is what holds of every stored kind.
func kinds() []test {
	return []test{
		{"every kind is created, read, listed, watched, changed and deleted in protobuf", everyKind("application/vnd.kubernetes.protobuf")},
		{"every kind is created, read, listed, watched, changed and deleted in JSON", everyKind("application/json")},
		{"every kind has the columns that kubectl users know", columns},
	}
}

func everyKind(mediaType string) func(e *env) {
	return func(e *env) {
		for _, sample := range Samples(e.ns, e.ns) {
			kind := &kindTest{env: e, sample: sample, mediaType: mediaType, client: e.restClient(sample, mediaType)}
			kind.run()
		}
	}
}

// restClient is a client for the resource of a sample.
func (e *env) restClient(sample Sample, mediaType string) *rest.RESTClient {
	e.Helper()
	config := rest.CopyConfig(e.target.Admin)
	version := sample.Resource.GroupVersion()
	config.GroupVersion, config.NegotiatedSerializer = &version, scheme.Codecs.WithoutConversion()
	config.APIPath = "/apis"
	if version.Group == "" {
		config.APIPath = "/api"
	}
	config.ContentType, config.AcceptContentTypes = mediaType, mediaType
	client, err := rest.RESTClientFor(config)
	e.check(err)
	return client
}

// kindTest is the life of one object.
type kindTest struct {
	*env
	sample    Sample
	mediaType string
	client    *rest.RESTClient
}

func (k *kindTest) request(r *rest.Request) *rest.Request {
	return r.NamespaceIfScoped(k.ns, k.sample.Namespaced).Resource(k.sample.Resource.Resource)
}

// label changes the object, whoever changes it besides.
func (k *kindTest) label(name string) runtime.Object {
	k.Helper()
	var changed runtime.Object
	err := retry.RetryOnConflict(retry.DefaultRetry, func() error {
		read := k.answered(k.client.Get().Name(name))
		object, err := meta.Accessor(read)
		k.check(err)
		object.SetLabels(map[string]string{"changed": "yes"})
		changed, err = k.attempt(k.client.Put().Name(name).Body(read))
		return err
	})
	k.check(err)
	return changed
}

// versionOf is the version of an object of any kind.
func versionOf(object runtime.Object) string {
	read, err := meta.Accessor(object)
	if err != nil { // only for what is no API object
		panic(err)
	}
	return read.GetResourceVersion()
}

// answered is the object that a request brings, in the right encoding.
func (k *kindTest) answered(r *rest.Request) runtime.Object {
	k.Helper()
	object, err := k.attempt(r)
	if err != nil {
		k.Fatalf("%s: %v", k.sample.Resource, err)
	}
	return object
}

// attempt is answered for a request that may be turned away.
func (k *kindTest) attempt(r *rest.Request) (runtime.Object, error) {
	k.Helper()
	var mediaType string
	object, err := k.request(r).Do(k.Context()).ContentType(&mediaType).Get()
	if mediaType != k.mediaType {
		k.Errorf("%s: the answer is in %q, want %q", k.sample.Resource, mediaType, k.mediaType)
	}
	return object, err
}

func (k *kindTest) run() {
	k.Helper()
	name := k.sample.Name() + "-of-kinds"
	k.sample.meta().SetName(name)
	selected := &metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("metadata.name", name).String()}

	list := k.answered(k.client.Get().VersionedParams(selected, scheme.ParameterCodec))
	at, err := meta.ListAccessor(list)
	k.check(err)
	selected.ResourceVersion, selected.Watch = at.GetResourceVersion(), true
	events, err := k.request(k.client.Get()).VersionedParams(selected, scheme.ParameterCodec).Watch(k.Context())
	k.check(err)
	defer events.Stop()

	created := k.answered(k.client.Post().Body(k.sample.Object))
	k.Cleanup(func() { // the namespace takes the others along
		err := k.request(k.client.Delete()).Name(name).Do(context.Background()).Error()
		if err != nil && !apierrors.IsNotFound(err) {
			k.Error(err)
		}
	})
	k.next(events, watch.Added, created)
	if read := k.answered(k.client.Get().Name(name)); versionOf(read) == versionOf(created) {
		k.same(created, read)
	} // else a controller has changed it meanwhile, as that of nodes does

	changed := k.label(name)
	k.next(events, watch.Modified, changed)

	one := k.answered(k.client.Get().VersionedParams(&metav1.ListOptions{LabelSelector: "changed=yes", FieldSelector: selected.FieldSelector}, scheme.ParameterCodec))
	items, err := meta.ExtractList(one)
	k.check(err)
	if len(items) != 1 {
		k.Errorf("%s: %d objects are selected, want 1", k.sample.Resource, len(items))
	}
	k.check(k.request(k.client.Delete()).Name(name).Do(k.Context()).Error())
	k.next(events, watch.Deleted, nil)
	k.gone(func() error { return k.request(k.client.Get()).Name(name).Do(k.Context()).Error() })
}

func (k *kindTest) same(want, got runtime.Object) {
	k.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		k.Errorf("%s (-want +got):\n%s", k.sample.Resource, diff)
	}
}

// next awaits an event, over those that tell of what controllers do besides.
func (k *kindTest) next(events watch.Interface, kind watch.EventType, object runtime.Object) {
	k.Helper()
	for event := range events.ResultChan() {
		if event.Type == watch.Modified && (kind == watch.Deleted || kind == watch.Modified && versionOf(event.Object) != versionOf(object)) {
			continue
		}
		if event.Type != kind {
			k.Fatalf("%s: the event is %s, want %s", k.sample.Resource, event.Type, kind)
		}
		if object != nil {
			k.same(object, event.Object)
		}
		return
	}
	k.Fatalf("%s: the watch has ended before %s", k.sample.Resource, kind)
}

func columns(e *env) {
	const accept = "application/json;as=Table;g=meta.k8s.io;v=v1"
	var told strings.Builder
	for _, sample := range Samples(e.ns, e.ns) {
		var table metav1.Table
		e.do(request{method: http.MethodGet, path: sample.path(e.ns) + "?limit=1", accept: accept}).want(e, http.StatusOK).into(e, &table)
		fmt.Fprintf(&told, "# %s\n", strings.TrimPrefix(sample.Resource.Group+"/"+sample.Resource.Resource, "/"))
		for _, column := range table.ColumnDefinitions {
			name := column.Name
			if column.Priority > 0 {
				name += " (wide)"
			}
			fmt.Fprintln(&told, strings.Join(slices.DeleteFunc([]string{name, column.Type, column.Format, column.Description}, func(s string) bool { return s == "" }), " | "))
		}
		fmt.Fprintln(&told)
	}
	e.pin("columns.txt", told.String())
}

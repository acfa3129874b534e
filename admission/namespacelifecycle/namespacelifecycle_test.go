// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package namespacelifecycle

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
)

// known is what exists in these tests; a namespace called "broken" cannot be
// looked up.
type known map[string]State

func (k known) Namespace(_ context.Context, name string) (State, error) {
	if name == "broken" {
		return State{}, errors.New("the store is away")
	}
	return k[name], nil
}

var namespaces = known{
	"dev":     {Exists: true},
	"leaving": {Exists: true, Terminating: true},
}

var (
	configMaps  = corev1.SchemeGroupVersion.WithResource("configmaps")
	configMap   = corev1.SchemeGroupVersion.WithKind("ConfigMap")
	namespaced  = corev1.SchemeGroupVersion.WithResource("namespaces")
	namespace   = corev1.SchemeGroupVersion.WithKind("Namespace")
	localReview = schema.GroupVersionResource{Group: "authorization.k8s.io", Version: "v1", Resource: "localsubjectaccessreviews"}
)

type request struct {
	operation       admission.Operation
	kind            schema.GroupVersionKind
	resource        schema.GroupVersionResource
	namespace, name string
}

func (r request) attributes() admission.Attributes {
	var options runtime.Object = &metav1.CreateOptions{}
	return admission.NewAttributesRecord(nil, nil, r.kind, r.namespace, r.name, r.resource, "", r.operation, options, false, nil)
}

func TestWritesAreAdmittedAsTheirNamespaceAllows(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		request request
		want    string // the message; empty for admitted
		reason  metav1.StatusReason
	}{
		"a creation in a namespace that exists": {request: request{admission.Create, configMap, configMaps, "dev", "c"}},
		"a creation in a namespace that is not there": {
			request: request{admission.Create, configMap, configMaps, "nowhere", "c"},
			want:    `namespaces "nowhere" not found`, reason: metav1.StatusReasonNotFound,
		},
		"a creation in a namespace that ends": {
			request: request{admission.Create, configMap, configMaps, "leaving", "c"},
			want:    `configmaps "c" is forbidden: unable to create new content in namespace leaving because it is being terminated`,
			reason:  metav1.StatusReasonForbidden,
		},
		"a creation when the state is unknown": {
			request: request{admission.Create, configMap, configMaps, "broken", "c"},
			want:    `Internal error occurred: looking up namespace "broken": the store is away`,
			reason:  metav1.StatusReasonInternalError,
		},
		"an update in a namespace that ends":          {request: request{admission.Update, configMap, configMaps, "leaving", "c"}},
		"a deletion in a namespace that ends":         {request: request{admission.Delete, configMap, configMaps, "leaving", "c"}},
		"a deletion in a namespace that is not there": {request: request{admission.Delete, configMap, configMaps, "nowhere", "c"}},
		"a review in a namespace that is not there":   {request: request{admission.Create, localReview.GroupVersion().WithKind("LocalSubjectAccessReview"), localReview, "nowhere", ""}},
		"a creation outside namespaces":               {request: request{admission.Create, corev1.SchemeGroupVersion.WithKind("Node"), corev1.SchemeGroupVersion.WithResource("nodes"), "", "n"}},
		"the creation of a namespace":                 {request: request{admission.Create, namespace, namespaced, "new", "new"}},
		"the deletion of a namespace":                 {request: request{admission.Delete, namespace, namespaced, "dev", "dev"}},
		"the deletion of kube-node-lease":             {request: request{admission.Delete, namespace, namespaced, "kube-node-lease", "kube-node-lease"}},
		"the deletion of a thing named default":       {request: request{admission.Delete, configMap, configMaps, "dev", "default"}},
	}
	for _, name := range []string{"default", "kube-system", "kube-public"} {
		tests["the deletion of "+name] = struct {
			request request
			want    string
			reason  metav1.StatusReason
		}{
			request: request{admission.Delete, namespace, namespaced, name, name},
			want:    `namespaces "` + name + `" is forbidden: this namespace may not be deleted`,
			reason:  metav1.StatusReasonForbidden,
		}
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := New(namespaces).Admit(t.Context(), test.request.attributes(), nil)
			message := ""
			if err != nil {
				message = err.Error()
			}
			if message != test.want || apierrors.ReasonForError(err) != test.reason {
				t.Errorf("got %q (%s), want %q (%s)", message, apierrors.ReasonForError(err), test.want, test.reason)
			}
		})
	}
}

func TestTheRefusalOfAnEndingNamespaceNamesItsCause(t *testing.T) {
	t.Parallel()
	err := New(namespaces).Admit(t.Context(), request{admission.Create, configMap, configMaps, "leaving", "c"}.attributes(), nil)
	cause, found := apierrors.StatusCause(err, corev1.NamespaceTerminatingCause)
	want := metav1.StatusCause{
		Type: corev1.NamespaceTerminatingCause, Field: "metadata.namespace",
		Message: "namespace leaving is being terminated",
	}
	if diff := cmp.Diff(want, cause); !found || diff != "" {
		t.Errorf("cause found: %v; difference (-want +got):\n%s", found, diff)
	}
}

func TestOnlyCreationsAndDeletionsAreHandled(t *testing.T) {
	t.Parallel()
	plugin := New(namespaces)
	for operation, want := range map[admission.Operation]bool{
		admission.Create: true, admission.Delete: true, admission.Update: false, admission.Connect: false,
	} {
		if got := plugin.Handles(operation); got != want {
			t.Errorf("handles %s: got %v, want %v", operation, got, want)
		}
	}
}

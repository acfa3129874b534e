// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package hotlane

import (
	"maps"
	"slices"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// managed is the entry of a question's author in metadata.managedFields, which
// the general path writes into everything that is created.
func managed(gvk schema.GroupVersionKind, agent string, now time.Time, fields []byte) []metav1.ManagedFieldsEntry {
	manager, _, _ := strings.Cut(agent, "/")
	if len(manager) > maxManager {
		manager = manager[:maxManager]
	}
	set := &metav1.FieldsV1{}
	set.SetRawBytes(fields)
	return []metav1.ManagedFieldsEntry{{
		Manager: manager, Operation: metav1.ManagedFieldsOperationUpdate, APIVersion: gvk.GroupVersion().String(),
		Time: &metav1.Time{Time: now.UTC().Truncate(time.Second)}, FieldsType: "FieldsV1", FieldsV1: set,
	}}
}

// maxManager is the longest name of a field manager, in bytes
// (apimachinery: validation.FieldManagerMaxLength).
const maxManager = 128

func tokenReviewFields(spec *authenticationv1.TokenReviewSpec) []byte {
	f := newFields()
	f.leaf("audiences", len(spec.Audiences) > 0)
	f.leaf("token", spec.Token != "")
	return f.end()
}

// tokenRequestFields is nil if nothing is set.
func tokenRequestFields(spec *authenticationv1.TokenRequestSpec) []byte {
	ref := spec.BoundObjectRef
	if len(spec.Audiences) == 0 && spec.ExpirationSeconds == nil && ref == nil {
		return nil
	}
	f := newFields()
	f.leaf("audiences", len(spec.Audiences) > 0)
	if ref != nil {
		f.object("f:boundObjectRef")
		f.leaf("apiVersion", ref.APIVersion != "")
		f.leaf("kind", ref.Kind != "")
		f.leaf("name", ref.Name != "")
		f.leaf("uid", ref.UID != "")
		f.close('}')
	}
	f.leaf("expirationSeconds", spec.ExpirationSeconds != nil)
	return f.end()
}

func accessReviewFields(spec *authorizationv1.SubjectAccessReviewSpec) []byte {
	f := newFields()
	if len(spec.Extra) > 0 {
		f.struct_("extra")
		for _, key := range slices.Sorted(maps.Keys(spec.Extra)) {
			f.leaf(key, true)
		}
		f.close('}')
	}
	f.leaf("groups", len(spec.Groups) > 0)
	if a := spec.NonResourceAttributes; a != nil {
		f.struct_("nonResourceAttributes")
		f.leaf("path", a.Path != "")
		f.leaf("verb", a.Verb != "")
		f.close('}')
	}
	if a := spec.ResourceAttributes; a != nil {
		f.struct_("resourceAttributes")
		f.leaf("group", a.Group != "")
		f.leaf("name", a.Name != "")
		f.leaf("namespace", a.Namespace != "")
		f.leaf("resource", a.Resource != "")
		f.leaf("subresource", a.Subresource != "")
		f.leaf("verb", a.Verb != "")
		f.leaf("version", a.Version != "")
		f.close('}')
	}
	f.leaf("uid", spec.UID != "")
	f.leaf("user", spec.User != "")
	return f.end()
}

// fields writes the set of the fields of a spec that are set, in the form of
// FieldsV1 (structured-merge-diff), which sorts them by name.
type fields struct{ writer }

func newFields() *fields {
	f := &fields{writer{buf: make([]byte, 0, 128)}}
	f.open('{')
	f.object("f:spec")
	return f
}

// leaf writes a field that is a whole.
func (f *fields) leaf(name string, set bool) {
	if set {
		f.separate()
		f.buf = appendString(f.buf, "f:"+name)
		f.buf = append(f.buf, ":{}"...)
	}
}

// struct_ begins a field that has fields of its own, and counts as one as well.
func (f *fields) struct_(name string) {
	f.object("f:" + name)
	f.buf = append(f.buf, `".":{}`...)
	f.comma = true
}

func (f *fields) end() []byte {
	f.close('}')
	f.close('}')
	return f.buf
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package hotlane

import (
	"bytes"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// magic begins each object of Kubernetes in protobuf
// (apimachinery: runtime/serializer/protobuf).
const magic = "k8s\x00"

// unwrap takes the object of a kind out of its envelope.
func unwrap(body []byte, gvk schema.GroupVersionKind) (raw []byte, ok bool) {
	rest, ok := bytes.CutPrefix(body, []byte(magic))
	if !ok {
		return nil, false
	}
	var envelope runtime.Unknown
	if envelope.Unmarshal(rest) != nil || envelope.ContentEncoding != "" || envelope.ContentType != "" {
		return nil, false
	}
	if envelope.Kind != gvk.Kind || envelope.APIVersion != gvk.GroupVersion().String() {
		return nil, false
	}
	return envelope.Raw, true
}

// message is an object that can be written as protobuf.
type message interface {
	Size() int
	MarshalTo(data []byte) (int, error)
}

// appendProtobuf appends an answer in its envelope.
func appendProtobuf(buf []byte, answer runtime.Object, gvk schema.GroupVersionKind) ([]byte, bool) {
	m, ok := answer.(message)
	if !ok {
		return buf, false
	}
	raw := make([]byte, m.Size())
	if _, err := m.MarshalTo(raw); err != nil {
		return buf, false
	}
	envelope := runtime.Unknown{
		TypeMeta: runtime.TypeMeta{APIVersion: gvk.GroupVersion().String(), Kind: gvk.Kind},
		Raw:      raw,
	}
	buf = append(buf, magic...)
	start := len(buf)
	buf = slices.Grow(buf, envelope.Size())[:start+envelope.Size()]
	_, err := envelope.MarshalTo(buf[start:])
	return buf, err == nil
}

// bare tells whether nothing is set in the metadata of a question.
func bare(m *metav1.ObjectMeta) bool {
	//lint:ignore SA1019 a client may set selfLink all the same
	return m.Name == "" && m.GenerateName == "" && m.Namespace == "" && m.SelfLink == "" && m.UID == "" &&
		m.ResourceVersion == "" && m.Generation == 0 && m.CreationTimestamp.IsZero() && m.DeletionTimestamp == nil &&
		m.DeletionGracePeriodSeconds == nil && m.Labels == nil && m.Annotations == nil && m.OwnerReferences == nil &&
		m.Finalizers == nil && m.ManagedFields == nil
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/muster-identity/muster/bench/load"
)

const (
	asJSON     = runtime.ContentTypeJSON
	asProtobuf = runtime.ContentTypeProtobuf
)

// wires are all ways to travel, the usual one first.
var wires = []load.Wire{
	{Name: "h2/json", HTTP2: true, MediaType: asJSON},
	{Name: "h2/protobuf", HTTP2: true, MediaType: asProtobuf},
	{Name: "h1/json", MediaType: asJSON},
	{Name: "h1/protobuf", MediaType: asProtobuf},
}

// encode is an object as it travels.
func encode(object runtime.Object, version schema.GroupVersion, mediaType string) ([]byte, error) {
	info, known := runtime.SerializerInfoForMediaType(scheme.Codecs.SupportedMediaTypes(), mediaType)
	if !known {
		return nil, fmt.Errorf("encoding %T: no serializer for %q", object, mediaType)
	}
	encoded, err := runtime.Encode(scheme.Codecs.EncoderForVersion(info.Serializer, version), object)
	if err != nil {
		return nil, fmt.Errorf("encoding %T: %w", object, err)
	}
	return encoded, nil
}

// decode reads what has travelled into an object of its type.
func decode(encoded []byte, into runtime.Object) error {
	if err := runtime.DecodeInto(scheme.Codecs.UniversalDeserializer(), encoded, into); err != nil {
		return fmt.Errorf("decoding a %T: %w", into, err)
	}
	return nil
}

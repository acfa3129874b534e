// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

// Package openapi holds the OpenAPI definition of every type that Muster serves, under the names kube-apiserver gives
// them (io.k8s.api.core.v1.Pod), which is where kubectl and server-side apply look them up.
//
// The server hands GetOpenAPIDefinitions to k8s.io/apiserver; nobody else calls it. The definitions are generated from
// identity/v1 and the served packages of k8s.io/api by `make generate`; a test proves that they are fresh and refer to
// nothing missing.
package openapi

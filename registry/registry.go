// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

// Package registry is the REST storage: what Muster serves, one file per
// resource. Each file holds a Definition: the names of the resource, its
// defaults, what a client may not set, what is valid, its selectable fields and
// the columns that kubectl prints. Table lists them all; the server room
// installs the table and knows no resource by name.
//
// Versioned types are the hub: the k8s.io/api v1 types are registered as the
// internal version too, so there is one set of types and no conversion (events,
// which two groups share, are the one exception).
//
// The registry knows nothing of HTTP. Who may call is decided before it is
// reached, and what must follow a write is done by whoever listens to Changes.
package registry

import (
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/rest"
)

// Resource is one row of the table, with the type of its objects erased.
type Resource interface {
	// GroupVersionResource names the resource as it is served.
	GroupVersionResource() schema.GroupVersionResource
	// Namespaced tells whether its objects live in namespaces.
	Namespaced() bool
	// Stored tells whether its objects are kept; reviews are only answered.
	Stored() bool
	// Register adds the defaults and the selectable fields to the scheme.
	Register(scheme *runtime.Scheme) error
	// Storage makes the REST storage of the resource and of its subresources,
	// keyed as the API installer wants them ("pods", "pods/status").
	Storage(env Environment) (map[string]rest.Storage, error)
}

// Environment is what the storage of the resources needs from the house.
type Environment struct {
	Scheme      *runtime.Scheme
	RESTOptions generic.RESTOptionsGetter
	// Services holds the collaborators of single resources.
	Services Services
}

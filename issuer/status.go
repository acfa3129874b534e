// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package issuer

import (
	"errors"
	"fmt"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/validate/content"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// groupKind is what an error names that is about the request itself.
var groupKind = schema.GroupKind{Group: authenticationv1.GroupName, Kind: "TokenRequest"}

// resource is how Kubernetes names a kind in a conflict: by the kind.
func resource(kind schema.GroupKind) schema.GroupResource {
	return schema.GroupResource{Group: kind.Group, Resource: kind.Kind}
}

// checkName refuses what cannot be the name of an object before it becomes
// part of a key of the store.
// Kubernetes: k8s.io/apiserver, pkg/registry/generic/registry (NamespaceKeyFunc).
func checkName(name string) error {
	if name == "" {
		return apierrors.NewBadRequest("Name parameter required.")
	}
	if faults := content.IsPathSegmentName(name); len(faults) > 0 {
		return apierrors.NewBadRequest(fmt.Sprintf("Name parameter invalid: %q: %s", name, strings.Join(faults, ";")))
	}
	return nil
}

// asStatus is the error as a caller of the API gets it. What is no Status
// becomes an error 500 with its own text, as in the generic API server.
func asStatus(err error) error {
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		return &apierrors.StatusError{ErrStatus: status.Status()}
	}
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status:  metav1.StatusFailure,
		Code:    500,
		Message: err.Error(),
	}}
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"fmt"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
)

// TokenIssuer answers TokenRequests.
type TokenIssuer interface {
	// Issue makes a token for the service account namespace/name. It fills in
	// what request leaves open and checks everything in it, the metadata too.
	// It calls admit, if not nil, once the request is valid and complete, and
	// issues nothing if admit refuses. Errors are API errors. Calls may
	// overlap.
	Issue(ctx context.Context, namespace, name string, request *authenticationv1.TokenRequest, admit func(context.Context, runtime.Object) error) (*authenticationv1.TokenRequest, error)
}

// tokenStorage serves serviceaccounts/token.
func tokenStorage(issuer TokenIssuer) rest.Storage { return &tokens{issuer: issuer} }

// tokens serves the verb create of a service account's tokens.
type tokens struct {
	issuer TokenIssuer
}

// New returns an empty request.
func (t *tokens) New() runtime.Object { return &authenticationv1.TokenRequest{} }

// Destroy has nothing to do: tokens are not stored.
func (t *tokens) Destroy() {}

// GroupVersionKind tells discovery that the subresource speaks a kind of
// another group than its parent.
func (t *tokens) GroupVersionKind(schema.GroupVersion) schema.GroupVersionKind {
	return authenticationv1.SchemeGroupVersion.WithKind("TokenRequest")
}

// PreserveRequestObjectMetaSystemFieldsOnSubresourceCreate keeps the UID of the
// request, which the issuer compares with that of the service account.
func (t *tokens) PreserveRequestObjectMetaSystemFieldsOnSubresourceCreate() bool { return true }

// Create issues a token for the service account name in the namespace of ctx.
func (t *tokens) Create(ctx context.Context, name string, obj runtime.Object, admit rest.ValidateObjectFunc, _ *metav1.CreateOptions) (runtime.Object, error) {
	request, ok := obj.(*authenticationv1.TokenRequest)
	if !ok {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("not a TokenRequest: %T", obj))
	}
	namespace, ok := genericapirequest.NamespaceFrom(ctx)
	if !ok {
		return nil, apierrors.NewBadRequest("namespace is required")
	}
	issued, err := t.issuer.Issue(ctx, namespace, name, request, admit)
	if err != nil {
		return nil, err
	}
	return issued, nil
}

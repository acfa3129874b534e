// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"errors"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/rest"
)

// tokenRecorder asks admission and answers with what it was asked.
type tokenRecorder struct {
	namespace, name string
}

func (r *tokenRecorder) Issue(ctx context.Context, namespace, name string, request *authenticationv1.TokenRequest, admit func(context.Context, runtime.Object) error) (*authenticationv1.TokenRequest, error) {
	r.namespace, r.name = namespace, name
	if err := admit(ctx, request); err != nil {
		return nil, err
	}
	return request, nil
}

func TestTokensAreAskedOfTheIssuer(t *testing.T) {
	t.Parallel()
	issuer := &tokenRecorder{}
	request := &authenticationv1.TokenRequest{}
	admitted := false
	got, err := tokenStorage(issuer).(rest.NamedCreater).Create(reviewContext(t, "dev"), "bot", request,
		func(context.Context, runtime.Object) error { admitted = true; return nil }, &metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got != runtime.Object(request) || !admitted || issuer.namespace != "dev" || issuer.name != "bot" {
		t.Errorf("answer %v, admitted %v, asked for %s/%s", got, admitted, issuer.namespace, issuer.name)
	}
}

func TestTokensAreRefusedWithNoAnswer(t *testing.T) {
	t.Parallel()
	refused := errors.New("no")
	got, err := tokenStorage(&tokenRecorder{}).(rest.NamedCreater).Create(reviewContext(t, "dev"), "bot", &authenticationv1.TokenRequest{},
		func(context.Context, runtime.Object) error { return refused }, &metav1.CreateOptions{})
	if !errors.Is(err, refused) || got != nil {
		t.Errorf("answer %v, error %v", got, err)
	}
}

func TestTokensTakeTokenRequestsOnly(t *testing.T) {
	t.Parallel()
	storage := tokenStorage(&tokenRecorder{})
	_, err := storage.(rest.NamedCreater).Create(reviewContext(t, "dev"), "bot", &corev1.Pod{}, nil, &metav1.CreateOptions{})
	if !apierrors.IsBadRequest(err) {
		t.Errorf("error %v, want a bad request", err)
	}
	kind := storage.(rest.GroupVersionKindProvider).GroupVersionKind(corev1.SchemeGroupVersion).String()
	if want := "authentication.k8s.io/v1, Kind=TokenRequest"; kind != want {
		t.Errorf("kind %s, want %s", kind, want)
	}
	if _, ok := storage.(rest.Getter); ok {
		t.Error("tokens can be read")
	}
	if !storage.(rest.SubresourceObjectMetaPreserver).PreserveRequestObjectMetaSystemFieldsOnSubresourceCreate() {
		t.Error("the UID of a request is dropped")
	}
}

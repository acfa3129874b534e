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
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
)

func reviewServices() Services {
	return Services{
		Authorizer:         authorizer.AuthorizerFunc(func(context.Context, authorizer.Attributes) (authorizer.Decision, string, error) { return 0, "", nil }),
		RuleResolver:       fakeRules{},
		TokenAuthenticator: authenticator.TokenFunc(func(context.Context, string) (*authenticator.Response, bool, error) { return nil, false, nil }),
	}
}

// reviewContext is a request by somebody named ann, in namespace.
func reviewContext(t *testing.T, namespace string) context.Context {
	ctx := genericapirequest.WithNamespace(t.Context(), namespace)
	return genericapirequest.WithUser(ctx, &user.DefaultInfo{Name: "ann", UID: "7", Groups: []string{"g"}, Extra: map[string][]string{"k": {"v"}}})
}

func reviewCreater(t *testing.T, resource Resource, services Services) rest.Creater {
	t.Helper()
	storage, err := resource.Storage(Environment{Services: services})
	if err != nil {
		t.Fatal(err)
	}
	return storage[resource.GroupVersionResource().Resource].(rest.Creater)
}

func allReviews() []Resource {
	return []Resource{
		tokenReviews(), selfSubjectReviews(), subjectAccessReviews(), selfSubjectAccessReviews(),
		localSubjectAccessReviews(), selfSubjectRulesReviews(),
	}
}

func TestReviewsKnowTheVerbCreateOnly(t *testing.T) {
	t.Parallel()
	for _, resource := range allReviews() {
		storage := reviewCreater(t, resource, reviewServices())
		if resource.Stored() {
			t.Errorf("%s are stored", resource.GroupVersionResource())
		}
		if got := storage.(rest.Scoper).NamespaceScoped(); got != resource.Namespaced() {
			t.Errorf("%s: scope %v, want %v", resource.GroupVersionResource(), got, resource.Namespaced())
		}
		if got, want := storage.(rest.SingularNameProvider).GetSingularName()+"s", resource.GroupVersionResource().Resource; got != want {
			t.Errorf("singular of %s: %s", want, got)
		}
		_, get := storage.(rest.Getter)
		_, list := storage.(rest.Lister)
		_, update := storage.(rest.Updater)
		_, remove := storage.(rest.GracefulDeleter)
		if get || list || update || remove {
			t.Errorf("%s: get %v, list %v, update %v, delete %v", resource.GroupVersionResource(), get, list, update, remove)
		}
	}
}

func TestReviewsRefuseBodiesOfAnotherKind(t *testing.T) {
	t.Parallel()
	for _, resource := range allReviews() {
		_, err := reviewCreater(t, resource, reviewServices()).Create(reviewContext(t, ""), &corev1.Pod{}, nil, &metav1.CreateOptions{})
		if !apierrors.IsBadRequest(err) {
			t.Errorf("%s: %v, want a bad request", resource.GroupVersionResource(), err)
		}
	}
}

func TestReviewsNeedTheirCollaborators(t *testing.T) {
	t.Parallel()
	for _, resource := range allReviews() {
		if resource.GroupVersionResource().Resource == "selfsubjectreviews" {
			continue // asks nobody
		}
		if _, err := resource.Storage(Environment{}); err == nil {
			t.Errorf("%s: made without its collaborator", resource.GroupVersionResource())
		}
	}
}

func TestAdmissionSeesAReviewBeforeItIsAnswered(t *testing.T) {
	t.Parallel()
	asked := false
	services := reviewServices()
	services.TokenAuthenticator = authenticator.TokenFunc(func(context.Context, string) (*authenticator.Response, bool, error) {
		asked = true
		return nil, false, nil
	})
	refused := errors.New("no")
	review := &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: "t"}}
	_, err := reviewCreater(t, tokenReviews(), services).Create(reviewContext(t, ""), review, func(_ context.Context, seen runtime.Object) error {
		if seen == runtime.Object(review) {
			t.Error("admission holds the review itself, not a copy")
		}
		return refused
	}, &metav1.CreateOptions{})
	if !errors.Is(err, refused) || asked {
		t.Errorf("error %v, authenticator asked: %v", err, asked)
	}
}

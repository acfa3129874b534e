// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"errors"
	"net/http"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/group"
	"k8s.io/apiserver/pkg/authentication/request/bearertoken"
	"k8s.io/apiserver/pkg/authentication/user"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
)

func tokenReviews() Resource { return newTokenReviews() }

func newTokenReviews() *review[*authenticationv1.TokenReview] {
	return &review[*authenticationv1.TokenReview]{
		groupVersion: authenticationv1.SchemeGroupVersion,
		kind:         "TokenReview", plural: "tokenreviews", singular: "tokenreview",
		newObject: func() *authenticationv1.TokenReview { return &authenticationv1.TokenReview{} },
		reviewer: func(services Services) (reviewer[*authenticationv1.TokenReview], error) {
			if services.TokenAuthenticator == nil {
				return nil, errors.New("no token authenticator")
			}
			return newTokenReviewer(services.TokenAuthenticator, services.APIAudiences), nil
		},
	}
}

// tokenReviewer tells whose a token is, by the same steps that a request with
// that token goes through (Kubernetes: pkg/registry/authentication/tokenreview).
type tokenReviewer struct {
	authenticator authenticator.Request
	apiAudiences  authenticator.Audiences
}

func newTokenReviewer(token authenticator.Token, apiAudiences authenticator.Audiences) *tokenReviewer {
	return &tokenReviewer{
		authenticator: group.NewAuthenticatedGroupAdder(bearertoken.New(token)),
		apiAudiences:  apiAudiences,
	}
}

func (r *tokenReviewer) check(ctx context.Context, review *authenticationv1.TokenReview) error {
	if namespace := genericapirequest.NamespaceValue(ctx); namespace != "" {
		return apierrors.NewBadRequest("namespace is not allowed on this type: " + namespace)
	}
	if review.Spec.Token == "" {
		return apierrors.NewBadRequest("token is required for TokenReview in authentication")
	}
	return nil
}

func (r *tokenReviewer) answer(ctx context.Context, review *authenticationv1.TokenReview) (*authenticationv1.TokenReview, error) {
	audiences := authenticator.Audiences(review.Spec.Audiences)
	if len(audiences) == 0 {
		audiences = r.apiAudiences
	}
	response, ok, err := r.authenticate(ctx, review.Spec.Token, audiences)
	review.Status.Authenticated = ok
	if err != nil {
		review.Status.Error = refusal(err)
	}
	if response == nil {
		return review, nil
	}
	if len(audiences) > 0 && len(audiences.Intersect(response.Audiences)) == 0 {
		err := errors.New("error validating audiences")
		utilruntime.HandleErrorWithContext(ctx, err, "Reviewing a token", "want", audiences, "got", response.Audiences)
		return nil, apierrors.NewInternalError(err)
	}
	if response.User != nil {
		review.Status.User = userInfo(response.User)
		review.Status.Audiences = response.Audiences
	}
	return review, nil
}

// authenticate puts the token into a request of its own. That request shares
// only the end of the caller's: what an authenticator notes for audit is about
// the caller's token, and must not be said of the reviewed one.
func (r *tokenReviewer) authenticate(ctx context.Context, token string, audiences authenticator.Audiences) (*authenticator.Response, bool, error) {
	own, cancel := context.WithCancel(context.Background())
	defer cancel()
	defer context.AfterFunc(ctx, cancel)()
	if len(audiences) > 0 {
		own = authenticator.WithAudiences(own, audiences)
	}
	request := &http.Request{Header: http.Header{"Authorization": []string{"Bearer " + token}}}
	return r.authenticator.AuthenticateRequest(request.WithContext(own))
}

// refusal is the text for a token that nobody vouches for. Kubernetes asks two
// authenticators of bearer tokens, of which the first, for its own loopback
// client, never knows more than that the token is not valid; an aggregate says
// the same thing once.
func refusal(err error) string {
	return utilerrors.NewAggregate([]error{errors.New("invalid bearer token"), err}).Error()
}

func userInfo(u user.Info) authenticationv1.UserInfo {
	info := authenticationv1.UserInfo{
		Username: u.GetName(),
		UID:      u.GetUID(),
		Groups:   u.GetGroups(),
		Extra:    make(map[string]authenticationv1.ExtraValue, len(u.GetExtra())),
	}
	for key, values := range u.GetExtra() {
		info.Extra[key] = values
	}
	return info
}

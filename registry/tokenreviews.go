// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"errors"
	"slices"
	"strings"
	"unicode"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/apiserver/pkg/authentication/authenticator"
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
			reviewer := newTokenReviewer(services.TokenAuthenticator, services.APIAudiences)
			reviewer.explanations = explanations{explainer: services.TokenExplainer, authorizer: services.Authorizer}
			return reviewer, nil
		},
	}
}

// tokenReviewer tells whose a token is, by the same steps that a request with
// that token goes through (Kubernetes: pkg/registry/authentication/tokenreview).
type tokenReviewer struct {
	token        authenticator.Token
	apiAudiences authenticator.Audiences
	explanations explanations
}

func newTokenReviewer(token authenticator.Token, apiAudiences authenticator.Audiences) *tokenReviewer {
	return &tokenReviewer{token: token, apiAudiences: apiAudiences}
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
	r.explanations.add(ctx, review, audiences)
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

// authenticate asks about the token as if it had come in a header. What an
// authenticator notes for audit is about the caller's token, and must not be said
// of the reviewed one: it sees the end of the caller's context, and no more.
func (r *tokenReviewer) authenticate(ctx context.Context, token string, audiences authenticator.Audiences) (*authenticator.Response, bool, error) {
	token, ok := inHeader(token)
	if !ok {
		return nil, false, nil // no attempt, as without a header
	}
	response, ok, err := r.token.AuthenticateToken(reviewedContext(ctx, audiences), token)
	if !ok && err == nil {
		err = errInvalidToken
	}
	if !ok || err != nil {
		return nil, false, err
	}
	return authenticated(response), true, nil
}

// reviewedContext is that of the check of a reviewed token.
func reviewedContext(ctx context.Context, audiences authenticator.Audiences) context.Context {
	own := context.Context(ending{ctx})
	if len(audiences) == 0 {
		return own
	}
	return authenticator.WithAudiences(own, audiences)
}

// ending is a context without values.
type ending struct{ context.Context }

// Value is nil.
func (ending) Value(any) any { return nil }

// errInvalidToken is that of k8s.io/apiserver/pkg/authentication/request/bearertoken.
var errInvalidToken = errors.New("invalid bearer token")

// inHeader is what is left of a token on its way through the header
// "Authorization: Bearer TOKEN": a space ends it.
func inHeader(token string) (string, bool) {
	token, _, _ = strings.Cut(strings.TrimRightFunc(token, unicode.IsSpace), " ")
	return token, token != ""
}

// authenticated is the response with the group of all who are authenticated
// (k8s.io/apiserver/pkg/authentication/group).
func authenticated(response *authenticator.Response) *authenticator.Response {
	u := response.User
	if u == nil || u.GetName() == user.Anonymous {
		return response
	}
	for _, group := range u.GetGroups() {
		if group == user.AllAuthenticated || group == user.AllUnauthenticated {
			return response
		}
	}
	with := *response
	with.User = &user.DefaultInfo{
		Name: u.GetName(), UID: u.GetUID(), Extra: u.GetExtra(),
		Groups: slices.Concat(u.GetGroups(), []string{user.AllAuthenticated}),
	}
	return &with
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
	}
	extra := u.GetExtra()
	info.Extra = make(map[string]authenticationv1.ExtraValue, len(extra))
	for key, values := range extra {
		info.Extra[key] = values
	}
	return info
}

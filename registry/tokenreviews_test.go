// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
)

// reviewedTokens knows the tokens good (for audiences a and api), stale and
// odd (an authenticator that ignores audiences).
type reviewedTokens struct{}

func (reviewedTokens) AuthenticateToken(ctx context.Context, token string) (*authenticator.Response, bool, error) {
	holder := &user.DefaultInfo{Name: "system:serviceaccount:dev:bot", UID: "u1", Groups: []string{"system:serviceaccounts"}, Extra: map[string][]string{"x/y": {"z"}}}
	switch token {
	case "good":
		wanted, _ := authenticator.AudiencesFrom(ctx)
		audiences := authenticator.Audiences{"a", "api"}.Intersect(wanted)
		if len(audiences) == 0 {
			return nil, false, errors.New("token audiences [\"a\" \"api\"] is invalid for the target audiences [\"b\"]")
		}
		return &authenticator.Response{Audiences: audiences, User: holder}, true, nil
	case "odd":
		return &authenticator.Response{Audiences: authenticator.Audiences{"elsewhere"}, User: holder}, true, nil
	case "stale":
		return nil, false, errors.New("service account token has expired")
	default:
		return nil, false, nil
	}
}

func reviewToken(ctx context.Context, token string, audiences ...string) (*authenticationv1.TokenReview, error) {
	reviewer := newTokenReviewer(reviewedTokens{}, authenticator.Audiences{"api"})
	review := &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token, Audiences: audiences}}
	if err := reviewer.check(ctx, review); err != nil {
		return nil, err
	}
	return reviewer.answer(ctx, review)
}

func TestTokenReviewTellsWhoseATokenIs(t *testing.T) {
	t.Parallel()
	bot := authenticationv1.UserInfo{
		Username: "system:serviceaccount:dev:bot", UID: "u1",
		Groups: []string{"system:serviceaccounts", "system:authenticated"},
		Extra:  map[string]authenticationv1.ExtraValue{"x/y": {"z"}},
	}
	for name, test := range map[string]struct {
		token     string
		audiences []string
		want      authenticationv1.TokenReviewStatus
	}{
		"for the API by default":          {"good", nil, authenticationv1.TokenReviewStatus{Authenticated: true, User: bot, Audiences: []string{"api"}}},
		"for one of the named audiences":  {"good", []string{"a", "b"}, authenticationv1.TokenReviewStatus{Authenticated: true, User: bot, Audiences: []string{"a"}}},
		"for none of the named audiences": {"good", []string{"b"}, authenticationv1.TokenReviewStatus{Error: "[invalid bearer token, token audiences [\"a\" \"api\"] is invalid for the target audiences [\"b\"]]"}},
		"known and refused":               {"stale", nil, authenticationv1.TokenReviewStatus{Error: "[invalid bearer token, service account token has expired]"}},
		"known to nobody":                 {"other", nil, authenticationv1.TokenReviewStatus{Error: "invalid bearer token"}},
		"nothing but space":               {" ", nil, authenticationv1.TokenReviewStatus{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := reviewToken(reviewContext(t, ""), test.token, test.audiences...)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got.Status); diff != "" {
				t.Error(diff)
			}
			if got.Spec.Token != test.token {
				t.Error("the spec is not echoed")
			}
		})
	}
}

func TestTokenReviewRefusesWhatItCannotAnswer(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		namespace, token, want string
	}{
		"no token":        {"", "", "token is required for TokenReview in authentication"},
		"a namespace":     {"dev", "good", "namespace is not allowed on this type: dev"},
		"wrong audiences": {"", "odd", "Internal error occurred: error validating audiences"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := reviewToken(reviewContext(t, test.namespace), test.token)
			if err == nil || err.Error() != test.want {
				t.Errorf("error %v, want %q", err, test.want)
			}
		})
	}
}

func TestTokenReviewSharesOnlyTheEndOfItsRequest(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(reviewContext(t, ""))
	reviewer := newTokenReviewer(authenticator.TokenFunc(func(inner context.Context, _ string) (*authenticator.Response, bool, error) {
		if _, ok := genericapirequest.UserFrom(inner); ok {
			t.Error("the caller is in the context of the reviewed token")
		}
		cancel()
		select {
		case <-inner.Done():
			return nil, false, inner.Err()
		case <-time.After(10 * time.Second):
			return nil, false, errors.New("the end of the request was not heard of")
		}
	}), nil)
	got, err := reviewer.answer(ctx, &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: "t"}})
	if err != nil {
		t.Fatal(err)
	}
	if want := "[invalid bearer token, context canceled]"; got.Status.Error != want {
		t.Errorf("status.error %q, want %q", got.Status.Error, want)
	}
}

func TestSelfSubjectReviewTellsCallersWhoTheyAre(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	got, err := selfSubjectReviewer{now: func() time.Time { return now }}.answer(reviewContext(t, ""), &authenticationv1.SelfSubjectReview{})
	if err != nil {
		t.Fatal(err)
	}
	want := &authenticationv1.SelfSubjectReview{
		ObjectMeta: metav1.ObjectMeta{CreationTimestamp: metav1.NewTime(now)},
		Status: authenticationv1.SelfSubjectReviewStatus{UserInfo: authenticationv1.UserInfo{
			Username: "ann", UID: "7", Groups: []string{"g"}, Extra: map[string]authenticationv1.ExtraValue{"k": {"v"}},
		}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if err := (selfSubjectReviewer{}).check(t.Context(), nil); !apierrors.IsBadRequest(err) {
		t.Errorf("without a user: %v", err)
	}
}

func TestTokenReviewDoesNotWriteToTheAuthenticatorsUser(t *testing.T) {
	t.Parallel()
	groups := slices.Grow([]string{"system:serviceaccounts"}, 1)
	shared := &user.DefaultInfo{Name: "bot", Groups: groups}
	reviewer := newTokenReviewer(authenticator.TokenFunc(func(context.Context, string) (*authenticator.Response, bool, error) {
		return &authenticator.Response{User: shared}, true, nil
	}), nil)
	if _, err := reviewer.answer(reviewContext(t, ""), &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: "t"}}); err != nil {
		t.Fatal(err)
	}
	if got := groups[:2]; got[1] != "" {
		t.Errorf("wrote %q into the array of a user that others read", got[1])
	}
}

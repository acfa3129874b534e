// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
)

func selfSubjectReviews() Resource {
	return &review[*authenticationv1.SelfSubjectReview]{
		groupVersion: authenticationv1.SchemeGroupVersion,
		kind:         "SelfSubjectReview", plural: "selfsubjectreviews", singular: "selfsubjectreview",
		newObject: func() *authenticationv1.SelfSubjectReview { return &authenticationv1.SelfSubjectReview{} },
		reviewer: func(Services) (reviewer[*authenticationv1.SelfSubjectReview], error) {
			return selfSubjectReviewer{now: time.Now}, nil
		},
	}
}

// selfSubjectReviewer tells callers who they are, after impersonation.
type selfSubjectReviewer struct {
	now func() time.Time
}

func (selfSubjectReviewer) check(ctx context.Context, _ *authenticationv1.SelfSubjectReview) error {
	_, err := callerOf(ctx)
	return err
}

func (r selfSubjectReviewer) answer(ctx context.Context, _ *authenticationv1.SelfSubjectReview) (*authenticationv1.SelfSubjectReview, error) {
	caller, err := callerOf(ctx)
	if err != nil {
		return nil, err
	}
	return &authenticationv1.SelfSubjectReview{
		ObjectMeta: metav1.ObjectMeta{CreationTimestamp: metav1.NewTime(r.now())},
		Status:     authenticationv1.SelfSubjectReviewStatus{UserInfo: userInfo(caller)},
	}, nil
}

// callerOf is the user whose request it is.
func callerOf(ctx context.Context) (user.Info, error) {
	caller, ok := genericapirequest.UserFrom(ctx)
	if !ok {
		return nil, apierrors.NewBadRequest("no user present on request")
	}
	return caller, nil
}

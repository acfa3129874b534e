// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"errors"
	"fmt"

	authenticationv1 "k8s.io/api/authentication/v1"
	authenticationv1beta1 "k8s.io/api/authentication/v1beta1"
	"k8s.io/apimachinery/pkg/runtime"
)

// tokenReviewsV1beta1 answers in the words of v1beta1, which kube-apiserver speaks
// to its token webhook unless it is told otherwise. Kubernetes itself serves that
// version no more.
func tokenReviewsV1beta1() Resource {
	reviews := newTokenReviews()
	reviews.groupVersion = authenticationv1beta1.SchemeGroupVersion
	return reviews
}

// registerTokenReviewConversions teaches the scheme to turn the reviews of
// v1beta1 into those of v1, which are answered, and back.
func registerTokenReviewConversions(scheme *runtime.Scheme) error {
	if err := errors.Join(addConversion(scheme, tokenReviewToV1beta1), addConversion(scheme, tokenReviewFromV1beta1)); err != nil {
		return fmt.Errorf("registering the conversions of token reviews: %w", err)
	}
	return nil
}

func tokenReviewToV1beta1(in *authenticationv1.TokenReview, out *authenticationv1beta1.TokenReview) {
	out.ObjectMeta = in.ObjectMeta
	out.Spec = authenticationv1beta1.TokenReviewSpec(in.Spec)
	out.Status = authenticationv1beta1.TokenReviewStatus{
		Authenticated: in.Status.Authenticated,
		User: authenticationv1beta1.UserInfo{
			Username: in.Status.User.Username, UID: in.Status.User.UID, Groups: in.Status.User.Groups,
			Extra: convertExtra[authenticationv1beta1.ExtraValue](in.Status.User.Extra),
		},
		Audiences: in.Status.Audiences,
		Error:     in.Status.Error,
	}
}

func tokenReviewFromV1beta1(in *authenticationv1beta1.TokenReview, out *authenticationv1.TokenReview) {
	out.ObjectMeta = in.ObjectMeta
	out.Spec = authenticationv1.TokenReviewSpec(in.Spec)
	out.Status = authenticationv1.TokenReviewStatus{
		Authenticated: in.Status.Authenticated,
		User: authenticationv1.UserInfo{
			Username: in.Status.User.Username, UID: in.Status.User.UID, Groups: in.Status.User.Groups,
			Extra: convertExtra[authenticationv1.ExtraValue](in.Status.User.Extra),
		},
		Audiences: in.Status.Audiences,
		Error:     in.Status.Error,
	}
}

func convertExtra[To, From ~[]string](in map[string]From) map[string]To {
	if in == nil {
		return nil
	}
	out := make(map[string]To, len(in))
	for key, values := range in {
		out[key] = To(values)
	}
	return out
}

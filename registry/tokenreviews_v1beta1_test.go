// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	authenticationv1beta1 "k8s.io/api/authentication/v1beta1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestATokenReviewSaysTheSameInBothVersions(t *testing.T) {
	t.Parallel()
	scheme, err := NewScheme(Table())
	if err != nil {
		t.Fatal(err)
	}
	full := authenticationv1.TokenReview{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"a": "b"}},
		Spec:       authenticationv1.TokenReviewSpec{Token: "t", Audiences: []string{"a"}},
		Status: authenticationv1.TokenReviewStatus{
			Authenticated: true, Audiences: []string{"a"}, Error: "e",
			User: authenticationv1.UserInfo{Username: "u", UID: "7", Groups: []string{"g"}, Extra: map[string]authenticationv1.ExtraValue{"k": {"v", "w"}}},
		},
	}
	for name, review := range map[string]authenticationv1.TokenReview{"full": full, "empty": {}} {
		var beta authenticationv1beta1.TokenReview
		if err := scheme.Convert(&review, &beta, nil); err != nil {
			t.Fatal(err)
		}
		one, _ := json.Marshal(review)
		other, _ := json.Marshal(beta)
		if diff := cmp.Diff(string(one), string(other)); diff != "" {
			t.Errorf("%s, in v1beta1 (-v1 +v1beta1):\n%s", name, diff)
		}
		var back authenticationv1.TokenReview
		if err := scheme.Convert(&beta, &back, nil); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(review, back); diff != "" {
			t.Errorf("%s, and back (-want +got):\n%s", name, diff)
		}
	}
}

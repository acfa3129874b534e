// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// tokenReviews is TokenReview and SelfSubjectReview (Kubernetes:
// pkg/registry/authentication).
func tokenReviews() []test {
	return []test{
		{"a good token is told by its account and what it is bound to", reviewOfGoodToken},
		{"a bad token is told as such, with the reason", reviewOfBadTokens},
		{"a token is good for those audiences alone that it names", audiencesOfReviews},
		{"a review that is not right is turned away", refusedReviews},
		{"only whom RBAC lets may review", rightToReview},
		{"everybody with a name learns it", selfReviews},
		{"whoever has no name learns nothing", selfReviewOfNobody},
	}
}

const reviewsPath = "/apis/authentication.k8s.io/v1/tokenreviews"

func reviewOfGoodToken(e *env) {
	account := e.account("a")
	node := e.node()
	pod := e.pod("p", "a", on(node.Name))
	issued := e.issue("a", authenticationv1.TokenRequestSpec{BoundObjectRef: to("Pod", pod)})
	claims := e.claims(issued.Status.Token)
	want := authenticationv1.TokenReviewStatus{
		Authenticated: true,
		Audiences:     claims.Aud,
		User: authenticationv1.UserInfo{
			Username: "system:serviceaccount:" + e.ns + ":a",
			UID:      string(account.UID),
			Groups:   []string{"system:serviceaccounts", "system:serviceaccounts:" + e.ns, "system:authenticated"},
			Extra: map[string]authenticationv1.ExtraValue{
				"authentication.kubernetes.io/credential-id": {"JTI=" + claims.Jti},
				"authentication.kubernetes.io/node-name":     {node.Name},
				"authentication.kubernetes.io/node-uid":      {string(node.UID)},
				"authentication.kubernetes.io/pod-name":      {"p"},
				"authentication.kubernetes.io/pod-uid":       {string(pod.UID)},
			},
		},
	}
	for range 2 { // the second answer may come from what the server remembers
		if diff := cmp.Diff(want, e.review(issued.Status.Token)); diff != "" {
			e.Errorf("status (-want +got):\n%s", diff)
		}
	}
}

func reviewOfBadTokens(e *env) {
	e.account("a")
	good := e.token("a")
	parts := strings.Split(good, ".")
	unsigned := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + parts[1] + "."
	foreign := parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"iss":"https://elsewhere.example","sub":"system:serviceaccount:a:b"}`)) + "." + parts[2]
	mixed := parts[0] + "." + strings.Split(e.token("default"), ".")[1] + "." + parts[2]
	elsewhere := e.issue("a", authenticationv1.TokenRequestSpec{Audiences: []string{"db"}}).Status.Token
	var told strings.Builder
	for _, bad := range []struct{ what, token string }{
		{"no token at all", "nonsense"},
		{"three parts of nothing", "a.b.c"},
		{"of another issuer", foreign},
		{"signed for other claims", mixed},
		{"not signed", unsigned},
		{"for another audience", elsewhere},
	} {
		answered := e.do(request{as: e.reviewer(), method: http.MethodPost, path: reviewsPath, body: map[string]any{
			"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": map[string]string{"token": bad.token},
		}}).want(e, http.StatusCreated)
		var review struct {
			Spec   struct{ Token string }
			Status json.RawMessage
		}
		answered.into(e, &review)
		if review.Spec.Token != bad.token {
			e.Errorf("a token %s does not come back in the answer", bad.what)
		}
		told.WriteString("# " + bad.what + "\n" + e.steady(string(review.Status), e.claims(good).Iss, "ISSUER") + "\n\n")
	}
	e.pin("bad-tokens.txt", told.String())
}

func audiencesOfReviews(e *env) {
	token := e.issue("default", authenticationv1.TokenRequestSpec{Audiences: []string{"db", "cache"}}).Status.Token
	for _, asked := range []struct{ audiences, want []string }{
		{[]string{"db"}, []string{"db"}},
		{[]string{"mail", "cache"}, []string{"cache"}},
		{[]string{"cache", "db"}, []string{"cache", "db"}},
		{[]string{"mail"}, nil},
		{nil, nil},
	} {
		status := e.review(token, asked.audiences...)
		got := slices.Sorted(slices.Values(status.Audiences))
		if diff := cmp.Diff(asked.want, got); diff != "" || status.Authenticated != (asked.want != nil) {
			e.Errorf("asked for %q: authenticated is %v, audiences (-want +got):\n%s", asked.audiences, status.Authenticated, diff)
		}
	}
}

func refusedReviews(e *env) {
	post := func(what, body string) refused {
		return refused{what, request{method: http.MethodPost, path: reviewsPath, body: body}}
	}
	e.pinRefusals("refusals/reviews.txt", []refused{
		post("without a token", `{"spec":{}}`),
		post("of another kind", `{"apiVersion":"v1","kind":"ConfigMap"}`),
		post("not JSON", `nonsense`),
		{"listed", request{method: http.MethodGet, path: reviewsPath}},
		{"read", request{method: http.MethodGet, path: reviewsPath + "/x"}},
		{"deleted", request{method: http.MethodDelete, path: reviewsPath + "/x"}},
		{"a review of oneself, listed", request{method: http.MethodGet, path: "/apis/authentication.k8s.io/v1/selfsubjectreviews"}},
	})
}

func rightToReview(e *env) {
	e.account("a")
	client := e.clientOf(e.holding(e.token("a")))
	ask := func() error {
		_, err := client.AuthenticationV1().TokenReviews().Create(e.Context(), &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: "x"}}, metav1.CreateOptions{})
		return err
	}
	if err := ask(); !apierrors.IsForbidden(err) {
		e.Fatalf("without a role: got error %v, want Forbidden", err)
	}
	e.bindEverywhere("system:auth-delegator", rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: e.ns, Name: "a"})
	e.await(e.target.ImmediateRBAC, ask)
}

func (e *env) self(client kubernetes.Interface) authenticationv1.UserInfo {
	e.Helper()
	answered, err := client.AuthenticationV1().SelfSubjectReviews().Create(e.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	e.check(err)
	if answered.CreationTimestamp.IsZero() {
		e.Error("the answer does not say when it was given")
	}
	return answered.Status.UserInfo
}

func selfReviews(e *env) {
	account := e.account("a")
	token := e.token("a")
	if diff := cmp.Diff(e.review(token).User, e.self(e.clientOf(e.holding(token)))); diff != "" {
		e.Errorf("what a review says of the account, and what it hears itself (-other +self):\n%s", diff)
	}
	if got, want := e.self(e.clientOf(e.holding(token))).UID, string(account.UID); got != want {
		e.Errorf("the account hears that its UID is %q, want %q", got, want)
	}
	jane := e.acting("jane", "staff")
	jane.Impersonate.UID = "7"
	jane.Impersonate.Extra = map[string][]string{"team": {"blue"}}
	want := authenticationv1.UserInfo{Username: "jane", UID: "7", Groups: []string{"staff", "system:authenticated"}, Extra: map[string]authenticationv1.ExtraValue{"team": {"blue"}}}
	if diff := cmp.Diff(want, e.self(e.clientOf(jane))); diff != "" {
		e.Errorf("in the shoes of jane (-want +got):\n%s", diff)
	}
}

func selfReviewOfNobody(e *env) {
	_, err := e.clientOf(e.anonymous()).AuthenticationV1().SelfSubjectReviews().Create(e.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if !apierrors.IsForbidden(err) {
		e.Errorf("got error %v, want Forbidden", err)
	}
}

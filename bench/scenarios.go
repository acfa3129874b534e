// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// setup is how the systems are started for some of the scenarios.
type setup struct {
	name string
	// sameKey: both sign with the same ES256 key, which is known here, so that
	// tokens can be made that no system has seen. Else each signs as it does by
	// default.
	sameKey bool
	// prepare adds to the world what its scenarios need beside; nil: nothing.
	prepare func(ctx context.Context, w *world) error
}

// scenario is one row of the table.
type scenario struct {
	// name is that of -scenario.
	name, title string
	// request is the i-th thing to ask of a world. What it asks is never asked
	// again where the title says so.
	request func(w *world, i int) (ask, error)
	// status is that of every answer.
	status int
	// check looks at one answer in full.
	check func(body []byte) error
	// jsonOnly: the answer has one form only.
	jsonOnly bool
	// warm is how many requests come before each round and do not count.
	warm int
	// most bounds the requests in a round, where one takes long; 0: nothing does.
	most int
	// target is what Muster's processor time per request is held to.
	target target
}

// inRound is how many requests a round has if it may have n.
func (s scenario) inRound(n int) int {
	if s.most > 0 {
		return min(n, s.most)
	}
	return n
}

// ask is a request that is not yet encoded for a wire.
type ask struct {
	method, path string
	body         runtime.Object // nil: none
	version      schema.GroupVersion
	accept       string // empty: the wire's media type
}

// target bounds Muster's processor time per request. A part that is 0 bounds
// nothing.
type target struct {
	// kubernetes is the part of kube-apiserver's time, without its store.
	kubernetes float64
	// floor is how many times the floor's time, and crypto what may come to it.
	floor  float64
	crypto operation
}

// course is a setup with its scenarios.
type course struct {
	setup     setup
	scenarios []scenario
}

const reviews = "/apis/authentication.k8s.io/v1/tokenreviews"

// courses is the table.
func courses() []course {
	const warm = 200
	return []course{
		{setup{name: "default keys"}, []scenario{
			{
				name: "review-seen", title: "TokenReview, token seen before (2,000 distinct tokens)",
				request: reviewKnown, status: http.StatusCreated, check: authenticated, warm: known,
				target: target{kubernetes: 1. / 5, floor: 1.7},
			},
			{
				name: "token-default", title: "TokenRequest bound to a pod, default keys on both sides",
				request: requestToken, status: http.StatusCreated, check: issued, warm: warm,
				target: target{kubernetes: 1. / 12, floor: 2.5, crypto: signing},
			},
			{
				name: "get", title: "GET of one object, authenticated by a service account token",
				request: get("/api/v1/namespaces/" + namespace + "/configmaps/" + settings), status: http.StatusOK, check: isSettings, warm: warm,
				target: target{kubernetes: 2. / 3},
			},
			{
				name: "jwks", title: "JWKS", jsonOnly: true,
				request: keySet, status: http.StatusOK, check: contains(`"keys":[`), warm: warm,
				target: target{kubernetes: 1. / 2},
			},
			{
				name: "discovery", title: "discovery document", jsonOnly: true,
				request: get("/.well-known/openid-configuration"), status: http.StatusOK, check: contains(`"issuer":`), warm: warm,
				target: target{kubernetes: 1. / 2},
			},
		}},
		{setup{name: "same ES256 key", sameKey: true}, []scenario{
			{
				name: "review-new", title: "TokenReview, token never seen, ES256",
				request: reviewOf((*minter).token), status: http.StatusCreated, check: authenticated, warm: warm,
				target: target{kubernetes: 1. / 4, floor: 2, crypto: verifying},
			},
			{
				name: "review-bad", title: "TokenReview, bad signature",
				request: reviewOf((*minter).forged), status: http.StatusCreated, check: refused, warm: warm,
				target: target{kubernetes: 1. / 3},
			},
			{
				name: "token-es256", title: "TokenRequest bound to a pod, ES256 on both sides",
				request: requestToken, status: http.StatusCreated, check: issued, warm: warm,
				target: target{kubernetes: 1. / 6},
			},
		}},
		{setup{name: "10 role bindings", prepare: bindings(10)}, []scenario{
			{
				name: "access-10", title: "SubjectAccessReview, 10 role bindings in the namespace",
				request: reviewAccess, status: http.StatusCreated, check: notAllowed, warm: warm,
				target: target{kubernetes: 1. / 5},
			},
		}},
		{setup{name: "30,000 role bindings", prepare: bindings(30_000)}, []scenario{
			{
				name: "access-30000", title: "SubjectAccessReview, 30,000 role bindings in the namespace",
				request: reviewAccess, status: http.StatusCreated, check: notAllowed, warm: 50, most: 300,
				target: target{kubernetes: 1. / 50},
			},
		}},
	}
}

func reviewKnown(w *world, i int) (ask, error) {
	return review(w.knownTokens[i%len(w.knownTokens)]), nil
}

// reviewOf asks for a review of a token that is made for it.
func reviewOf(mint func(*minter) (string, error)) func(*world, int) (ask, error) {
	return func(w *world, _ int) (ask, error) {
		token, err := mint(w.minter)
		return review(token), err
	}
}

func review(token string) ask {
	return ask{
		method: http.MethodPost, path: reviews, version: authenticationv1.SchemeGroupVersion,
		body: &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token}},
	}
}

func requestToken(w *world, i int) (ask, error) {
	path := "/api/v1/namespaces/" + namespace + "/serviceaccounts/" + app + "/token"
	return ask{method: http.MethodPost, path: path, version: authenticationv1.SchemeGroupVersion, body: w.tokenRequest(i)}, nil
}

func get(path string) func(*world, int) (ask, error) {
	return func(*world, int) (ask, error) { return ask{method: http.MethodGet, path: path}, nil }
}

func keySet(*world, int) (ask, error) {
	return ask{method: http.MethodGet, path: "/openid/v1/jwks", accept: "application/jwk-set+json"}, nil
}

func authenticated(body []byte) error {
	var answer authenticationv1.TokenReview
	if err := decode(body, &answer); err != nil {
		return err
	}
	want := "system:serviceaccount:" + namespace + ":" + app
	if got := answer.Status.User.Username; !answer.Status.Authenticated || got != want {
		return fmt.Errorf("the token is that of %q (%s), want %q", got, answer.Status.Error, want)
	}
	return nil
}

func refused(body []byte) error {
	var answer authenticationv1.TokenReview
	if err := decode(body, &answer); err != nil {
		return err
	}
	if answer.Status.Authenticated || answer.Status.Error == "" {
		return errors.New("the token is not turned away with an error")
	}
	return nil
}

func issued(body []byte) error {
	var answer authenticationv1.TokenRequest
	if err := decode(body, &answer); err != nil {
		return err
	}
	if answer.Status.Token == "" {
		return errors.New("there is no token in the answer")
	}
	return nil
}

func isSettings(body []byte) error {
	var answer corev1.ConfigMap
	if err := decode(body, &answer); err != nil {
		return err
	}
	if answer.Name != settings || len(answer.Data) == 0 {
		return fmt.Errorf("the answer is the ConfigMap %q with %d entries, want %q", answer.Name, len(answer.Data), settings)
	}
	return nil
}

func contains(part string) func([]byte) error {
	return func(body []byte) error {
		if !strings.Contains(string(body), part) {
			return fmt.Errorf("%q is not in the answer", part)
		}
		return nil
	}
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// tokens is TokenRequest (Kubernetes: pkg/registry/core/serviceaccount/storage/token.go).
func tokens() []test {
	return []test{
		{"a token says whose it is and what it is bound to", claimsOfTokens},
		{"the header of a token names the algorithm and the key", headerOfTokens},
		{"the answer completes the request", answerOfTokenRequest},
		{"a token lives as long as it was asked to", lifeOfTokens},
		{"the default token of a pod lives as the server promises", defaultTokenOfPod},
		{"audiences are taken as they are", audiencesOfTokens},
		{"a reference without a UID means the object that exists", bindingWithoutUID},
		{"a request with unknown fields is answered with a warning", unknownFieldsOfTokenRequest},
		{"a request that is not right is turned away", refusedTokenRequests},
		{"whoever may create tokens of one account may not of another", rightToTokens},
		{"an account that was made anew gives new tokens", tokenOfNewAccount},
	}
}

func tokenPath(e *env, account string) string {
	return "/api/v1/namespaces/" + e.ns + "/serviceaccounts/" + account + "/token"
}

func claimsOfTokens(e *env) {
	e.account("a")
	node := e.node()
	pending, placed, adrift := e.pod("pending", "a"), e.pod("placed", "a", on(node.Name)), e.pod("adrift", "a", on(e.ns+"-gone"))
	secret := e.secret("s")
	own := e.claims(e.token("a")).Iss
	for name, spec := range map[string]authenticationv1.TokenRequestSpec{
		"unbound":      {},
		"audiences":    {Audiences: []string{"https://vault.example", "db"}},
		"pod":          {BoundObjectRef: to("Pod", pending)},
		"pod-on-node":  {BoundObjectRef: to("Pod", placed)},
		"pod-no-node":  {BoundObjectRef: to("Pod", adrift)},
		"secret":       {BoundObjectRef: to("Secret", secret)},
		"node":         {BoundObjectRef: to("Node", node)},
		"any-version":  {BoundObjectRef: &authenticationv1.BoundObjectReference{APIVersion: "v7", Kind: "Pod", Name: "pending"}},
		"ten-minutes":  {ExpirationSeconds: new(int64(600))},
		"several-days": {ExpirationSeconds: new(int64(300000)), BoundObjectRef: to("Pod", placed)},
	} {
		var indented bytes.Buffer
		if json.Indent(&indented, e.part(e.issue("a", spec).Status.Token, 1), "", "  ") != nil {
			e.Fatal("the claims are not in JSON")
		}
		e.pin("claims/"+name+".json", e.steady(indented.String(), own, "ISSUER"))
	}
}

func headerOfTokens(e *env) {
	var header map[string]string
	e.check(json.Unmarshal(e.part(e.token("default"), 0), &header))
	if known := []string{"ES256", "ES384", "ES512", "RS256"}; !slices.Contains(known, header["alg"]) {
		e.Errorf("the token is signed with %q, want one of %q", header["alg"], known)
	}
	if header["kid"] == "" || len(header) != 2 {
		e.Errorf("the header has %d fields and kid %q, want alg and kid alone", len(header), header["kid"])
	}
}

func answerOfTokenRequest(e *env) {
	// Without apiVersion and kind, as by hand.
	got := e.do(request{method: http.MethodPost, path: tokenPath(e, "default"), body: `{"spec":{"audiences":["db"],"expirationSeconds":1200}}`})
	got.want(e, http.StatusCreated)
	var indented bytes.Buffer
	e.check(json.Indent(&indented, got.body, "", "  "))
	e.pin("token-request.json", e.steady(indented.String()))
	var issued authenticationv1.TokenRequest
	got.into(e, &issued)
	claims := e.claims(issued.Status.Token)
	if got, want := issued.Status.ExpirationTimestamp.Unix(), claims.Exp; got != want {
		e.Errorf("the answer says that the token ends at %d, the token says %d", got, want)
	}
}

func lifeOfTokens(e *env) {
	for _, seconds := range []int64{600, 3600, 86400, 1 << 32} {
		before := time.Now().Unix()
		claims := e.claims(e.issue("default", authenticationv1.TokenRequestSpec{ExpirationSeconds: &seconds}).Status.Token)
		if got := claims.Exp - claims.Iat; got != seconds {
			e.Errorf("asked for %d seconds, the token lives %d", seconds, got)
		}
		if claims.Nbf != claims.Iat || claims.Iat < before-1 || claims.Iat > time.Now().Unix()+1 {
			e.Errorf("the token is issued at %d and good from %d on, want both to be now, %d", claims.Iat, claims.Nbf, before)
		}
	}
}

func defaultTokenOfPod(e *env) {
	const asked = 3607
	pod := e.pod("p", "default")
	claims := e.claims(e.issue("default", authenticationv1.TokenRequestSpec{ExpirationSeconds: new(int64(asked)), BoundObjectRef: to("Pod", pod)}).Status.Token)
	life, warnAfter := int64(365*24*60*60), claims.Iat+asked
	if e.target.ExactExpiry {
		life, warnAfter = asked, 0
	}
	if got := claims.Exp - claims.Iat; got != life {
		e.Errorf("the token lives %d seconds, want %d", got, life)
	}
	if got := claims.Kubernetes.WarnAfter; got != warnAfter {
		e.Errorf("the claim warnafter is %d, want %d", got, warnAfter)
	}
}

func audiencesOfTokens(e *env) {
	for _, audiences := range [][]string{{"a"}, {"b", "a"}, {"a", "a"}, {""}} {
		issued := e.issue("default", authenticationv1.TokenRequestSpec{Audiences: audiences})
		if diff := cmp.Diff(audiences, e.claims(issued.Status.Token).Aud); diff != "" {
			e.Errorf("audiences (-want +got):\n%s", diff)
		}
	}
}

func bindingWithoutUID(e *env) {
	pod := e.pod("p", "default")
	ref := to("Pod", pod)
	ref.UID = ""
	status := e.review(e.issue("default", authenticationv1.TokenRequestSpec{BoundObjectRef: ref}).Status.Token)
	if got, want := status.User.Extra["authentication.kubernetes.io/pod-uid"], string(pod.UID); len(got) != 1 || got[0] != want {
		e.Errorf("the token is bound to the pod with UID %q, want %q", got, want)
	}
}

func unknownFieldsOfTokenRequest(e *env) {
	const body = `{"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":{"audience":"db"}}`
	path := tokenPath(e, "default")
	warned := e.do(request{method: http.MethodPost, path: path + "?fieldValidation=Warn", body: body}).want(e, http.StatusCreated)
	if got, want := warned.header.Get("Warning"), `299 - "unknown field \"spec.audience\""`; got != want {
		e.Errorf("the warning is %q, want %q", got, want)
	}
	e.do(request{method: http.MethodPost, path: path + "?fieldValidation=Strict", body: body}).want(e, http.StatusBadRequest)
}

func refusedTokenRequests(e *env) {
	e.account("a")
	pod, secret := e.pod("p", "a"), e.secret("s")
	ask := func(what, account, body string) refused {
		return refused{what, request{method: http.MethodPost, path: tokenPath(e, account), body: body}}
	}
	bind := func(what, account, ref string) refused {
		return ask(what, account, `{"spec":{"boundObjectRef":`+ref+`}}`)
	}
	e.pinRefusals("refusals/tokens.txt", []refused{
		ask("another name than that of the path", "a", `{"metadata":{"name":"b"}}`),
		ask("another namespace than that of the path", "a", `{"metadata":{"namespace":"other"}}`),
		ask("no such account", "none", `{}`),
		ask("a name that no account can have", "No", `{}`),
		{"no such namespace", request{method: http.MethodPost, path: "/api/v1/namespaces/no-such/serviceaccounts/default/token", body: `{}`}},
		ask("another UID than the account's", "a", `{"metadata":{"uid":"11111111-2222-3333-4444-555555555555"}}`),
		ask("a second too short", "a", `{"spec":{"expirationSeconds":599}}`),
		ask("a second too long", "a", `{"spec":{"expirationSeconds":4294967297}}`),
		ask("no time at all", "a", `{"spec":{"expirationSeconds":0}}`),
		ask("attestations without a webhook", "a", `{"spec":{"attestations":{"admissionReviewAPIGroups":["*"]}}}`),
		bind("bound to a missing pod", "a", `{"apiVersion":"v1","kind":"Pod","name":"none"}`),
		bind("bound to another account's pod", "default", `{"apiVersion":"v1","kind":"Pod","name":"p"}`),
		bind("bound to a pod that was made anew", "a", `{"apiVersion":"v1","kind":"Pod","name":"p","uid":"11111111-2222-3333-4444-555555555555"}`),
		bind("bound to a missing secret", "a", `{"apiVersion":"v1","kind":"Secret","name":"none"}`),
		bind("bound to a secret that was made anew", "a", `{"apiVersion":"v1","kind":"Secret","name":"s","uid":"11111111-2222-3333-4444-555555555555"}`),
		bind("bound to a missing node", "a", `{"apiVersion":"v1","kind":"Node","name":"none"}`),
		bind("bound to a config map", "a", `{"apiVersion":"v1","kind":"ConfigMap","name":"x"}`),
		bind("bound to a Pod of another group", "a", `{"apiVersion":"example.com/v1","kind":"Pod","name":"p"}`),
		bind("bound to nothing with a name", "a", `{"apiVersion":"v1","kind":"Pod"}`),
		bind("bound to a reference without a kind", "a", `{"name":"p"}`),
		ask("not JSON", "a", `{`),
		ask("another kind", "a", `{"apiVersion":"v1","kind":"ConfigMap"}`),
		{"read", request{method: http.MethodGet, path: tokenPath(e, "a")}},
		{"written with PUT", request{method: http.MethodPut, path: tokenPath(e, "a"), body: `{}`}},
	}, string(pod.UID), "POD-UID", string(secret.UID), "SECRET-UID")
}

func rightToTokens(e *env) {
	e.account("a")
	e.account("b")
	e.grant("issuers", "issuer", rbacv1.PolicyRule{Verbs: []string{"create"}, APIGroups: []string{""}, Resources: []string{"serviceaccounts/token"}, ResourceNames: []string{"a"}})
	accounts := e.clientOf(e.acting("issuer")).CoreV1().ServiceAccounts(e.ns)
	e.await(e.target.ImmediateRBAC, func() error {
		_, err := accounts.CreateToken(e.Context(), "a", &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
		return err
	})
	_, err := accounts.CreateToken(e.Context(), "b", &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if !apierrors.IsForbidden(err) {
		e.Fatalf("a token of b: got error %v, want Forbidden", err)
	}
	if want := `cannot create resource "serviceaccounts/token" in API group ""`; !strings.Contains(err.Error(), want) {
		e.Errorf("the refusal is %q, want it to say %q", err, want)
	}
}

func tokenOfNewAccount(e *env) {
	old := e.account("a")
	e.check(e.client.CoreV1().ServiceAccounts(e.ns).Delete(e.Context(), "a", metav1.DeleteOptions{}))
	made := e.account("a")
	if made.UID == old.UID {
		e.Fatal("the account has the UID of the one before")
	}
	if got, want := e.review(e.token("a")).User.UID, string(made.UID); got != want {
		e.Errorf("the token is that of the account with UID %q, want %q", got, want)
	}
}

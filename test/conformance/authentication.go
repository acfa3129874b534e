// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"net/http"
	"strings"

	"k8s.io/client-go/rest"
)

// authentication is who gets in at all, and what the others are told
// (Kubernetes: k8s.io/apiserver/pkg/endpoints/filters).
func authentication() []test {
	return []test{
		{"whoever has no credentials sees health and version and nothing else", anonymousCallers},
		{"whoever has bad credentials sees nothing, not even health", badCredentials},
		{"a token counts wherever it may stand in a request", placesOfToken},
		{"whoever may not is told what", forbiddenCallers},
	}
}

func anonymousCallers(e *env) {
	for path, want := range map[string]int{
		"/healthz": 200, "/livez": 200, "/readyz": 200, "/version": 200, "/version/": 200,
		"/": 403, "/api": 403, "/apis": 403, "/api/v1": 403, "/openapi/v2": 403, "/openapi/v3": 403, "/metrics": 403,
		"/.well-known/openid-configuration": 403, "/openid/v1/jwks": 403, "/api/v1/namespaces": 403, "/none": 403,
	} {
		if got := e.do(request{as: e.anonymous(), method: http.MethodGet, path: path}); got.code != want {
			e.Errorf("%s: the answer is %d, want %d", path, got.code, want)
		}
	}
}

func badCredentials(e *env) {
	signed := e.token("default")
	for name, token := range map[string]string{
		"no token at all":              "nonsense",
		"a token with another's claim": signed[:strings.LastIndex(signed, ".")] + ".AAAA",
		"a token without a signature":  signed[:strings.LastIndex(signed, ".")+1],
	} {
		for _, path := range []string{"/healthz", "/version", "/api/v1/namespaces"} {
			got := e.do(request{as: e.holding(token), method: http.MethodGet, path: path})
			if got.code != http.StatusUnauthorized {
				e.Errorf("%s at %s: the answer is %d, want 401", name, path, got.code)
				continue
			}
			if header := got.header.Get("WWW-Authenticate"); header != "" {
				e.Errorf("%s: the answer tells how to authenticate: %q", name, header)
			}
			e.pin("unauthorized.json", string(got.body))
		}
	}
}

func placesOfToken(e *env) {
	token := e.token("default")
	for name, header := range map[string]string{"as usual": "Bearer " + token, "in lower case": "bearer " + token} {
		got := e.do(request{as: e.anonymous(), method: http.MethodGet, path: "/api", header: http.Header{"Authorization": {header}}})
		if got.code != http.StatusOK {
			e.Errorf("%s: the answer is %d, want 200", name, got.code)
		}
	}
	for name, header := range map[string]string{"another scheme": "Basic " + token, "an empty token": "Bearer "} {
		got := e.do(request{as: e.anonymous(), method: http.MethodGet, path: "/api", header: http.Header{"Authorization": {header}}})
		if got.code != http.StatusForbidden { // as if there were no credentials
			e.Errorf("%s: the answer is %d, want 403", name, got.code)
		}
	}
}

func forbiddenCallers(e *env) {
	account := e.holding(e.token("default"))
	in := "/api/v1/namespaces/" + e.ns
	ask := func(what, method, path string, body any) refused {
		return refused{what, request{as: account, method: method, path: path, body: body}}
	}
	asks := []refused{
		ask("read one", http.MethodGet, in+"/secrets/s", nil),
		ask("list", http.MethodGet, in+"/secrets", nil),
		ask("watch", http.MethodGet, in+"/secrets?watch=true", nil),
		ask("list in all namespaces", http.MethodGet, "/api/v1/secrets", nil),
		ask("create", http.MethodPost, in+"/configmaps", `{}`),
		ask("update", http.MethodPut, in+"/configmaps/c", `{}`),
		ask("patch", http.MethodPatch, in+"/configmaps/c", `{}`),
		ask("delete", http.MethodDelete, in+"/configmaps/c", nil),
		ask("delete many", http.MethodDelete, in+"/configmaps", nil),
		ask("a subresource", http.MethodPost, in+"/serviceaccounts/default/token", `{}`),
		ask("another group", http.MethodGet, "/apis/batch/v1/namespaces/"+e.ns+"/jobs", nil),
		ask("what no namespace holds", http.MethodGet, "/api/v1/nodes/n", nil),
		ask("what is no resource", http.MethodGet, "/metrics", nil),
		ask("what does not exist", http.MethodGet, "/none", nil),
		{"somebody else", request{as: impersonating(account, "jane"), method: http.MethodGet, path: "/api"}},
		{"nobody", request{as: e.anonymous(), method: http.MethodGet, path: in + "/secrets"}},
	}
	for _, each := range asks {
		got := e.do(each.request).want(e, http.StatusForbidden)
		if header := got.header.Get("X-Content-Type-Options"); header != "nosniff" {
			e.Errorf("%s: X-Content-Type-Options is %q, want nosniff", each.what, header)
		}
	}
	e.pinRefusals("refusals/forbidden.txt", asks)
}

func impersonating(config *rest.Config, user string) *rest.Config {
	config = rest.CopyConfig(config)
	config.Impersonate.UserName = user
	return config
}

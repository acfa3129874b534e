// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"net/http"
	"net/http/httptest"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/apis/apiserver"

	"github.com/muster-identity/muster/authz"
	"github.com/muster-identity/muster/rbac"
)

// Requests in the name of somebody else have a chain of their own, which is kept until what anybody may do has changed.
func TestAChainForImpersonationLastsAsLongAsThePolicy(t *testing.T) {
	t.Parallel()
	roles := authz.NewRBAC(rbac.NewIndex())
	policy := &apiserver.AuthorizationConfiguration{Authorizers: []apiserver.AuthorizerConfiguration{{Type: authz.TypeRBAC, Name: "rbac"}}}
	chain, err := authz.NewChain(policy, authz.Builtin{RBAC: roles})
	if err != nil {
		t.Fatal(err)
	}
	made, general, special := 0, 0, 0
	i := &impersonations{
		general: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { general++ }),
		edition: chain.Edition,
		build: func() http.Handler {
			made++
			return http.HandlerFunc(func(http.ResponseWriter, *http.Request) { special++ })
		},
	}
	ask := func(header string) {
		request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api", nil)
		if header != "" {
			request.Header.Set(header, "ann")
		}
		i.ServeHTTP(httptest.NewRecorder(), request)
	}
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "r"}}
	for _, step := range []struct {
		name                   string
		act                    func()
		made, general, special int
	}{
		{"a plain request", func() { ask("") }, 0, 1, 0},
		{"one without a user, which is refused on the way", func() { ask("Impersonate-Group") }, 0, 2, 0},
		{"the first in another's name", func() { ask("Impersonate-User") }, 1, 2, 1},
		{"the next", func() { ask("Impersonate-User") }, 1, 2, 2},
		{"after a role was made", func() { roles.Apply(role, false); ask("Impersonate-User") }, 2, 2, 3},
		{"after it was deleted", func() { roles.Apply(role, true); ask("Impersonate-User") }, 3, 2, 4},
		{"after another configuration", func() {
			if err := chain.Replace(policy); err != nil {
				t.Fatal(err)
			}
			ask("Impersonate-User")
		}, 4, 2, 5},
		{"the next again", func() { ask("Impersonate-User") }, 4, 2, 6},
	} {
		step.act()
		if made != step.made || general != step.general || special != step.special {
			t.Errorf("%s: %d chains made, %d requests on the general one and %d on another; want %d, %d, %d",
				step.name, made, general, special, step.made, step.general, step.special)
		}
	}
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"net/http"
	"sync/atomic"

	authenticationv1 "k8s.io/api/authentication/v1"
	genericfeatures "k8s.io/apiserver/pkg/features"
	genericapiserver "k8s.io/apiserver/pkg/server"

	"github.com/muster-identity/muster/authz"
)

// forgetImpersonations has a right to act as somebody else end when it is taken
// away. The handler chain of k8s.io/apiserver remembers for ten seconds who was
// let act as whom in one of the constrained ways.
func (h *house) forgetImpersonations(config *genericapiserver.Config) {
	build := config.BuildHandlerChainFunc
	config.BuildHandlerChainFunc = func(api http.Handler, c *genericapiserver.Config) http.Handler {
		general := build(api, c)
		if !c.FeatureGate.Enabled(genericfeatures.ConstrainedImpersonation) {
			return general
		}
		return &impersonations{general: general, edition: h.authorizer.Edition, build: func() http.Handler { return build(api, c) }}
	}
}

// impersonations answers requests in the name of somebody else by a chain that
// remembers nothing from before the last change of what anybody may do: it is
// made anew after one, which costs less than a request does. What chains share
// (flow control, the audit log, the requests that a shutdown waits for) is in
// their configuration. Without priority and fairness such a chain has a count of
// requests in flight of its own.
type impersonations struct {
	general http.Handler
	edition func() authz.Edition
	build   func() http.Handler
	kept    atomic.Pointer[edited]
}

// edited is the chain for an edition.
type edited struct {
	http.Handler
	edition authz.Edition
}

// ServeHTTP answers.
func (i *impersonations) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get(authenticationv1.ImpersonateUserHeader) == "" {
		i.general.ServeHTTP(w, r)
		return
	}
	i.chain().ServeHTTP(w, r)
}

// chain is that for what anybody may do now. A change that comes after that makes
// no difference: the request began before it.
func (i *impersonations) chain() http.Handler {
	now := i.edition()
	if kept := i.kept.Load(); kept != nil && kept.edition == now {
		return kept
	}
	made := &edited{i.build(), now}
	i.kept.Store(made)
	return made
}

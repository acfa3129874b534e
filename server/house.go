// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"fmt"
	"sync"

	"github.com/google/uuid"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
	"k8s.io/apiserver/pkg/authorization/union"
	genericapiserver "k8s.io/apiserver/pkg/server"

	"github.com/muster-identity/muster/admission/namespacelifecycle"
	"github.com/muster-identity/muster/admission/serviceaccount"
	"github.com/muster-identity/muster/authn"
	"github.com/muster-identity/muster/authz"
	"github.com/muster-identity/muster/issuer"
	"github.com/muster-identity/muster/keyring"
	"github.com/muster-identity/muster/live"
	"github.com/muster-identity/muster/rbac"
)

// house is who decides, and what they read: the live view, the keys, RBAC, the
// check of tokens and the issuer.
type house struct {
	server *Server
	stores stores
	view   *live.View
	rbac   *authz.RBAC
	// authorizer is RBAC behind the members of system:masters, who may all.
	authorizer authorizer.Authorizer
	// keys has no keys before openKeys, which needs the store.
	keys   *keyring.Keyring
	opened keys
	tokens *authn.ServiceAccounts
	issuer *issuer.Issuer

	controllers *worker
	// background are the goroutines that end with the server.
	background sync.WaitGroup
}

func (s *Server) newHouse() (*house, error) {
	h := &house{server: s, stores: stores{}, keys: keyring.New(nil), controllers: newWorker(s)}
	h.rbac = authz.NewRBAC(rbac.NewIndex())
	h.view = live.New(h.stores, h.rbac.Apply)
	var err error
	if h.authorizer, err = union.New(h.authorizers()...); err != nil {
		return nil, fmt.Errorf("making the authorizer: %w", err)
	}
	options := s.Options.ServiceAccounts
	h.tokens = authn.NewServiceAccounts(authn.ServiceAccounts{
		Issuers: options.Issuers, Keys: h.keys, APIAudiences: options.APIAudiences,
		Objects: h.view, Fresh: live.Fresh{View: h.view}, Now: s.Now,
	})
	h.issuer = &issuer.Issuer{
		Objects: h.view, Issuer: options.Issuers[0], APIAudiences: options.APIAudiences,
		MaxExpiration: options.MaxExpiration, ExtendExpiration: options.ExtendExpiration,
		Now: s.Now, NewID: uuid.NewString,
	}
	return h, nil
}

// authorizers are asked in this order; the first that has an opinion counts.
func (h *house) authorizers() []union.NamedAuthorizer {
	all := []union.NamedAuthorizer{
		{AuthorizerName: "privileged-groups", Authorizer: authorizerfactory.NewPrivilegedGroups(user.SystemPrivilegedGroup)},
		{AuthorizerName: "rbac", Authorizer: h.rbac},
	}
	if h.server.Options.ServiceAccounts.DiscoveryAnonymous {
		all = append(all, union.NamedAuthorizer{AuthorizerName: "service-account-discovery", Authorizer: authz.PublicPaths(discoveryPaths())})
	}
	return all
}

// decide puts the deciders into the handler chain.
func (h *house) decide(config *genericapiserver.Config) error {
	options := h.server.Options
	config.Authentication.APIAudiences = options.ServiceAccounts.APIAudiences
	config.Authentication.Authenticator = authn.Chain(config.SecureServing.ClientCA.VerifyOptions, h.tokens, options.AnonymousAuth)
	if options.ServiceAccounts.DiscoveryAnonymous && !options.AnonymousAuth {
		config.Authentication.Authenticator = authn.AnonymousAt(config.Authentication.Authenticator, discoveryPaths()...)
	}
	config.Authorization.Authorizer = h.authorizer
	config.RuleResolver = h.rbac
	config.AdmissionControl = h.admission()
	return nil
}

// admission are the plugins in Kubernetes' order.
func (h *house) admission() admission.Interface {
	return admission.NewChainHandler(
		namespacelifecycle.New(namespaces{h.view}),
		serviceaccount.New(accounts{h.stores}),
	)
}

// wait returns when everything in the background has ended.
func (h *house) wait() { h.background.Wait() }

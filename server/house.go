// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"fmt"
	"sync"

	"github.com/google/uuid"
	auditinternal "k8s.io/apiserver/pkg/apis/audit"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/endpoints/filters"
	"k8s.io/apiserver/pkg/registry/rest"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	"k8s.io/client-go/informers"

	"github.com/muster-identity/muster/authn"
	"github.com/muster-identity/muster/authz"
	"github.com/muster-identity/muster/authz/node"
	"github.com/muster-identity/muster/controller"
	"github.com/muster-identity/muster/issuer"
	"github.com/muster-identity/muster/keyring"
	"github.com/muster-identity/muster/live"
	"github.com/muster-identity/muster/rbac"
	"github.com/muster-identity/muster/rbac/bootstrap"
	"github.com/muster-identity/muster/registry"
	"github.com/muster-identity/muster/server/hotlane"
)

// house is who decides, and what they read: the live view, the keys, RBAC, the
// check of tokens and the issuer.
type house struct {
	server *Server
	stores stores
	// origin is where view gets what it shows, and barrier where those wait
	// who need the newest.
	origin  *origin
	view    *live.View
	barrier *live.Barrier
	rbac    *authz.RBAC
	// authorizer asks RBAC and whoever else is configured.
	authorizer *authz.Chain
	// authorization is the file of its configuration; nil for none. policy is
	// what was read from it first.
	authorization *authorizationFile
	policy        []byte
	// openToAll is set where everybody may do everything (AlwaysAllow).
	openToAll bool
	// keys has no keys before openKeys, which needs the store.
	keys       *keyring.Keyring
	opened     keys
	tokens     *authn.ServiceAccounts
	issuer     *issuer.Issuer
	legacyUses *controller.LegacyTokenUses
	// issued counts certificates, and kept what the controllers do.
	issued *registry.CertificateMetrics
	kept   *controller.Metrics

	// answerers and documents are what the hot lane answers with.
	answerers map[string]rest.Storage
	documents map[string]hotlane.Document
	// authorities sign certificate signing requests.
	authorities *authorities
	// userCAs are the authorities of client certificates.
	userCAs dynamiccertificates.CAContentProvider
	// bearers knows all bearer tokens, not only those of accounts.
	bearers authenticator.Token
	// configuration is the file of other issuers; nil for none.
	configuration *configurationFile

	// decidedBy is what admission plugins of the library read, and standing
	// counts it for those that may rest.
	decidedBy informers.SharedInformerFactory
	standing  []*standing

	controllers *worker
	// ready is closed when the server is.
	ready chan struct{}
	// background are the goroutines that end with the server.
	background sync.WaitGroup
}

func (s *Server) newHouse() (*house, error) {
	h := &house{
		server: s, stores: stores{}, documents: map[string]hotlane.Document{}, keys: keyring.New(nil),
		controllers: newWorker(s), ready: make(chan struct{}), legacyUses: controller.NewLegacyTokenUses(),
		authorities: newAuthorities(s.Now), issued: registry.NewCertificateMetrics(), kept: controller.NewMetrics(),
	}
	client, err := s.newStoreClient()
	if err != nil {
		return nil, err
	}
	h.origin = newOrigin(client)
	s.onClose(h.origin.close)
	h.rbac = authz.NewRBAC(rbac.NewIndex())
	h.view = live.New(h.stores, h.rbac.Apply)
	if s.Options.Gates.WebhookTokens {
		h.view.KeepWebhooks()
	}
	h.barrier = live.NewBarrier(h.view, h.origin)
	if err := h.openChain(); err != nil {
		return nil, err
	}
	options := s.Options.ServiceAccounts
	tokens := authn.ServiceAccounts{
		Issuers: options.Issuers, Keys: h.keys, APIAudiences: options.APIAudiences,
		Objects: h.view, Fresh: live.Fresh{View: h.view}, Revocations: h.view.Revocations(), Now: s.Now,
		DeletionGrace: options.DeletionGrace, SkipLegacyLookup: !options.Lookup,
		Webhooks:  s.Options.Gates.WebhookTokens,
		LegacyUse: func(use authn.LegacyUse) { h.legacyUses.Note(controller.LegacyTokenUse(use)) },
	}
	if options.TokenConsistency == StrictConsistency {
		tokens.Consistency = h.barrier
	}
	h.tokens = authn.NewServiceAccounts(tokens)
	h.issuer = &issuer.Issuer{
		Objects: h.view, Issuer: options.Issuers[0], APIAudiences: options.APIAudiences,
		MaxExpiration: s.maxExpiration(), ExtendExpiration: options.ExtendExpiration, MaxExtended: s.maxExtended(),
		Now: s.Now, NewID: uuid.NewString,
	}
	if s.Options.Gates.WebhookTokens {
		h.issuer.Attesters = h.authorizer
	}
	return h, nil
}

// openChain makes the authorizers. The graph of nodes is kept where somebody asks it.
func (h *house) openChain() error {
	config, data, err := h.server.Options.Authorization.configuration()
	if err != nil {
		return err
	}
	h.openToAll = authz.Has(config, authz.TypeAlwaysAllow)
	builtin := authz.Builtin{RBAC: h.rbac}
	if authz.Has(config, authz.TypeNode) {
		graph := node.NewGraph(h.view)
		h.view.FollowPods(graph.Move)
		builtin.Node = node.New(graph, bootstrap.NodeRules())
	}
	if h.server.Options.ServiceAccounts.DiscoveryAnonymous {
		builtin.Last = authz.PublicPaths(discoveryPaths())
	}
	h.policy = data
	if h.authorizer, err = authz.NewChain(config, builtin); err != nil {
		return fmt.Errorf("making the authorizers: %w", err)
	}
	return nil
}

// decide puts the deciders into the handler chain.
func (h *house) decide(config *genericapiserver.Config) error {
	if err := h.openWays(config); err != nil {
		return err
	}
	if h.server.Options.ServiceAccounts.DiscoveryAnonymous {
		config.Authentication.Authenticator = authn.AnonymousAt(config.Authentication.Authenticator, discoveryPaths()...)
	}
	config.Authorization.Authorizer = h.authorizer
	config.RuleResolver = h.authorizer
	if file := h.server.Options.Authorization.ConfigFile; file != "" {
		h.authorization = newAuthorizationFile(file, h.policy, h.authorizer, config.APIServerID)
	}
	return h.admit(config)
}

// auditing tells whether the event of a request that is not authenticated is
// written down.
func auditing(config *genericapiserver.Config) func(context.Context) bool {
	return func(ctx context.Context) bool {
		if config.AuditBackend == nil || config.AuditPolicyRuleEvaluator == nil {
			return false
		}
		attributes, err := filters.GetAuthorizerAttributes(ctx)
		return err == nil && config.AuditPolicyRuleEvaluator.EvaluatePolicyRule(attributes).Level != auditinternal.LevelNone
	}
}

// wait returns when everything in the background has ended.
func (h *house) wait() { h.background.Wait() }

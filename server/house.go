// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"fmt"
	"sync"

	"github.com/google/uuid"
	"k8s.io/apiserver/pkg/admission"
	auditinternal "k8s.io/apiserver/pkg/apis/audit"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
	"k8s.io/apiserver/pkg/authorization/union"
	"k8s.io/apiserver/pkg/endpoints/filters"
	genericapiserver "k8s.io/apiserver/pkg/server"

	"github.com/muster-identity/muster/admission/namespacelifecycle"
	"github.com/muster-identity/muster/admission/serviceaccount"
	"github.com/muster-identity/muster/authn"
	"github.com/muster-identity/muster/authz"
	"github.com/muster-identity/muster/controller"
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
	keys       *keyring.Keyring
	tokens     *authn.ServiceAccounts
	issuer     *issuer.Issuer
	legacyUses *controller.LegacyTokenUses

	controllers *worker
	// background are the goroutines that end with the server.
	background sync.WaitGroup
}

func (s *Server) newHouse(dir *dataDir) (*house, error) {
	h := &house{server: s, stores: stores{}, controllers: newWorker(s), legacyUses: controller.NewLegacyTokenUses()}
	keys, err := loadKeys(&s.Options.ServiceAccounts, dir)
	if err != nil {
		return nil, err
	}
	h.keys = keys
	h.rbac = authz.NewRBAC(rbac.NewIndex())
	h.view = live.New(h.stores, h.rbac.Apply)
	h.authorizer, err = union.New(
		union.NamedAuthorizer{AuthorizerName: "privileged-groups", Authorizer: authorizerfactory.NewPrivilegedGroups(user.SystemPrivilegedGroup)},
		union.NamedAuthorizer{AuthorizerName: "rbac", Authorizer: h.rbac},
	)
	if err != nil {
		return nil, fmt.Errorf("making the authorizer: %w", err)
	}
	options := s.Options.ServiceAccounts
	h.tokens = authn.NewServiceAccounts(authn.ServiceAccounts{
		Issuers: options.Issuers, Keys: keys, APIAudiences: options.APIAudiences,
		Objects: h.view, Fresh: live.Fresh{View: h.view}, Revocations: h.view.Revocations(), Now: s.Now,
		DeletionGrace: options.DeletionGrace, SkipLegacyLookup: !options.Lookup,
		LegacyUse: func(use authn.LegacyUse) { h.legacyUses.Note(controller.LegacyTokenUse(use)) },
	})
	h.issuer = &issuer.Issuer{
		Objects: h.view, Signer: keys, Issuer: options.Issuers[0], APIAudiences: options.APIAudiences,
		MaxExpiration: options.MaxExpiration, ExtendExpiration: options.ExtendExpiration,
		Now: s.Now, NewID: uuid.NewString,
	}
	return h, nil
}

// loadKeys makes the keyring: the signing key, given or of the data dir, and
// further keys that verify.
func loadKeys(o *ServiceAccountOptions, dir *dataDir) (*keyring.Keyring, error) {
	signer, err := o.givenSigner()
	if err != nil {
		return nil, err
	}
	if signer == nil {
		if signer, err = keyring.LoadOrGenerate(dir.join("pki", "sa.key")); err != nil {
			return nil, err
		}
	}
	others, err := o.givenKeys()
	if err != nil {
		return nil, err
	}
	ring, err := keyring.NewRing(signer, others...)
	if err != nil {
		return nil, fmt.Errorf("service account keys: %w", err)
	}
	return keyring.New(ring), nil
}

// decide puts the deciders into the handler chain.
func (h *house) decide(config *genericapiserver.Config) error {
	options := h.server.Options
	config.Authentication.APIAudiences = options.ServiceAccounts.APIAudiences
	tokens := h.tokens.ForRequests(auditing(config))
	config.Authentication.Authenticator = authn.Chain(config.SecureServing.ClientCA.VerifyOptions, tokens, options.AnonymousAuth)
	config.Authorization.Authorizer = h.authorizer
	config.RuleResolver = h.rbac
	config.AdmissionControl = h.admission()
	return nil
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

// admission are the plugins in Kubernetes' order.
func (h *house) admission() admission.Interface {
	return admission.NewChainHandler(
		namespacelifecycle.New(namespaces{h.view}),
		serviceaccount.New(accounts{h.stores}),
	)
}

// wait returns when everything in the background has ended.
func (h *house) wait() { h.background.Wait() }

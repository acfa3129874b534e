// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"fmt"
	"net/netip"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/muster-identity/muster/admission/namespacelifecycle"
	"github.com/muster-identity/muster/controller"
	"github.com/muster-identity/muster/issuer"
	"github.com/muster-identity/muster/live"
	"github.com/muster-identity/muster/registry"
)

// services are what single resources of the registry need of the house. Where
// the two do not fit, a small adapter below stands between them.
func (h *house) services() (registry.Services, error) {
	options := h.server.Options
	clusterIPs, err := netip.ParsePrefix(options.ServiceClusterIPRange)
	if err != nil {
		return registry.Services{}, fmt.Errorf("--service-cluster-ip-range: %w", err)
	}
	return registry.Services{
		AccessExplainer:    h.rbac,
		AdmissionPolicies:  policyParams{h.stores},
		APIAudiences:       options.ServiceAccounts.APIAudiences,
		Authorizer:         h.authorizer,
		CertificateMetrics: h.issued,
		ClusterIPRange:     clusterIPs.Masked(),
		Escalation:         h.rbac,
		EventTTL:           options.EventTTL,
		NamespaceStarter:   controller.NamespaceStarter{Create: accounts{h.stores}.create},
		Now:                h.server.Now,
		RuleResolver:       h.authorizer,
		TokenAuthenticator: h.bearers,
		TokenExplainer:     h.tokens,
		SigningKeys:        h.opened.shown,
		TokenIssuer:        tokenIssuer{h.issuer},
		TokenLives:         registry.TokenLives{Signed: h.opened.longest, Issued: h.issuer.LongestLife()},
	}, nil
}

// tokenIssuer spells out the issuer's request.
type tokenIssuer struct{ issuer *issuer.Issuer }

// Issue makes a token.
func (t tokenIssuer) Issue(ctx context.Context, namespace, name string, request *authenticationv1.TokenRequest, admit func(context.Context, runtime.Object) error) (*authenticationv1.TokenRequest, error) {
	return t.issuer.Issue(ctx, issuer.Request{Namespace: namespace, Name: name, TokenRequest: request, Admit: admit})
}

// namespaces answers from the live view.
type namespaces struct{ view *live.View }

// Namespace tells whether a namespace exists and whether it ends.
func (n namespaces) Namespace(ctx context.Context, name string) (namespacelifecycle.State, error) {
	namespace, err := n.view.Namespace(ctx, name)
	if apierrors.IsNotFound(err) {
		return namespacelifecycle.State{}, nil
	}
	if err != nil {
		return namespacelifecycle.State{}, err
	}
	terminating := !namespace.DeletedAt.IsZero() || namespace.Phase == corev1.NamespaceTerminating
	return namespacelifecycle.State{Exists: true, Terminating: terminating}, nil
}

// accounts reads and makes service accounts in the store.
type accounts struct{ stores stores }

// Get returns the account as of now.
func (a accounts) Get(ctx context.Context, namespace, name string) (*corev1.ServiceAccount, error) {
	obj, err := a.stores.Get(ctx, corev1.Resource("serviceaccounts"), namespace, name)
	if err != nil {
		return nil, err
	}
	account, ok := obj.(*corev1.ServiceAccount)
	if !ok {
		return nil, fmt.Errorf("reading service account %s/%s: the object is a %T", namespace, name, obj)
	}
	return account, nil
}

func (a accounts) create(ctx context.Context, account *corev1.ServiceAccount) error {
	creater, ok := a.stores[corev1.Resource("serviceaccounts")].(rest.Creater)
	if !ok {
		return fmt.Errorf("service accounts cannot be made")
	}
	_, err := creater.Create(genericapirequest.WithNamespace(ctx, account.Namespace), account, rest.ValidateAllObjectFunc, &metav1.CreateOptions{})
	return err
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package authn

import (
	"fmt"
	"time"

	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/token/cache"
	webhookutil "k8s.io/apiserver/pkg/util/webhook"
	"k8s.io/apiserver/plugin/pkg/authenticator/token/webhook"
)

// Webhook is another service that knows tokens.
type Webhook struct {
	// ConfigFile is a kubeconfig: its server is the service's address, to which
	// TokenReviews are posted as it stands, its user what this server presents.
	ConfigFile string
	// Version of the TokenReviews is v1 or v1beta1.
	Version string
	// CacheTTL is for how long the service's word counts: what it takes back, it
	// has given for that long.
	CacheTTL time.Duration
	// APIAudiences are those of tokens about whose audiences the service is silent.
	APIAudiences authenticator.Audiences
}

// NewWebhook makes the client of a Webhook. It calls nobody yet.
func NewWebhook(w Webhook) (authenticator.Token, error) {
	client, err := webhookutil.LoadKubeconfig(w.ConfigFile, nil)
	if err != nil {
		return nil, fmt.Errorf("reading the kubeconfig of the token webhook: %w", err)
	}
	asking, err := webhook.New(client, w.Version, w.APIAudiences, *webhook.DefaultRetryBackoff())
	if err != nil {
		return nil, fmt.Errorf("making the client of the token webhook: %w", err)
	}
	return cache.New(asking, false, w.CacheTTL, w.CacheTTL), nil
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package authn

import (
	"context"
	"errors"
	"fmt"

	authenticationv1 "k8s.io/api/authentication/v1"

	"github.com/muster-identity/muster/live"
	"github.com/muster-identity/muster/token"
)

var (
	// errWebhooksOff is what Kubernetes says where no webhooks get tokens.
	errWebhooksOff = errors.New(`feature gate "APIServerWebhookAuthenticationToken" is disabled, but token is webhook bound`)
	// errUnattested is what Kubernetes says of a token for webhooks that does not
	// tell what it is for.
	errUnattested = fmt.Errorf("bound object was a webhook config, but %q attestation is missing", authenticationv1.AttestationAdmissionReviewAPIGroups)
)

func boundValidating(k *token.Kubernetes) *token.Ref { return k.ValidatingWebhookConfiguration }

func boundMutating(k *token.Kubernetes) *token.Ref { return k.MutatingWebhookConfiguration }

func boundToWebhook(c check) bool {
	k := &c.claims.Kubernetes
	return boundValidating(k) != nil || boundMutating(k) != nil
}

// checkWebhook tells whether there may be tokens of this kind, before it is
// asked whether the configuration exists.
// Kubernetes: pkg/serviceaccount/claims.go (Validate).
func checkWebhook(_ context.Context, c check) error {
	if !c.Webhooks {
		return errWebhooksOff
	}
	if len(attested(c)) == 0 {
		return errUnattested
	}
	return nil
}

func showWebhook(c check) (wanted, got string) {
	if !c.Webhooks {
		return "no binding to a webhook configuration", "one"
	}
	return "an attestation of API groups", quoted(attested(c))
}

func attested(c check) []string {
	return c.claims.Kubernetes.Attestations[authenticationv1.AttestationAdmissionReviewAPIGroups]
}

// webhookStep is objectStep for a kind of webhook configurations. claim is what
// Kubernetes calls the claim in its error.
func webhookStep(name string, of live.WebhookKind, claim string, bound func(*token.Kubernetes) *token.Ref) step {
	get := func(ctx context.Context, objects Objects, _, name string) (live.Meta, error) {
		config, err := objects.WebhookConfiguration(ctx, of, name)
		return config.Meta, err
	}
	return step{
		name: name, place: placeObjects,
		applies: func(c check) bool { return c.Webhooks && bound(&c.claims.Kubernetes) != nil },
		run: func(ctx context.Context, c check) error {
			return c.checkObject(ctx, string(of), claim, *bound(&c.claims.Kubernetes), get)
		},
		show: func(c check) (wanted, got string) {
			ref := bound(&c.claims.Kubernetes)
			return fmt.Sprintf("%q with UID %q", ref.Name, ref.UID), "the same"
		},
	}
}

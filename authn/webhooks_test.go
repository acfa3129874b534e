// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package authn_test

import (
	"errors"
	"testing"
	"time"

	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/google/go-cmp/cmp"

	"github.com/muster-identity/muster/authn"
	"github.com/muster-identity/muster/live"
	"github.com/muster-identity/muster/token"
)

var hooksRef = token.Ref{Name: "hooks", UID: "hooks-uid"}

// webhookDesk has the feature gate on; its token is for a validating webhook.
func webhookDesk(t *testing.T) (*desk, token.Claims) {
	t.Helper()
	d := newDesk(t, func(s *authn.ServiceAccounts) { s.Webhooks = true })
	g := grant()
	g.Bound = token.ToValidatingWebhook(hooksRef, map[string][]string{"admissionReviewAPIGroups": {"apps.example"}})
	return d, g.Claims()
}

func TestTheHolderOfAWebhooksTokenIsTold(t *testing.T) {
	t.Parallel()
	d, claims := webhookDesk(t)
	response, ok, err := d.AuthenticateToken(t.Context(), d.sign(t, claims))
	if !ok || err != nil {
		t.Fatalf("verdict: %v, %v", ok, err)
	}
	want := &user.DefaultInfo{
		Name: "system:serviceaccount:shop:cart", UID: "cart-uid",
		Groups: []string{"system:serviceaccounts", "system:serviceaccounts:shop", "system:authenticated"},
		Extra: map[string][]string{
			"authentication.kubernetes.io/credential-id":                        {"JTI=6b3d2f7a-52d1-4c5e-9d0a-6f6d3c1c0b52"},
			"authentication.kubernetes.io/validatingwebhookconfiguration-name":  {"hooks"},
			"authentication.kubernetes.io/validatingwebhookconfiguration-uid":   {"hooks-uid"},
			"attestation.authentication.kubernetes.io/admissionReviewAPIGroups": {"apps.example"},
		},
	}
	if diff := cmp.Diff(user.Info(want), plain(response.User)); diff != "" {
		t.Errorf("user differs (-want +got):\n%s", diff)
	}
}

func TestAWebhooksTokenEndsWithItsConfiguration(t *testing.T) {
	t.Parallel()
	const (
		validating = "ValidatingWebhookConfiguration"
		mutating   = "MutatingWebhookConfiguration"
	)
	toMutating := func(c *token.Claims) {
		c.Kubernetes.ValidatingWebhookConfiguration = nil
		c.Kubernetes.MutatingWebhookConfiguration = &token.Ref{Name: "hooks", UID: "mutating-uid"}
	}
	remove := func(kind string) func(*desk) {
		return func(d *desk) { d.memory.remove(kind); d.store.remove(kind) }
	}
	change := func(kind string, change func(*live.Meta)) func(*desk) {
		return func(d *desk) { d.memory.change(kind, change); d.store.change(kind, change) }
	}
	replaced := func(m *live.Meta) { m.UID = "new" }
	tests := map[string]struct {
		claims func(*token.Claims)
		event  func(*desk)
		want   string
	}{
		"nothing happens":                {nil, func(*desk) {}, ""},
		"nothing happens, mutating":      {toMutating, func(*desk) {}, ""},
		"the other kind is deleted":      {nil, remove(mutating), ""},
		"deleted":                        {nil, remove(validating), "service account token has been invalidated"},
		"deleted, mutating":              {toMutating, remove(mutating), "service account token has been invalidated"},
		"replaced":                       {nil, change(validating, replaced), "ValidatingWebhookConfiguration UID (new) does not match service account validating ref claim (hooks-uid)"},
		"replaced, mutating":             {toMutating, change(mutating, replaced), "MutatingWebhookConfiguration UID (new) does not match service account validating ref claim (mutating-uid)"},
		"being deleted":                  {nil, change(validating, func(m *live.Meta) { m.DeletedAt = now.Add(-time.Second) }), "service account token has been invalidated"},
		"the store is away":              {nil, func(d *desk) { d.memory.fail(validating, errors.New("the store is away")) }, "the store is away"},
		"no attestation":                 {func(c *token.Claims) { c.Kubernetes.Attestations = nil }, func(*desk) {}, `bound object was a webhook config, but "admissionReviewAPIGroups" attestation is missing`},
		"no attestation, and is deleted": {func(c *token.Claims) { c.Kubernetes.Attestations = map[string][]string{"x": {"y"}} }, remove(validating), `bound object was a webhook config, but "admissionReviewAPIGroups" attestation is missing`},
		"both kinds, one is deleted": {
			func(c *token.Claims) {
				c.Kubernetes.MutatingWebhookConfiguration = &token.Ref{Name: "hooks", UID: "mutating-uid"}
			},
			remove(mutating), "service account token has been invalidated",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, claims := webhookDesk(t)
			if test.claims != nil {
				test.claims(&claims)
			}
			compact := d.sign(t, claims)
			test.event(d)
			for range 2 { // the second time its signature is known
				if got := d.verdict(t.Context(), compact); got != test.want {
					t.Errorf("verdict: %q, want %q", got, test.want)
				}
			}
		})
	}
}

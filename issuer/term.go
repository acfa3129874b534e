// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package issuer

import (
	"slices"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"

	"github.com/muster-identity/muster/token"
)

const (
	// podSeconds is what the default token volume of a pod asks for. The odd
	// seven seconds are how such a request is told from one that means an hour.
	// Kubernetes: pkg/serviceaccount/claims.go.
	podSeconds = 60*60 + 7
	// webhookSeconds bounds the life of tokens that are bound to webhook
	// configurations: the least that may be asked for.
	webhookSeconds = 10 * 60
	// extended is how long such a token lives if extension is on.
	extended = 365 * 24 * time.Hour
)

// term is for how long a token is granted.
type term struct {
	// seconds is what the caller is told, who shall renew by it.
	seconds int64
	// lifetime is how long the token is good for.
	lifetime time.Duration
	// warnAfter is when a holder of an extended token is late; zero: never.
	warnAfter time.Duration
}

// term is step 8: requests are cut to the maximum, and those that only look
// like a pod's default token and are for the API server alone may be extended.
// A maximum below podSeconds therefore prevents extension; a larger one does
// not bound it, but what the signer will sign does.
func (i *Issuer) term(spec *authenticationv1.TokenRequestSpec, bound token.Binding) term {
	seconds := *spec.ExpirationSeconds
	if longest := int64(i.MaxExpiration / time.Second); longest > 0 {
		seconds = min(seconds, longest)
	}
	asked := time.Duration(seconds) * time.Second
	if i.ExtendExpiration && bound.IsPod() && seconds == podSeconds && i.forAPI(spec.Audiences) {
		return term{seconds: seconds, lifetime: i.extended(), warnAfter: asked}
	}
	return term{seconds: seconds, lifetime: asked}
}

func (i *Issuer) extended() time.Duration {
	if i.MaxExtended > 0 {
		return min(extended, i.MaxExtended)
	}
	return extended
}

// LongestLife is that of the tokens that are issued with these settings.
func (i *Issuer) LongestLife() time.Duration {
	longest := maxSeconds * time.Second
	if i.MaxExpiration > 0 {
		longest = min(longest, i.MaxExpiration)
	}
	if i.ExtendExpiration && longest >= podSeconds*time.Second {
		longest = max(longest, i.extended())
	}
	return longest
}

func (i *Issuer) forAPI(audiences []string) bool {
	return !slices.ContainsFunc(audiences, func(a string) bool {
		return !slices.Contains(i.APIAudiences, a)
	})
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package token

import "encoding/json"

// LegacyIssuer is the issuer of tokens that are kept in Secrets. They have no
// end, no audience and no id.
// Kubernetes: pkg/serviceaccount/legacy.go.
const LegacyIssuer = "kubernetes/serviceaccount"

// legacyPayload is how such a token lays out its claims.
type legacyPayload struct {
	Audience       []string `json:"aud,omitempty"`
	Issuer         string   `json:"iss"`
	Namespace      string   `json:"kubernetes.io/serviceaccount/namespace"`
	Secret         string   `json:"kubernetes.io/serviceaccount/secret.name"`
	ServiceAccount string   `json:"kubernetes.io/serviceaccount/service-account.name"`
	UID            string   `json:"kubernetes.io/serviceaccount/service-account.uid"`
	Subject        string   `json:"sub"`
}

// DecodeLegacy reads the payload of a token that is kept in a Secret. What it
// says stands in the same claims as that of other tokens; the secret has a name
// but no UID, and none at all is a nil Secret. Which claims must be there is
// not its business. It refuses what Decode refuses.
func DecodeLegacy(payload []byte) (*Claims, error) {
	var p legacyPayload
	if !decodeObject(payload, &p) {
		return nil, errClaims
	}
	c := &Claims{
		Audience: p.Audience, Issuer: p.Issuer, Subject: p.Subject,
		Kubernetes: Kubernetes{Namespace: p.Namespace, ServiceAccount: Ref{Name: p.ServiceAccount, UID: p.UID}},
	}
	if p.Secret != "" {
		c.Kubernetes.Secret = &Ref{Name: p.Secret}
	}
	return c, nil
}

// EncodeLegacy is the payload of the token to be kept in the secret that c
// names, as DecodeLegacy reads it.
func (c Claims) EncodeLegacy() ([]byte, error) {
	k := c.Kubernetes
	p := legacyPayload{
		Audience: c.Audience, Issuer: c.Issuer, Subject: c.Subject,
		Namespace: k.Namespace, ServiceAccount: k.ServiceAccount.Name, UID: k.ServiceAccount.UID,
	}
	if k.Secret != nil {
		p.Secret = k.Secret.Name
	}
	return json.Marshal(p)
}

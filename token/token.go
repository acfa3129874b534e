// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

// Package token owns the JWT of a service account: which claims it carries and
// how they are laid out, how a compact token is taken apart, and the rules on
// signature, time and audience that need nothing but the token, a key and a
// clock.
//
// The issuer fills a Grant and signs the Claims that come of it. Whoever
// checks a token (authn) asks Peek whose it is, then Parse, Verify,
// MatchAudiences and ValidateTime, and then looks up the objects that the
// claims name: whether those still exist is not known here. Nothing in this
// package reads a clock, a file or a store, and no value of it changes after
// it was made.
//
// Tokens kept in Secrets (issuer kubernetes/serviceaccount) have another layout
// (DecodeLegacy); Peek names their issuer, so that a caller can tell them apart.
package token

import (
	"encoding/json"
	"errors"
	"time"

	"k8s.io/apiserver/pkg/authentication/serviceaccount"
)

// Claims is the payload of a bound service account token. The order of the
// fields is the order of the keys as Kubernetes emits them: sorted by name, at
// both levels. Times are whole seconds since 1970.
// Kubernetes: pkg/serviceaccount/claims.go; RFC 7519, section 4.1.
type Claims struct {
	// Audience are those the token is meant for. It is always a list.
	Audience []string `json:"aud,omitempty"`
	// Expiry ends the token's life. A token without one is long expired.
	Expiry int64 `json:"exp"`
	// IssuedAt is when the token was made.
	IssuedAt int64 `json:"iat"`
	// Issuer is the URL of the server that made the token.
	Issuer string `json:"iss"`
	// ID is unique to this token; it appears in the audit log of its use.
	ID string `json:"jti,omitempty"`
	// Kubernetes says whose token it is and what it is bound to.
	Kubernetes Kubernetes `json:"kubernetes.io"`
	// NotBefore starts the token's life.
	NotBefore int64 `json:"nbf"`
	// Subject is the username of the account.
	Subject string `json:"sub"`

	// SignedBy is the id of the key that the signature was verified with, as
	// whoever did that notes it. It is no claim: a token may keep quiet about its
	// key, or have none yet.
	SignedBy string `json:"-"`
}

// Kubernetes is the claim "kubernetes.io".
type Kubernetes struct {
	// Attestations come with a binding to a webhook configuration only.
	Attestations map[string][]string `json:"attestations,omitempty"`
	// MutatingWebhookConfiguration is the bound object, if it is one.
	MutatingWebhookConfiguration *Ref `json:"mutatingwebhookconfiguration,omitempty"`
	// Namespace is that of the account, and of the pod or secret.
	Namespace string `json:"namespace,omitempty"`
	// Node is where the bound pod runs; without a pod, it is the bound object.
	Node *Ref `json:"node,omitempty"`
	// Pod is the bound object, if it is a pod.
	Pod *Ref `json:"pod,omitempty"`
	// Secret is the bound object, if it is a secret.
	Secret *Ref `json:"secret,omitempty"`
	// ServiceAccount is the account itself.
	ServiceAccount Ref `json:"serviceaccount"`
	// ValidatingWebhookConfiguration is the bound object, if it is one.
	ValidatingWebhookConfiguration *Ref `json:"validatingwebhookconfiguration,omitempty"`
	// WarnAfter is when the holder should have fetched a new token, if the
	// token lives on for the sake of clients that never do. Zero: no such time.
	WarnAfter int64 `json:"warnafter,omitempty"`
}

// Ref names one object as it existed when the token was made.
type Ref struct {
	Name string `json:"name,omitempty"`
	// UID is empty only for a pod's node that did not exist.
	UID string `json:"uid,omitempty"`
}

// Grant is what an issuer decided on.
type Grant struct {
	// Issuer and ID are the claims iss and jti.
	Issuer, ID string
	// Namespace and ServiceAccount are the account.
	Namespace      string
	ServiceAccount Ref
	// Bound is the object whose end voids the token.
	Bound Binding
	// Audiences are those the token is meant for.
	Audiences []string
	// IssuedAt is when the token's life starts; parts of a second are dropped.
	IssuedAt time.Time
	// Lifetime is how long the token lives, in whole seconds.
	Lifetime time.Duration
	// WarnAfter is how long the holder may use it without being noticed; zero
	// means for all of its life.
	WarnAfter time.Duration
}

// Binding is the one object that a token is bound to. The zero Binding binds
// to nothing but the account.
type Binding struct {
	pod, node, secret, validating, mutating *Ref
	attestations                            map[string][]string
}

// ToPod binds to a pod. The node is where it runs, or nil while it runs nowhere.
func ToPod(pod Ref, node *Ref) Binding { return Binding{pod: &pod, node: node} }

// ToNode binds to a node.
func ToNode(node Ref) Binding { return Binding{node: &node} }

// ToSecret binds to a secret in the account's namespace.
func ToSecret(secret Ref) Binding { return Binding{secret: &secret} }

// ToValidatingWebhook binds to a ValidatingWebhookConfiguration, for a caller
// who may say of the requests that it sends there what is attested.
func ToValidatingWebhook(config Ref, attestations map[string][]string) Binding {
	return Binding{validating: &config, attestations: attestations}
}

// ToMutatingWebhook binds to a MutatingWebhookConfiguration, likewise.
func ToMutatingWebhook(config Ref, attestations map[string][]string) Binding {
	return Binding{mutating: &config, attestations: attestations}
}

// IsPod tells whether the bound object is a pod.
func (b Binding) IsPod() bool { return b.pod != nil }

// IsWebhook tells whether the bound object is a webhook configuration.
func (b Binding) IsWebhook() bool { return b.validating != nil || b.mutating != nil }

// Claims are the claims of the token that carries out the grant.
func (g Grant) Claims() Claims {
	iat := g.IssuedAt.Unix()
	c := Claims{
		Audience:  g.Audiences,
		Expiry:    iat + int64(g.Lifetime/time.Second),
		IssuedAt:  iat,
		Issuer:    g.Issuer,
		ID:        g.ID,
		NotBefore: iat,
		Subject:   serviceaccount.MakeUsername(g.Namespace, g.ServiceAccount.Name),
		Kubernetes: Kubernetes{
			Attestations:                   g.Bound.attestations,
			MutatingWebhookConfiguration:   g.Bound.mutating,
			Namespace:                      g.Namespace,
			Node:                           g.Bound.node,
			Pod:                            g.Bound.pod,
			Secret:                         g.Bound.secret,
			ServiceAccount:                 g.ServiceAccount,
			ValidatingWebhookConfiguration: g.Bound.validating,
		},
	}
	if g.WarnAfter != 0 {
		c.Kubernetes.WarnAfter = iat + int64(g.WarnAfter/time.Second)
	}
	return c
}

// Encode is the payload to be signed.
func (c Claims) Encode() ([]byte, error) {
	return json.Marshal(c)
}

// maxTime is the last second of the year 9999, beyond which times can neither
// be written in RFC 3339 nor be compared safely.
const maxTime = 253402300799

var errClaims = errors.New("service account token claims are malformed")

// Decode reads a payload whose signature has been verified. It refuses a key
// that appears twice, for two readers might then read two different tokens,
// and a time that is not a whole number of seconds from 1970 to 9999. Keys it
// does not know are passed over. Errors quote nothing of the payload.
func Decode(payload []byte) (*Claims, error) {
	if c, ok := plainClaims(payload); ok {
		return c.inTime()
	}
	return parseClaims(payload)
}

func parseClaims(payload []byte) (*Claims, error) {
	c := &Claims{}
	if !decodeObject(payload, c) {
		return nil, errClaims
	}
	return c.inTime()
}

// inTime refuses claims with times that no token has.
func (c *Claims) inTime() (*Claims, error) {
	for _, t := range []int64{c.Expiry, c.IssuedAt, c.NotBefore, c.Kubernetes.WarnAfter} {
		if t < 0 || t > maxTime {
			return nil, errClaims
		}
	}
	return c, nil
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"net/netip"
	"time"

	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authorization/authorizer"
)

// Services are the collaborators that single resources need. Each is declared
// as a small interface in the file of the resource that calls it.
type Services struct {
	// AccessExplainer explains the refusals of access reviews; nil for nobody.
	AccessExplainer AccessExplainer
	// AdmissionPolicies are those that exist; nil for nobody who could tell.
	AdmissionPolicies AdmissionPolicies
	// APIAudiences are the audiences that a reviewed token must have when the
	// review names none.
	APIAudiences authenticator.Audiences
	// Authorizer decides access reviews and the verbs escalate and bind.
	Authorizer authorizer.Authorizer
	// CertificateMetrics count the certificates that are issued; nil counts nothing.
	CertificateMetrics *CertificateMetrics
	// ClusterIPRange is the CIDR that services get their addresses from; the
	// first one is that of the API server. The zero value is 10.0.0.0/24.
	ClusterIPRange netip.Prefix
	// Escalation guards the writes of roles and bindings.
	Escalation Escalation
	// EventTTL is how long events are kept; zero means an hour.
	EventTTL time.Duration
	// NamespaceStarter follows the creation of a namespace; nil means nobody.
	NamespaceStarter NamespaceStarter
	// NodePortRange are the ports that services get on nodes. The zero value is
	// 30000-32767.
	NodePortRange utilnet.PortRange
	// Now is the clock by which a revocation starts; nil means time.Now.
	Now func() time.Time
	// RuleResolver lists what a caller may do, for SelfSubjectRulesReview.
	RuleResolver authorizer.RuleResolver
	// SigningKeys are the keys that sign service account tokens.
	SigningKeys SigningKeys
	// TokenAuthenticator checks the tokens of TokenReviews.
	TokenAuthenticator authenticator.Token
	// TokenExplainer explains what becomes of the tokens of TokenReviews; nil
	// for nobody.
	TokenExplainer TokenExplainer
	// TokenIssuer answers TokenRequests.
	TokenIssuer TokenIssuer
	// TokenLives are what a revocation ends by whose end nobody has told.
	TokenLives TokenLives
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package authn

import (
	"k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/authenticatorfactory"
	"k8s.io/apiserver/pkg/authentication/group"
	"k8s.io/apiserver/pkg/authentication/request/anonymous"
	"k8s.io/apiserver/pkg/authentication/request/bearertoken"
	"k8s.io/apiserver/pkg/authentication/request/headerrequest"
	"k8s.io/apiserver/pkg/authentication/request/union"
	"k8s.io/apiserver/pkg/authentication/request/websocket"
	"k8s.io/apiserver/pkg/authentication/request/x509"
	tokenunion "k8s.io/apiserver/pkg/authentication/token/union"
)

// Ways are the ways in.
type Ways struct {
	// FrontProxy tells whose headers name the user; nil for nobody's.
	FrontProxy *authenticatorfactory.RequestHeaderConfig
	// ClientCAs verifies client certificates.
	ClientCAs x509.VerifyOptionFunc
	// Tokens knows the bearer tokens: see Bearers.
	Tokens authenticator.Token
	// Anonymous lets requests without credentials in.
	Anonymous apiserver.AnonymousAuthConfig
	// APIAudiences are what credentials without audiences are good for.
	APIAudiences authenticator.Audiences
}

// Chain asks for credentials in Kubernetes' order: headers of a front proxy,
// client certificate, bearer token, bearer token of a websocket; the first that
// is good wins, and what the others had to say is one error if none is. Whoever
// has one belongs to system:authenticated. A request without any credentials is
// anonymous, where that is allowed; one with bad credentials is refused.
// Kubernetes: pkg/kubeapiserver/authenticator/config.go.
func Chain(w Ways) authenticator.Request {
	var known []authenticator.Request
	if w.FrontProxy != nil {
		known = append(known, authenticator.WrapAudienceAgnosticRequest(w.APIAudiences, frontProxy(w.FrontProxy)))
	}
	known = append(
		known,
		x509.NewDynamic(w.ClientCAs, x509.CommonNameUserConversion),
		bearertoken.New(w.Tokens),
		websocket.NewProtocolAuthenticator(w.Tokens),
	)
	authenticated := group.NewAuthenticatedGroupAdder(union.New(known...))
	if !w.Anonymous.Enabled {
		return authenticated
	}
	return union.NewFailOnError(authenticated, anonymous.NewAuthenticator(w.Anonymous.Conditions))
}

// frontProxy believes the headers of whoever holds a certificate of the proxy's
// own authority.
func frontProxy(c *authenticatorfactory.RequestHeaderConfig) authenticator.Request {
	return headerrequest.NewDynamicVerifyOptionsSecure(
		c.CAContentProvider.VerifyOptions, c.AllowedClientNames,
		c.UsernameHeaders, c.UIDHeaders, c.GroupHeaders, c.ExtraHeaderPrefixes,
	)
}

// Bearers are those who know bearer tokens; nil is not asked.
type Bearers struct {
	// ServiceAccounts knows the tokens of this server's accounts.
	ServiceAccounts authenticator.Token
	// Bootstrap knows the tokens of Secrets: see BootstrapTokens.
	Bootstrap authenticator.Token
	// JWT knows the tokens of other issuers: see JWTIssuers.
	JWT authenticator.Token
	// Webhook asks another service: see NewWebhook.
	Webhook authenticator.Token
	// APIAudiences are what tokens without audiences are good for.
	APIAudiences authenticator.Audiences
}

// Token asks them in Kubernetes' order, local ones before remote ones; the first
// that vouches for a token wins, and the refusals of all are one error if nobody
// does.
func (b Bearers) Token() authenticator.Token {
	var asked []authenticator.Token
	for _, way := range []struct {
		knows authenticator.Token
		// anyAudience marks those whose tokens have no audience: they are for the API.
		anyAudience bool
	}{
		{b.ServiceAccounts, false},
		{b.Bootstrap, true},
		{b.JWT, true},
		{b.Webhook, false},
	} {
		switch {
		case way.knows == nil:
		case way.anyAudience:
			asked = append(asked, authenticator.WrapAudienceAgnosticToken(b.APIAudiences, way.knows))
		default:
			asked = append(asked, way.knows)
		}
	}
	return tokenunion.New(asked...)
}

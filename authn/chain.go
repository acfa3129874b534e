// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package authn

import (
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/group"
	"k8s.io/apiserver/pkg/authentication/request/anonymous"
	"k8s.io/apiserver/pkg/authentication/request/bearertoken"
	"k8s.io/apiserver/pkg/authentication/request/union"
	"k8s.io/apiserver/pkg/authentication/request/websocket"
	"k8s.io/apiserver/pkg/authentication/request/x509"
)

// Chain asks for credentials in Kubernetes' order: client certificate, bearer
// token, bearer token of a websocket; the first that is good wins. Whoever has
// one belongs to system:authenticated. A request without any credentials is
// anonymous, if that is allowed; one with bad credentials is refused.
func Chain(clientCAs x509.VerifyOptionFunc, tokens authenticator.Token, allowAnonymous bool) authenticator.Request {
	known := group.NewAuthenticatedGroupAdder(union.New(
		x509.NewDynamic(clientCAs, x509.CommonNameUserConversion),
		bearertoken.New(tokens),
		websocket.NewProtocolAuthenticator(tokens),
	))
	if !allowAnonymous {
		return known
	}
	return union.NewFailOnError(known, anonymous.NewAuthenticator(nil))
}

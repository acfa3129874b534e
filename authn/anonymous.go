// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package authn

import (
	"k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/request/anonymous"
	"k8s.io/apiserver/pkg/authentication/request/union"
)

// AnonymousAt lets requests without credentials pass as anonymous at these paths
// and nowhere else; known decides on all others. Bad credentials are refused.
func AnonymousAt(known authenticator.Request, paths ...string) authenticator.Request {
	var conditions []apiserver.AnonymousAuthCondition
	for _, path := range paths {
		conditions = append(conditions, apiserver.AnonymousAuthCondition{Path: path})
	}
	return union.NewFailOnError(known, anonymous.NewAuthenticator(conditions))
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package authz

import (
	"context"
	"strings"

	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/klog/v2"
)

// MayAsSigner tells whether u has a verb (approve, sign, attest) on a signer of
// certificates, by its name or by "domain/*" for all signers of its domain.
// Signers are a resource for this alone; none is stored. An authorizer that fails
// says no. Kubernetes: pkg/certauthorization.
func MayAsSigner(ctx context.Context, a authorizer.UnconditionalAuthorizer, u user.Info, verb, signer string) bool {
	domain, _, _ := strings.Cut(signer, "/")
	for _, name := range []string{signer, domain + "/*"} {
		decision, _, err := a.Authorize(ctx, authorizer.AttributesRecord{
			User: u, Verb: verb, Name: name,
			APIGroup: "certificates.k8s.io", APIVersion: "*", Resource: "signers", ResourceRequest: true,
		})
		if err != nil {
			klog.V(3).InfoS("Asking about a signer", "verb", verb, "signer", name, "err", err)
			continue
		}
		if decision == authorizer.DecisionAllow {
			return true
		}
	}
	return false
}

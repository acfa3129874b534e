// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package token

import (
	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
	"k8s.io/apiserver/pkg/authentication/token/jwt"
	"k8s.io/apiserver/pkg/authentication/user"
)

// User is who the claims speak of: username, UID, groups, and as extra the
// credential id, the pod and the node. It says nothing of whether the claims
// hold.
func (c *Claims) User() user.Info {
	k := c.Kubernetes
	info := serviceaccount.ServiceAccountInfo{
		Namespace:                           k.Namespace,
		Name:                                k.ServiceAccount.Name,
		UID:                                 k.ServiceAccount.UID,
		CredentialID:                        c.CredentialID(),
		AttestationAdmissionReviewAPIGroups: k.Attestations[authenticationv1.AttestationAdmissionReviewAPIGroups],
	}
	info.PodName, info.PodUID = k.Pod.parts()
	info.NodeName, info.NodeUID = k.Node.parts()
	info.ValidatingWebhookConfigurationName, info.ValidatingWebhookConfigurationUID = k.ValidatingWebhookConfiguration.parts()
	info.MutatingWebhookConfigurationName, info.MutatingWebhookConfigurationUID = k.MutatingWebhookConfiguration.parts()
	return info.UserInfo()
}

// CredentialID is how audit logs name the token: JTI=<id>, or empty without one.
func (c *Claims) CredentialID() string {
	return jwt.CredentialIDForJTI(c.ID)
}

func (r *Ref) parts() (name, uid string) {
	if r == nil {
		return "", ""
	}
	return r.Name, r.UID
}

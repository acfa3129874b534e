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

// Extra is that of User, made with few allocations. credentialID is that of
// the claims, for a caller who has it at hand.
func (c *Claims) Extra(credentialID string) map[string][]string {
	k := &c.Kubernetes
	if k.ValidatingWebhookConfiguration != nil || k.MutatingWebhookConfiguration != nil || k.Attestations != nil {
		return c.User().GetExtra()
	}
	const most = 5
	extra, values := make(map[string][]string, most), make([]string, 0, most)
	set := func(key, value string) {
		values = append(values, value)
		extra[key] = values[len(values)-1:]
	}
	if credentialID != "" {
		set(user.CredentialIDKey, credentialID)
	}
	if name, uid := k.Pod.parts(); name != "" && uid != "" {
		set(serviceaccount.PodNameKey, name)
		set(serviceaccount.PodUIDKey, uid)
	}
	if name, uid := k.Node.parts(); name != "" {
		set(serviceaccount.NodeNameKey, name)
		if uid != "" {
			set(serviceaccount.NodeUIDKey, uid)
		}
	}
	if len(extra) == 0 {
		return nil
	}
	return extra
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

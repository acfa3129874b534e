// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

// Package clustertrustbundleattest is the admission plugin that lets those write
// the trust bundles of a signer who have the verb attest on it: whoever writes
// one says which authorities all are to trust for that signer. Bundles without a
// signer are RBAC's affair alone. Kubernetes:
// plugin/pkg/admission/certificates/ctbattest.
package clustertrustbundleattest

import (
	"context"
	"fmt"

	certificatesv1 "k8s.io/api/certificates/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"github.com/muster-identity/muster/authz"
)

// Name is what the plugin is called in flags, as in Kubernetes.
const Name = "ClusterTrustBundleAttest"

// Plugin is the admission plugin. Make one with New.
type Plugin struct {
	*admission.Handler
	authorizer authorizer.UnconditionalAuthorizer
}

var _ admission.ValidationInterface = &Plugin{}

// New makes a plugin that asks a who may attest.
func New(a authorizer.UnconditionalAuthorizer) *Plugin {
	return &Plugin{Handler: admission.NewHandler(admission.Create, admission.Update), authorizer: a}
}

// Validate refuses a bundle of a signer for which the caller does not speak. The
// signer of a bundle does not change, so that the new one will do.
func (p *Plugin) Validate(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	if a.GetResource().GroupResource() != certificatesv1.Resource("clustertrustbundles") {
		return nil
	}
	bundle, ok := a.GetObject().(*certificatesv1.ClusterTrustBundle)
	if !ok {
		return admission.NewForbidden(a, fmt.Errorf("expected type ClusterTrustBundle, got: %T", a.GetObject()))
	}
	if bundle.Spec.SignerName == "" || onlyForCollector(a, bundle) {
		return nil
	}
	if !authz.MayAsSigner(ctx, p.authorizer, a.GetUserInfo(), "attest", bundle.Spec.SignerName) {
		return admission.NewForbidden(a, fmt.Errorf("user not permitted to attest for signerName %q", bundle.Spec.SignerName))
	}
	return nil
}

// onlyForCollector tells whether an update changes nothing but what garbage
// collection and the move to another storage version write.
func onlyForCollector(a admission.Attributes, bundle *certificatesv1.ClusterTrustBundle) bool {
	old, ok := a.GetOldObject().(*certificatesv1.ClusterTrustBundle)
	if a.GetOperation() != admission.Update || !ok {
		return false
	}
	masked := bundle.DeepCopy()
	masked.TypeMeta = old.TypeMeta
	masked.OwnerReferences, masked.Finalizers = old.OwnerReferences, old.Finalizers
	masked.ManagedFields = old.ManagedFields
	masked.SetSelfLink(old.GetSelfLink())
	return equality.Semantic.DeepEqual(masked, old)
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

// Package certificateapproval is the admission plugin that lets those approve and
// deny certificate signing requests who have the verb approve on the signer that
// the request is for. The right to update the approval as such is RBAC's affair,
// and comes before. Kubernetes: plugin/pkg/admission/certificates/approval.
package certificateapproval

import (
	"context"
	"fmt"

	certificatesv1 "k8s.io/api/certificates/v1"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"github.com/muster-identity/muster/authz"
)

// Name is what the plugin is called in flags, as in Kubernetes.
const Name = "CertificateApproval"

// Plugin is the admission plugin. Make one with New.
type Plugin struct {
	*admission.Handler
	authorizer authorizer.UnconditionalAuthorizer
}

var _ admission.ValidationInterface = &Plugin{}

// New makes a plugin that asks a who may approve.
func New(a authorizer.UnconditionalAuthorizer) *Plugin {
	return &Plugin{Handler: admission.NewHandler(admission.Update), authorizer: a}
}

// Validate refuses the verdict of somebody who has none on this signer. The
// signer is that of the request as it was: it does not change.
func (p *Plugin) Validate(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	if a.GetSubresource() != "approval" || a.GetResource().GroupResource() != certificatesv1.Resource("certificatesigningrequests") {
		return nil
	}
	request, ok := a.GetOldObject().(*certificatesv1.CertificateSigningRequest)
	if !ok {
		return admission.NewForbidden(a, fmt.Errorf("expected type CertificateSigningRequest, got: %T", a.GetOldObject()))
	}
	if !authz.MayAsSigner(ctx, p.authorizer, a.GetUserInfo(), "approve", request.Spec.SignerName) {
		return admission.NewForbidden(a, fmt.Errorf("user not permitted to approve requests with signerName %q", request.Spec.SignerName))
	}
	return nil
}

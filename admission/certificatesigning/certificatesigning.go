// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

// Package certificatesigning is the admission plugin that lets those sign
// certificate signing requests, and say that they cannot be signed, who have the
// verb sign on the signer that the request is for. The right to update the status
// as such is RBAC's affair, and comes before. Kubernetes:
// plugin/pkg/admission/certificates/signing.
package certificatesigning

import (
	"bytes"
	"context"
	"fmt"

	certificatesv1 "k8s.io/api/certificates/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"github.com/muster-identity/muster/authz"
)

// Name is what the plugin is called in flags, as in Kubernetes.
const Name = "CertificateSigning"

// Plugin is the admission plugin. Make one with New.
type Plugin struct {
	*admission.Handler
	authorizer authorizer.UnconditionalAuthorizer
}

var _ admission.ValidationInterface = &Plugin{}

// New makes a plugin that asks a who may sign.
func New(a authorizer.UnconditionalAuthorizer) *Plugin {
	return &Plugin{Handler: admission.NewHandler(admission.Update), authorizer: a}
}

// Validate refuses the answer of somebody who is not this signer. Who changes
// nothing of an answer is not asked.
func (p *Plugin) Validate(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	if a.GetSubresource() != "status" || a.GetResource().GroupResource() != certificatesv1.Resource("certificatesigningrequests") {
		return nil
	}
	old, ok := a.GetOldObject().(*certificatesv1.CertificateSigningRequest)
	if !ok {
		return admission.NewForbidden(a, fmt.Errorf("expected type CertificateSigningRequest, got: %T", a.GetOldObject()))
	}
	request, ok := a.GetObject().(*certificatesv1.CertificateSigningRequest)
	if !ok {
		return admission.NewForbidden(a, fmt.Errorf("expected type CertificateSigningRequest, got: %T", a.GetObject()))
	}
	now, before := &request.Status, &old.Status
	if bytes.Equal(now.Certificate, before.Certificate) && equality.Semantic.DeepEqual(now.Conditions, before.Conditions) {
		return nil
	}
	if !authz.MayAsSigner(ctx, p.authorizer, a.GetUserInfo(), "sign", old.Spec.SignerName) {
		return admission.NewForbidden(a, fmt.Errorf("user not permitted to sign requests with signerName %q", old.Spec.SignerName))
	}
	return nil
}

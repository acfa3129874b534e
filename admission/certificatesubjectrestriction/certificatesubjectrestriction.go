// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

// Package certificatesubjectrestriction is the admission plugin that keeps people
// from asking for a client certificate of the group system:masters: no role
// limits its members, and a certificate is not taken back. Kubernetes:
// plugin/pkg/admission/certificates/subjectrestriction.
package certificatesubjectrestriction

import (
	"context"
	"fmt"
	"slices"

	certificatesv1 "k8s.io/api/certificates/v1"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/muster-identity/muster/authority"
)

// Name is what the plugin is called in flags, as in Kubernetes.
const Name = "CertificateSubjectRestriction"

// Plugin is the admission plugin. Make one with New.
type Plugin struct {
	*admission.Handler
}

var _ admission.ValidationInterface = &Plugin{}

// New makes a plugin.
func New() *Plugin {
	return &Plugin{Handler: admission.NewHandler(admission.Create)}
}

// Validate refuses a new request for such a certificate.
func (p *Plugin) Validate(_ context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	if a.GetSubresource() != "" || a.GetResource().GroupResource() != certificatesv1.Resource("certificatesigningrequests") {
		return nil
	}
	request, ok := a.GetObject().(*certificatesv1.CertificateSigningRequest)
	if !ok {
		return admission.NewForbidden(a, fmt.Errorf("expected type CertificateSigningRequest, got: %T", a.GetObject()))
	}
	if request.Spec.SignerName != certificatesv1.KubeAPIServerClientSignerName {
		return nil
	}
	parsed, err := authority.ParseRequest(request.Spec.Request)
	if err != nil {
		return admission.NewForbidden(a, fmt.Errorf("failed to parse CSR: %w", err))
	}
	if slices.Contains(parsed.Subject.Organization, user.SystemPrivilegedGroup) {
		return admission.NewForbidden(a, fmt.Errorf("use of %s signer with %s group is not allowed", request.Spec.SignerName, user.SystemPrivilegedGroup))
	}
	return nil
}

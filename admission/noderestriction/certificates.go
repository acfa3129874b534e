// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package noderestriction

import (
	"context"
	"fmt"
	"strings"

	certificatesv1 "k8s.io/api/certificates/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/admission"

	"github.com/muster-identity/muster/authority"
	"github.com/muster-identity/muster/authz/node"
	"github.com/muster-identity/muster/live"
)

// admitCSR lets a node ask for certificates in its own name alone. All else about
// them the signer checks.
func (p *Plugin) admitCSR(_ context.Context, r request) error {
	if r.GetOperation() != admission.Create {
		return nil
	}
	csr, err := object[*certificatesv1.CertificateSigningRequest](r)
	if err != nil {
		return err
	}
	if s := csr.Spec.SignerName; s != certificatesv1.KubeletServingSignerName && s != certificatesv1.KubeAPIServerClientKubeletSignerName {
		return nil
	}
	parsed, err := authority.ParseRequest(csr.Spec.Request)
	if err != nil {
		return r.forbid("unable to parse csr: %w", err)
	}
	if parsed.Subject.CommonName != node.UserPrefix+r.node {
		return r.forbid("can only create a node CSR with CN=system:node:%s", r.node)
	}
	return nil
}

// admitPodCertificateRequest lets a node ask for certificates for its own pods,
// from the signers that the pods name. What another look may set right is no
// refusal, so that the node tries again.
func (p *Plugin) admitPodCertificateRequest(ctx context.Context, r request) error {
	if r.GetOperation() != admission.Create {
		return r.forbid("unexpected operation %v", r.GetOperation())
	}
	if r.GetSubresource() != "" {
		return r.forbid("unexpected subresource %v", r.GetSubresource())
	}
	asked, err := object[*certificatesv1.PodCertificateRequest](r)
	if err != nil {
		return err
	}
	spec := &asked.Spec
	if string(spec.NodeName) != r.node {
		return r.forbid("PodCertificateRequest.Spec.NodeName=%q, which is not the requesting node %q", spec.NodeName, r.node)
	}
	if err := p.checkNode(ctx, r, spec); err != nil {
		return err
	}
	pod, err := p.checkPod(ctx, r, spec)
	if err != nil {
		return err
	}
	if err := p.checkAccount(ctx, r, spec, &pod); err != nil {
		return err
	}
	return p.checkSigner(ctx, r, spec, &pod)
}

func (p *Plugin) checkNode(ctx context.Context, r request, spec *certificatesv1.PodCertificateRequestSpec) error {
	node, err := p.lookups.node(ctx, r.node)
	if err != nil {
		return r.missing("node", r.node, err)
	}
	if node.UID != spec.NodeUID {
		return fmt.Errorf("PodCertificateRequest for pod %q names node UID %q, inconsistent with the running node (%q)", r.in(spec.PodName), spec.NodeUID, node.UID)
	}
	return nil
}

func (p *Plugin) checkPod(ctx context.Context, r request, spec *certificatesv1.PodCertificateRequestSpec) (live.Pod, error) {
	pod, err := p.lookups.pod(ctx, r.GetNamespace(), spec.PodName)
	switch {
	case err != nil:
		return pod, r.missing("pod", r.in(spec.PodName), err)
	case spec.PodUID != pod.UID:
		return pod, fmt.Errorf("PodCertificateRequest for pod %q contains pod UID (%q) which differs from running pod %q", r.in(spec.PodName), spec.PodUID, pod.UID)
	case pod.NodeName != r.node:
		return pod, r.forbid("pod %q is not running on node %q named in the PodCertificateRequest", r.in(spec.PodName), spec.NodeName)
	case pod.Mirror:
		return pod, r.forbid("pod %q is a mirror pod", r.in(spec.PodName))
	}
	return pod, nil
}

func (p *Plugin) checkAccount(ctx context.Context, r request, spec *certificatesv1.PodCertificateRequestSpec, pod *live.Pod) error {
	if spec.ServiceAccountName != pod.ServiceAccount {
		return r.forbid("PodCertificateRequest for pod %q contains serviceAccountName (%q) that differs from running pod (%q)", r.in(spec.PodName), spec.ServiceAccountName, pod.ServiceAccount)
	}
	account, err := p.lookups.account(ctx, r.GetNamespace(), spec.ServiceAccountName)
	if err != nil {
		return r.missing("service account", r.in(spec.ServiceAccountName), err)
	}
	if spec.ServiceAccountUID != account.UID {
		return fmt.Errorf("PodCertificateRequest for pod %q names service account UID %q, which differs from the running service account (%q)", r.in(spec.PodName), spec.ServiceAccountUID, account.UID)
	}
	return nil
}

func (p *Plugin) checkSigner(ctx context.Context, r request, spec *certificatesv1.PodCertificateRequestSpec, pod *live.Pod) error {
	if pod.Refers(live.SignerReference, spec.SignerName) {
		return nil
	}
	// A resource in a rule has no slashes.
	signer := strings.ReplaceAll(spec.SignerName, "/", ":")
	may, err := p.mayRequest(ctx, r, "request-serviceaccounts-podcertificate-signer", signer, spec.ServiceAccountName)
	switch {
	case may:
		return nil
	case err != nil:
		return r.forbid("error authorizing %s to request podcertificaterequests for signer %q: %w", r.GetUserInfo().GetName(), spec.SignerName, err)
	default:
		return r.forbid("pod %q does not mount a podCertificate projected volume for signer %q", r.in(spec.PodName), spec.SignerName)
	}
}

// in names an object of the request's namespace.
func (r request) in(name string) string { return r.GetNamespace() + "/" + name }

// missing is the error for what a request for a certificate names, and that cannot
// be found.
func (r request) missing(kind, name string, err error) error {
	err = fmt.Errorf("while retrieving %s %q named in the PodCertificateRequest: %w", kind, name, err)
	if apierrors.IsNotFound(err) {
		return err
	}
	return admission.NewForbidden(r, err)
}

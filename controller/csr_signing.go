// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	"k8s.io/client-go/util/certificate/csr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/muster-identity/muster/authority"
)

// Signing is who signs certificate signing requests.
type Signing struct {
	// Signers make certificates (PEM), by the name of the signer. Calls may
	// overlap; one that fails is tried again.
	Signers map[string]func(authority.Request) ([]byte, error)
	// Longest is the longest life of a certificate.
	Longest time.Duration
}

// shortestCertificate is the shortest life that a certificate is given.
const shortestCertificate = 10 * time.Minute

// csrSigning signs approved requests for the signers that this server is, or says
// what is wrong with them (Kubernetes: pkg/controller/certificates/signer).
type csrSigning struct {
	client client.Client
	direct client.Client
	Signing
}

func newCSRSigning(c, direct client.Client, signing Signing) *csrSigning {
	return &csrSigning{client: c, direct: direct, Signing: signing}
}

func (s *csrSigning) register(m manager.Manager) error {
	return watching(m, "csr-signing", 2).
		For(&certificatesv1.CertificateSigningRequest{}).
		Complete(ordinary(s))
}

// Reconcile signs a request, or marks it as failed for good.
func (s *csrSigning) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	found := &certificatesv1.CertificateSigningRequest{}
	if err := s.client.Get(ctx, request.NamespacedName, found); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	sign := s.Signers[found.Spec.SignerName]
	if sign == nil || !awaitsSignature(found) {
		return reconcile.Result{}, nil
	}
	parsed, err := authority.ParseRequest(found.Spec.Request)
	if err != nil { // it was read when it was made
		return reconcile.Result{}, reconcile.TerminalError(fmt.Errorf("reading certificate signing request %q: %w", found.Name, err))
	}
	if wrong := checkSignable(found.Spec.SignerName, parsed, found.Spec.Usages); wrong != nil {
		addCondition(found, certificatesv1.CertificateFailed, "SignerValidationFailure", wrong.Error())
		return reconcile.Result{}, s.answer(ctx, found)
	}
	found.Status.Certificate, err = sign(authority.Request{Of: parsed, Usages: found.Spec.Usages, Life: certificateLife(found.Spec.ExpirationSeconds, s.Longest)})
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("signing certificate signing request %q for %s: %w", found.Name, found.Spec.SignerName, err)
	}
	return reconcile.Result{}, s.answer(ctx, found)
}

// answer writes the status. If somebody else has answered meanwhile, their answer
// stands.
func (s *csrSigning) answer(ctx context.Context, found *certificatesv1.CertificateSigningRequest) error {
	if err := s.direct.Status().Update(ctx, found); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("answering certificate signing request %q: %w", found.Name, err)
	}
	return nil
}

// awaitsSignature tells whether a request was approved and not answered.
func awaitsSignature(found *certificatesv1.CertificateSigningRequest) bool {
	approved, _ := verdict(found)
	_, failed := conditionOf(found, certificatesv1.CertificateFailed)
	return approved && !failed && len(found.Status.Certificate) == 0
}

// certificateLife is how long a certificate is good: what the request asks for,
// within limits.
func certificateLife(asked *int32, longest time.Duration) time.Duration {
	if asked == nil {
		return longest
	}
	return min(max(csr.ExpirationSecondsToDuration(*asked), shortestCertificate), longest)
}

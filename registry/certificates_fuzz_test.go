// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"testing"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// What people send is read by parsers of PEM, ASN.1 and X.509: whatever it is, there is an answer. What is taken once is
// taken again, as it is and for a change that changes nothing.
func FuzzCertificateBodies(f *testing.F) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "ann"}}, key)
	if err != nil {
		f.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		f.Fatal(err)
	}
	chain := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate})
	f.Add(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: request}), chain, "example.com/signer", "client auth", int32(3600), int64(0))
	f.Add(request, append(chain, chain...), "kubernetes.io/legacy-unknown", "", int32(-1), int64(1))
	f.Add([]byte("-----BEGIN CERTIFICATE REQUEST-----\n-----END CERTIFICATE REQUEST-----\n"), []byte("x"), "", "any", int32(0), int64(-1))
	f.Fuzz(func(t *testing.T, request, certificates []byte, signer, usage string, seconds int32, at int64) {
		csr := &certificatesv1.CertificateSigningRequest{
			Spec: certificatesv1.CertificateSigningRequestSpec{
				Request: request, SignerName: signer, ExpirationSeconds: &seconds, Usages: []certificatesv1.KeyUsage{certificatesv1.KeyUsage(usage)},
			},
			Status: certificatesv1.CertificateSigningRequestStatus{
				Certificate: certificates,
				Conditions:  []certificatesv1.CertificateSigningRequestCondition{{Type: certificatesv1.RequestConditionType(usage), Status: "True"}},
			},
		}
		errs := validateNewCSR(csr)
		for _, side := range []csrSide{{}, csrStatus(), csrApproval()} {
			if again := side.validate(csr.DeepCopy(), csr); len(errs) == 0 && len(again) > 0 {
				t.Errorf("what was taken is refused: %v", again)
			}
		}
		csrRow(csr)

		when := metav1.NewTime(time.Unix(at, 0))
		pcr := &certificatesv1.PodCertificateRequest{
			Spec: certificatesv1.PodCertificateRequestSpec{SignerName: signer, StubPKCS10Request: request, MaxExpirationSeconds: &seconds, PodName: usage},
			Status: certificatesv1.PodCertificateRequestStatus{
				Conditions:       []metav1.Condition{{Type: "Issued", Status: "True"}},
				CertificateChain: string(certificates), NotBefore: &when, NotAfter: &when, BeginRefreshAt: &when,
			},
		}
		validatePodCertificateRequest(pcr)
		pending := pcr.DeepCopy()
		pending.Status = certificatesv1.PodCertificateRequestStatus{}
		validatePodCertificateStatus(pcr, pending, when.Time)
		podCertificateRequestRow(pcr)

		bundle := &certificatesv1.ClusterTrustBundle{
			ObjectMeta: metav1.ObjectMeta{Name: usage},
			Spec:       certificatesv1.ClusterTrustBundleSpec{SignerName: signer, TrustBundle: string(certificates)},
		}
		validateTrustBundleNames(bundle)
		validateTrustBundleUpdate(bundle, &certificatesv1.ClusterTrustBundle{})
	})
}

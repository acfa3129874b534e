// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	"k8s.io/client-go/util/cert"
)

// short is a life so short that it is not cut by the backdating.
const short = 8 * time.Hour

// Request is what is to be certified.
type Request struct {
	// Of is the request of whoever has the key: its subject, its names and its
	// public key are certified, and no extension that it asks for.
	Of *x509.CertificateRequest
	// Usages are what the certificate is for.
	Usages []certificatesv1.KeyUsage
	// Life is how long it is good, unless the authority ends before.
	Life time.Duration
}

// ParseRequest reads what somebody asks to have certified (PEM, PKCS #10). Whether
// they have the key is for CheckSignature. The texts are those of Kubernetes.
func ParseRequest(data []byte) (*x509.CertificateRequest, error) {
	block, _ := pem.Decode(data)
	if block == nil || block.Type != cert.CertificateRequestBlockType {
		return nil, errors.New("PEM block type must be CERTIFICATE REQUEST")
	}
	return x509.ParseCertificateRequest(block.Bytes)
}

// Sign makes a certificate (PEM). Kubernetes:
// pkg/controller/certificates/authority.
func (a Authority) Sign(r Request, now time.Time) ([]byte, error) {
	if a.Key == nil {
		return nil, errors.New("the authority has no key any more")
	}
	if err := r.Of.CheckSignature(); err != nil {
		return nil, fmt.Errorf("unable to verify certificate request signature: %w", err)
	}
	end := a.Certificate.NotAfter
	if !now.Before(end) {
		return nil, fmt.Errorf("refusing to sign a certificate that expired in the past: NotAfter=%v", end)
	}
	usage, extended, err := usagesOf(r.Usages)
	if err != nil {
		return nil, err
	}
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: r.Of.Subject,
		DNSNames: r.Of.DNSNames, IPAddresses: r.Of.IPAddresses, EmailAddresses: r.Of.EmailAddresses, URIs: r.Of.URIs,
		NotBefore: now.Add(-backdate), NotAfter: expiry(r.Life, now, end),
		KeyUsage: usage, ExtKeyUsage: extended,
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.Certificate, r.Of.PublicKey, a.Key)
	if err != nil {
		return nil, fmt.Errorf("signing a certificate of %q: %w", r.Of.Subject, err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: cert.CertificateBlockType, Bytes: der}), nil
}

// expiry is when a certificate of that life ends: not later than its authority.
func expiry(life time.Duration, now, latest time.Time) time.Time {
	end := now.Add(life)
	if life >= short {
		end = end.Add(-backdate)
	}
	if end.After(latest) {
		return latest
	}
	return end
}

// usagesOf are usages as a certificate has them.
func usagesOf(names []certificatesv1.KeyUsage) (x509.KeyUsage, []x509.ExtKeyUsage, error) {
	var usage x509.KeyUsage
	var extended []x509.ExtKeyUsage
	for _, name := range names {
		if bit, ok := keyUsages()[name]; ok {
			usage |= bit
			continue
		}
		purpose, ok := extendedUsages()[name]
		if !ok {
			return 0, nil, fmt.Errorf("unrecognized usage values: %q", name)
		}
		extended = append(extended, purpose)
	}
	slices.Sort(extended)
	return usage, slices.Compact(extended), nil
}

func keyUsages() map[certificatesv1.KeyUsage]x509.KeyUsage {
	return map[certificatesv1.KeyUsage]x509.KeyUsage{
		certificatesv1.UsageSigning:           x509.KeyUsageDigitalSignature,
		certificatesv1.UsageDigitalSignature:  x509.KeyUsageDigitalSignature,
		certificatesv1.UsageContentCommitment: x509.KeyUsageContentCommitment,
		certificatesv1.UsageKeyEncipherment:   x509.KeyUsageKeyEncipherment,
		certificatesv1.UsageKeyAgreement:      x509.KeyUsageKeyAgreement,
		certificatesv1.UsageDataEncipherment:  x509.KeyUsageDataEncipherment,
		certificatesv1.UsageCertSign:          x509.KeyUsageCertSign,
		certificatesv1.UsageCRLSign:           x509.KeyUsageCRLSign,
		certificatesv1.UsageEncipherOnly:      x509.KeyUsageEncipherOnly,
		certificatesv1.UsageDecipherOnly:      x509.KeyUsageDecipherOnly,
	}
}

func extendedUsages() map[certificatesv1.KeyUsage]x509.ExtKeyUsage {
	return map[certificatesv1.KeyUsage]x509.ExtKeyUsage{
		certificatesv1.UsageAny:             x509.ExtKeyUsageAny,
		certificatesv1.UsageServerAuth:      x509.ExtKeyUsageServerAuth,
		certificatesv1.UsageClientAuth:      x509.ExtKeyUsageClientAuth,
		certificatesv1.UsageCodeSigning:     x509.ExtKeyUsageCodeSigning,
		certificatesv1.UsageEmailProtection: x509.ExtKeyUsageEmailProtection,
		certificatesv1.UsageSMIME:           x509.ExtKeyUsageEmailProtection,
		certificatesv1.UsageIPsecEndSystem:  x509.ExtKeyUsageIPSECEndSystem,
		certificatesv1.UsageIPsecTunnel:     x509.ExtKeyUsageIPSECTunnel,
		certificatesv1.UsageIPsecUser:       x509.ExtKeyUsageIPSECUser,
		certificatesv1.UsageTimestamping:    x509.ExtKeyUsageTimeStamping,
		certificatesv1.UsageOCSPSigning:     x509.ExtKeyUsageOCSPSigning,
		certificatesv1.UsageMicrosoftSGC:    x509.ExtKeyUsageMicrosoftServerGatedCrypto,
		certificatesv1.UsageNetscapeSGC:     x509.ExtKeyUsageNetscapeServerGatedCrypto,
	}
}

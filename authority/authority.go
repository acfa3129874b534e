// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

// Package authority is the certificate authority that signs certificate signing
// requests: an authority and what it puts into a certificate, and the roll of
// authorities that all servers of a store share, with the steps by which a new
// one takes over while the certificates of the old ones stay good.
//
//	new ──(settled)──▶ signs ──(the next one signs)──▶ is trusted ──(expired)──▶ gone
//
// The first authority of a roll signs at once: nobody can hold older
// certificates. All of it are functions of their inputs and of a time. Where the
// roll is kept, and who trusts the authorities on it, is for the server room to
// say; who gets a certificate is decided in the room controller.
package authority

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"time"

	"k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"
)

const (
	// Life is how long an authority is good.
	Life = 10 * 365 * 24 * time.Hour
	// backdate allows for clocks that run a little late.
	backdate = 5 * time.Minute
)

// Authority is a certificate and its private key, which signs others. Key is nil
// for one that is only trusted any more.
type Authority struct {
	Certificate *x509.Certificate
	Key         crypto.Signer
}

// New makes an authority with a new key (ECDSA, P-256).
func New(now time.Time) (Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Authority{}, fmt.Errorf("making a private key: %w", err)
	}
	serial, err := newSerial()
	if err != nil {
		return Authority{}, err
	}
	template := &x509.Certificate{
		// Two authorities of one roll must not be taken for each other.
		Subject:               pkix.Name{CommonName: fmt.Sprintf("muster-signer-%d", now.Unix())},
		SerialNumber:          serial,
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(Life),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return Authority{}, fmt.Errorf("making a certificate authority: %w", err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return Authority{}, fmt.Errorf("making a certificate authority: %w", err)
	}
	return Authority{Certificate: certificate, Key: key}, nil
}

// Parse reads an authority from PEM texts: one certificate, and its key.
func Parse(certificatePEM, keyPEM []byte) (Authority, error) {
	certificate, err := parseCertificate(certificatePEM)
	if err != nil {
		return Authority{}, err
	}
	parsed, err := keyutil.ParsePrivateKeyPEM(keyPEM)
	if err != nil {
		return Authority{}, fmt.Errorf("reading the private key: %w", err)
	}
	key, ok := parsed.(crypto.Signer)
	if !ok {
		return Authority{}, fmt.Errorf("reading the private key: a %T cannot sign", parsed)
	}
	public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !public.Equal(certificate.PublicKey) {
		return Authority{}, errors.New("the private key does not belong to the certificate")
	}
	return Authority{Certificate: certificate, Key: key}, nil
}

func parseCertificate(data []byte) (*x509.Certificate, error) {
	certificates, err := cert.ParseCertsPEM(data)
	if err != nil {
		return nil, fmt.Errorf("reading the certificate: %w", err)
	}
	if len(certificates) != 1 {
		return nil, fmt.Errorf("expected 1 certificate, found %d", len(certificates))
	}
	if !certificates[0].IsCA {
		return nil, fmt.Errorf("the certificate of %q is not that of an authority: it lacks CA:true", certificates[0].Subject)
	}
	return certificates[0], nil
}

// CertificatePEM is the certificate, as others are to trust it.
func (a Authority) CertificatePEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: cert.CertificateBlockType, Bytes: a.Certificate.Raw})
}

// newSerial is a number that no other certificate has.
func newSerial() (*big.Int, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("making a serial number: %w", err)
	}
	return serial, nil
}

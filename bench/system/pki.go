// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package system

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/rest"
)

// pki is the certificates of one system: ECDSA over P-256, as Muster's own, so
// that a handshake costs all of them the same.
type pki struct {
	// authority, certificate and key are files in PEM: of the authority that
	// signs server and clients, and of the server.
	authority, certificate, key string

	authorityPEM, adminPEM, adminKeyPEM []byte
}

// newPKI makes certificates for a server on 127.0.0.1 in dir, and for its
// administrator.
func newPKI(dir string) (*pki, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	authorityKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making the key of an authority: %w", err)
	}
	authority := certificate("bench")
	authority.IsCA, authority.BasicConstraintsValid, authority.KeyUsage = true, true, x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, authority, authority, authorityKey.Public(), authorityKey)
	if err != nil {
		return nil, fmt.Errorf("making an authority: %w", err)
	}
	server := certificate("kube-apiserver")
	server.IPAddresses, server.ExtKeyUsage = []net.IP{net.IPv4(127, 0, 0, 1)}, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	serverPEM, serverKeyPEM, err := issue(server, authority, authorityKey)
	if err != nil {
		return nil, err
	}
	p := &pki{
		authority: filepath.Join(dir, "ca.crt"), certificate: filepath.Join(dir, "server.crt"), key: filepath.Join(dir, "server.key"),
		authorityPEM: encode("CERTIFICATE", der),
	}
	admin := certificate("admin", "system:masters")
	admin.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	if p.adminPEM, p.adminKeyPEM, err = issue(admin, authority, authorityKey); err != nil {
		return nil, err
	}
	for path, content := range map[string][]byte{p.authority: p.authorityPEM, p.certificate: serverPEM, p.key: serverKeyPEM} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// admin is the configuration with which the administrator talks to a server.
func (p *pki) admin(url string) *rest.Config {
	return &rest.Config{Host: url, TLSClientConfig: rest.TLSClientConfig{CAData: p.authorityPEM, CertData: p.adminPEM, KeyData: p.adminKeyPEM}}
}

// certificate is a template with what all of them have.
func certificate(name string, organizations ...string) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: name, Organization: organizations},
		NotBefore:    time.Now().Add(-time.Minute),
		NotAfter:     time.Now().Add(24 * time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature,
	}
}

// issue makes a key and has the authority sign a certificate for it, both in PEM.
func issue(template, authority *x509.Certificate, authorityKey crypto.Signer) (certificate, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("making the key of %s: %w", template.Subject.CommonName, err)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, authority, private.Public(), authorityKey)
	if err != nil {
		return nil, nil, fmt.Errorf("making the certificate of %s: %w", template.Subject.CommonName, err)
	}
	keyDER, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		return nil, nil, fmt.Errorf("encoding the key of %s: %w", template.Subject.CommonName, err)
	}
	return encode("CERTIFICATE", der), encode("EC PRIVATE KEY", keyDER), nil
}

// WriteES256Key makes a key of the kind that Muster signs tokens with by
// default, and writes it into a file.
func WriteES256Key(path string) (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making a signing key: %w", err)
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encoding a signing key: %w", err)
	}
	return key, os.WriteFile(path, encode("EC PRIVATE KEY", der), 0o600)
}

func writeRSAKey(path string) error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return fmt.Errorf("making a signing key: %w", err)
	}
	return os.WriteFile(path, encode("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key)), 0o600)
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

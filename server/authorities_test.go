// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"

	"github.com/muster-identity/muster/authority"
)

type counter struct{ calls int }

func (c *counter) Enqueue() { c.calls++ }

// certify is a client certificate of whoever signs.
func certify(t *testing.T, sign func(authority.Request) ([]byte, error)) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		t.Fatal(err)
	}
	request, err := x509.ParseCertificateRequest(der)
	if err != nil {
		t.Fatal(err)
	}
	data, err := sign(authority.Request{Of: request, Usages: []certificatesv1.KeyUsage{certificatesv1.UsageClientAuth}, Life: 48 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(data)
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

// The authority is replaced while clients come and go: those of the old one are let in, as are those of the next as soon
// as it signs.
func TestClientsOfAnAuthorityAreLetInFromItsFirstSignatureToItsEnd(t *testing.T) {
	t.Parallel()
	now := time.Now()
	roll, _, err := authority.Roll{}.Step(now.Add(-7*365*24*time.Hour), authority.New)
	if err != nil {
		t.Fatal(err)
	}
	house := newAuthorities(func() time.Time { return now })
	if _, err := house.Sign(authority.Request{}); err == nil {
		t.Error("nobody signs before there is a roll")
	}
	all := &trustedCAs{CAContentProvider: dynamiccertificates.NewUnionCAContentProvider(house)}
	heard := &counter{}
	all.AddListener(heard)
	var clients []*x509.Certificate
	check := func() {
		t.Helper()
		options, ok := all.VerifyOptions()
		if !ok {
			t.Fatal("nobody is trusted")
		}
		options.CurrentTime = now
		for i, client := range clients {
			if _, err := client.Verify(options); err != nil {
				t.Errorf("client %d: %v", i, err)
			}
		}
	}
	house.take(roll, 1)
	clients = append(clients, certify(t, house.Sign))
	check()

	next, changed, err := roll.Step(now, authority.New)
	if err != nil || !changed {
		t.Fatalf("the next authority: changed %v, %v", changed, err)
	}
	house.take(next, 2)
	house.take(roll, 1) // what comes late does not count
	clients = append(clients, certify(t, house.Sign))
	check()
	now = now.Add(time.Hour)
	clients = append(clients, certify(t, house.Sign))
	check()
	if slices.Equal(clients[1].AuthorityKeyId, clients[2].AuthorityKeyId) {
		t.Error("the next authority does not sign")
	}
	if heard.calls != 2 {
		t.Errorf("the TLS layer was told %d times, want 2", heard.calls)
	}
	stranger, err := authority.New(now)
	if err != nil {
		t.Fatal(err)
	}
	options, _ := all.VerifyOptions()
	if _, err := certify(t, func(r authority.Request) ([]byte, error) { return stranger.Sign(r, now) }).Verify(options); err == nil {
		t.Error("a client of another authority is let in")
	}
}

func TestFilesOfAuthoritiesAreReadAtEachSignature(t *testing.T) {
	t.Parallel()
	files := SigningFiles{CertFile: filepath.Join(t.TempDir(), "ca.crt"), KeyFile: filepath.Join(t.TempDir(), "ca.key")}
	write := func() {
		t.Helper()
		roll, _, err := authority.Roll{}.Step(time.Now(), authority.New)
		if err != nil {
			t.Fatal(err)
		}
		pair := keyPair{cert: roll.Entries[0].Certificate, key: roll.Entries[0].Key}
		key, err := pair.keyPEM()
		if err != nil {
			t.Fatal(err)
		}
		for path, content := range map[string][]byte{files.CertFile: pair.certPEM(), files.KeyFile: key} {
			if err := os.WriteFile(path, content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	write()
	options := NewOptions()
	*options.Signing.Signers["kubelet-serving"] = files
	h := &house{server: &Server{Options: options, Now: time.Now}, authorities: newAuthorities(time.Now)}
	first := certify(t, h.signers()[certificatesv1.KubeletServingSignerName])
	write()
	second := certify(t, h.signers()[certificatesv1.KubeletServingSignerName])
	if slices.Equal(first.AuthorityKeyId, second.AuthorityKeyId) {
		t.Error("the old authority signs after the change")
	}
	if got := options.Signing.clientAuthorities(); len(got) != 0 {
		t.Errorf("clients of the authority of kubelets' servers are let in: %v", got)
	}
	*options.Signing.Signers["kube-apiserver-client"] = files
	if got := options.Signing.clientAuthorities(); len(got) != 1 || got[0] != files.CertFile {
		t.Errorf("clients of %v are let in", got)
	}
	options.Signing.CertFile, options.Signing.Duration = files.CertFile, time.Minute
	var got []string
	for _, err := range options.Signing.validate() {
		got = append(got, err.Error())
	}
	want := []string{
		"--cluster-signing-duration 1m0s must be at least 10m0s",
		"cannot specify --cluster-signing-{cert,key}-file and other --cluster-signing-*-file flags at the same time",
		"--cluster-signing-cert-file and --cluster-signing-key-file belong together: give both or neither",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %s", strings.Join(got, "\n"))
	}
}

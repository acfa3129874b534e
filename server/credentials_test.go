// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"
)

func newCredentials(t *testing.T, now *time.Time) *credentials {
	t.Helper()
	dir, err := openDataDir(filepath.Join(t.TempDir(), "data"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(dir.close)
	return &credentials{
		dir: dir, names: []string{"localhost"}, ips: []net.IP{net.IPv4(127, 0, 0, 1)},
		address: "https://127.0.0.1:6443", now: func() time.Time { return *now },
	}
}

func mustRead(t *testing.T, files pairFiles) keyPair {
	t.Helper()
	pair, err := files.read()
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

func TestCertificatesAreMadeOnceAndUsedOnLaterStarts(t *testing.T) {
	t.Parallel()
	now := time.Now()
	c := newCredentials(t, &now)
	if err := c.ensure(); err != nil {
		t.Fatal(err)
	}
	serving, ca := mustRead(t, c.servingFiles()), mustRead(t, c.caFiles())
	if err := serving.cert.CheckSignatureFrom(ca.cert); err != nil {
		t.Errorf("the serving certificate is not of the authority: %v", err)
	}
	config, err := os.ReadFile(c.kubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.ensure(); err != nil {
		t.Fatal(err)
	}
	if again := mustRead(t, c.servingFiles()); !again.cert.Equal(serving.cert) {
		t.Error("a second start has made another serving certificate")
	}
	if again, _ := os.ReadFile(c.kubeconfig()); string(again) != string(config) {
		t.Error("a second start has made another kubeconfig")
	}
}

func TestCertificatesAreRenewedBeforeTheyRunOut(t *testing.T) {
	t.Parallel()
	now := time.Now()
	c := newCredentials(t, &now)
	if err := c.ensure(); err != nil {
		t.Fatal(err)
	}
	serving, ca := mustRead(t, c.servingFiles()), mustRead(t, c.caFiles())

	now = now.Add(leafLifetime * 3 / 4)
	if err := c.ensure(); err != nil {
		t.Fatal(err)
	}
	renewed := mustRead(t, c.servingFiles())
	if renewed.cert.Equal(serving.cert) || due(renewed.cert, now) {
		t.Error("the serving certificate was not renewed with a quarter of its life left")
	}
	config, err := clientcmd.LoadFromFile(c.kubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	admin := config.AuthInfos[contextName]
	if pair, err := parseKeyPair(admin.ClientCertificateData, admin.ClientKeyData); err != nil || due(pair.cert, now) {
		t.Errorf("the administrator's certificate was not renewed: %v", err)
	}

	now = now.Add(caLifetime * 3 / 4)
	if err := c.ensure(); err != nil {
		t.Fatal(err)
	}
	newCA := mustRead(t, c.caFiles())
	if newCA.cert.Equal(ca.cert) {
		t.Error("the authority was not renewed with a quarter of its life left")
	}
	if err := renewed.cert.CheckSignatureFrom(newCA.cert); err != nil {
		t.Errorf("what the old authority signed is void under the renewed one: %v", err)
	}
}

func TestANewAddressGetsANewServingCertificate(t *testing.T) {
	t.Parallel()
	now := time.Now()
	c := newCredentials(t, &now)
	if err := c.ensure(); err != nil {
		t.Fatal(err)
	}
	c.names = append(c.names, "muster.example.com")
	if err := c.ensure(); err != nil {
		t.Fatal(err)
	}
	if err := mustRead(t, c.servingFiles()).cert.VerifyHostname("muster.example.com"); err != nil {
		t.Error(err)
	}
}

func TestACertificateWhoseKeyIsAwayIsNotReplaced(t *testing.T) {
	t.Parallel()
	now := time.Now()
	c := newCredentials(t, &now)
	if err := c.ensure(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(c.caFiles().key); err != nil {
		t.Fatal(err)
	}
	err := c.ensure()
	if err == nil || !strings.Contains(err.Error(), "ca.key") {
		t.Errorf("got error %v, want one that names the missing key", err)
	}
}

func TestADataDirBelongsToOneServer(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "data")
	first, err := openDataDir(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := openDataDir(path); err == nil || !strings.Contains(err.Error(), "in use by another server") {
		t.Errorf("the second server got %v", err)
	}
	if IsAbandoned(path) {
		t.Error("the data dir of a server is taken for abandoned")
	}
	first.close()
	if !IsAbandoned(path) || IsAbandoned(t.TempDir()) {
		t.Error("the data dir of an ended server is abandoned, and no other folder is")
	}
	second, err := openDataDir(path)
	if err != nil {
		t.Fatalf("after the first server's end: %v", err)
	}
	second.close()
}

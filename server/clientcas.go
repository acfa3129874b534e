// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"bytes"
	"context"
	"crypto/x509"
	"fmt"
	"sync/atomic"

	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	"k8s.io/client-go/util/cert"
)

// clientCAs are the authorities of client certificates: the server's own, those of
// --client-ca-file, those that sign certificate signing requests for clients. What
// is in files is read again when they change.
func (h *house) clientCAs() (dynamiccertificates.CAContentProvider, error) {
	s := h.server
	files := []struct{ name, path string }{{"client-ca", s.credentials.caFiles().cert}}
	if s.Options.ClientCAFile != "" {
		files = append(files, struct{ name, path string }{"client-ca-file", s.Options.ClientCAFile})
	}
	for _, path := range s.Options.Signing.clientAuthorities() {
		files = append(files, struct{ name, path string }{"cluster-signing-cert-file", path})
	}
	all := []dynamiccertificates.CAContentProvider{h.authorities}
	for _, file := range files {
		provider, err := dynamiccertificates.NewDynamicCAContentFromFile(file.name, file.path)
		if err != nil {
			return nil, fmt.Errorf("reading authorities of client certificates, %s: %w", file.name, err)
		}
		all = append(all, provider)
	}
	return &trustedCAs{CAContentProvider: dynamiccertificates.NewUnionCAContentProvider(all...)}, nil
}

// trustedCAs is a union of authorities that is not parsed anew with each request.
type trustedCAs struct {
	dynamiccertificates.CAContentProvider
	parsed atomic.Pointer[parsedCAs]
}

type parsedCAs struct {
	bundle []byte
	pool   *x509.CertPool
}

var _ dynamiccertificates.ControllerRunner = &trustedCAs{}

// VerifyOptions are by what the certificate of a client is checked.
func (t *trustedCAs) VerifyOptions() (x509.VerifyOptions, bool) {
	bundle := t.CurrentCABundleContent()
	parsed := t.parsed.Load()
	if parsed == nil || !bytes.Equal(parsed.bundle, bundle) {
		pool, err := cert.NewPoolFromBytes(bundle)
		if err != nil {
			return x509.VerifyOptions{}, false
		}
		parsed = &parsedCAs{bundle: bundle, pool: pool}
		t.parsed.Store(parsed)
	}
	return x509.VerifyOptions{Roots: parsed.pool, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, true
}

// RunOnce reads the files.
func (t *trustedCAs) RunOnce(ctx context.Context) error {
	if runner, ok := t.CAContentProvider.(dynamiccertificates.ControllerRunner); ok {
		return runner.RunOnce(ctx)
	}
	return nil
}

// Run follows the files until ctx ends.
func (t *trustedCAs) Run(ctx context.Context, workers int) {
	if runner, ok := t.CAContentProvider.(dynamiccertificates.ControllerRunner); ok {
		runner.Run(ctx, workers)
	}
}

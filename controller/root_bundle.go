// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"bytes"
	"context"
	"encoding/pem"
	"fmt"
	"slices"
	"sync"

	certificatesv1 "k8s.io/api/certificates/v1"
	"k8s.io/client-go/util/cert"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// rootBundle is what verifies the servers of a store: the authorities of this one,
// and those that the others have announced (serving_announcement.go). A client in a
// pod may reach any of them.
type rootBundle struct {
	// authorities reads those of this server (PEM), as they are now.
	authorities func() ([]byte, error)

	mu sync.Mutex
	// own is what was read last, and all the bundle; both empty at first. Guarded
	// by mu.
	own, all []byte
}

func newRootBundle(authorities func() ([]byte, error)) *rootBundle {
	return &rootBundle{authorities: authorities}
}

// last is the bundle as it was put together last.
func (b *rootBundle) last() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all
}

// known is the bundle, put together if it never was.
func (b *rootBundle) known(ctx context.Context, cached client.Reader) ([]byte, error) {
	if all := b.last(); len(all) > 0 {
		return all, nil
	}
	if _, err := b.renew(ctx, cached); err != nil {
		return nil, err
	}
	return b.last(), nil
}

// renew puts the bundle together and tells whether it has changed. Authorities of
// this server that cannot be read now are those that were read last.
func (b *rootBundle) renew(ctx context.Context, cached client.Reader) (changed bool, err error) {
	announced := &certificatesv1.ClusterTrustBundleList{}
	if err := cached.List(ctx, announced, client.UnsafeDisableDeepCopy); err != nil {
		return false, fmt.Errorf("listing the trust bundles of %s: %w", servingSigner, err)
	}
	own, err := b.authorities()
	b.mu.Lock()
	defer b.mu.Unlock()
	if err == nil {
		b.own = own
	} else if b.own == nil {
		return false, err
	}
	parts := [][]byte{b.own}
	for i := range announced.Items {
		parts = append(parts, []byte(announced.Items[i].Spec.TrustBundle))
	}
	all := mergeBundles(parts...)
	if bytes.Equal(all, b.all) {
		return false, nil
	}
	b.all = all
	return true, nil
}

// mergeBundles has each certificate of the parts once and nothing else, in an order
// that is the same for all servers: what is published does not change with the
// leader.
func mergeBundles(parts ...[]byte) []byte {
	all := certificatesIn(parts...)
	slices.SortFunc(all, bytes.Compare)
	return encodeCertificates(all)
}

// certificatesIn are the certificates of bundles (PEM), each once. What else is in
// them is passed over.
func certificatesIn(bundles ...[]byte) (all [][]byte) {
	seen := map[string]bool{}
	for _, bundle := range bundles {
		for block, rest := pem.Decode(bundle); block != nil; block, rest = pem.Decode(rest) {
			if block.Type == cert.CertificateBlockType && !seen[string(block.Bytes)] {
				seen[string(block.Bytes)] = true
				all = append(all, block.Bytes)
			}
		}
	}
	return all
}

// encodeCertificates is the bundle (PEM) of certificates.
func encodeCertificates(certificates [][]byte) []byte {
	var bundle bytes.Buffer
	for _, der := range certificates {
		bundle.Write(pem.EncodeToMemory(&pem.Block{Type: cert.CertificateBlockType, Bytes: der}))
	}
	return bundle.Bytes()
}

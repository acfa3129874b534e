// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"crypto/x509"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	"k8s.io/klog/v2"

	"github.com/muster-identity/muster/authority"
	"github.com/muster-identity/muster/keyring/ledgerstore"
)

// authoritiesResource is the name by which an encryption configuration means the
// certificate authorities in the store.
var authoritiesResource = schema.GroupResource{Group: "identity.muster.id", Resource: "certificateauthorities"}

// authorities are who signs certificate signing requests where the operator named
// nobody: the roll in the store, which all its servers share and trust. It is
// itself what the TLS layer and authentication ask whom they trust.
type authorities struct {
	now   func() time.Time
	store *ledgerstore.Value[authority.Roll]

	mu        sync.Mutex // held by whoever puts another roll in force
	listeners []dynamiccertificates.Listener
	held      atomic.Pointer[heldRoll]
}

// heldRoll is the roll in force and what follows from it.
type heldRoll struct {
	roll     authority.Roll
	revision int64
	bundle   []byte
	trusted  *x509.CertPool
}

func newAuthorities(now func() time.Time) *authorities {
	a := &authorities{now: now}
	a.held.Store(&heldRoll{trusted: x509.NewCertPool()})
	return a
}

// open reads the roll, or begins it, and does what is due.
func (a *authorities) open(ctx context.Context, config *genericapiserver.Config) error {
	place, err := secretPlace(config, authoritiesResource)
	if err != nil {
		return err
	}
	a.store, err = ledgerstore.Open(place, ledgerstore.Place[authority.Roll]{
		Resource: authoritiesResource, Name: "roll", Type: "identity.muster.id/certificate-authorities", Key: "roll.json",
		Encode: authority.Roll.Encode, Decode: authority.Decode,
	})
	if err != nil {
		return err
	}
	return a.step(ctx)
}

// step does what is due. Every server tries; whoever writes first decides.
func (a *authorities) step(ctx context.Context) error {
	roll, revision, err := a.store.Update(ctx, func(roll authority.Roll) (authority.Roll, error) {
		next, _, err := roll.Step(a.now(), authority.New)
		return next, err
	})
	if err != nil {
		return fmt.Errorf("certificate authorities: %w", err)
	}
	a.take(roll, revision)
	return nil
}

// take puts a roll in force, unless a later one is.
func (a *authorities) take(roll authority.Roll, revision int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if revision <= a.held.Load().revision {
		return
	}
	next := &heldRoll{roll: roll, revision: revision, bundle: roll.Bundle(), trusted: x509.NewCertPool()}
	for _, entry := range roll.Entries {
		next.trusted.AddCert(entry.Certificate)
	}
	a.held.Store(next)
	for _, listener := range a.listeners {
		listener.Enqueue()
	}
}

// follow keeps the roll in step with the store, and the store with the time, until
// ctx ends.
func (a *authorities) follow(ctx context.Context) {
	var both sync.WaitGroup
	defer both.Wait()
	both.Go(func() { a.store.Follow(ctx, a.take) })
	// The start has just looked. The only error is that of ctx.
	_ = wait.PollUntilContextCancel(ctx, renewalPeriod, false, func(ctx context.Context) (bool, error) {
		if err := a.step(ctx); err != nil {
			klog.ErrorS(err, "renewing who signs certificates")
		}
		return false, nil
	})
}

// followAuthorities is the start hook that does so.
func (h *house) followAuthorities(ctx context.Context) error {
	h.background.Go(func() { h.authorities.follow(ctx) })
	return nil
}

// Sign makes a certificate (PEM).
func (a *authorities) Sign(request authority.Request) ([]byte, error) {
	now := a.now()
	signer, err := a.held.Load().roll.Signer(now)
	if err != nil {
		return nil, err
	}
	return signer.Sign(request, now)
}

var _ dynamiccertificates.CAContentProvider = &authorities{}

// Name is what logs call it.
func (a *authorities) Name() string { return "certificate-authorities" }

// CurrentCABundleContent are the authorities whose certificates are good.
func (a *authorities) CurrentCABundleContent() []byte { return a.held.Load().bundle }

// VerifyOptions are by what the certificate of a client is checked.
func (a *authorities) VerifyOptions() (x509.VerifyOptions, bool) {
	return x509.VerifyOptions{Roots: a.held.Load().trusted, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, true
}

// AddListener has somebody told of changes.
func (a *authorities) AddListener(listener dynamiccertificates.Listener) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.listeners = append(a.listeners, listener)
}

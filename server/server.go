// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

// Package server assembles a Muster server: its store, its certificates, the
// storage of all resources, the live view and who reads it, the handler chain,
// the controllers; and it starts and stops them in order. It holds no policy:
// each decision is made in a room below, and is only connected here.
package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	genericoptions "k8s.io/apiserver/pkg/server/options"
	"k8s.io/client-go/rest"

	"github.com/muster-identity/muster/keyring/external"
	"github.com/muster-identity/muster/server/hotlane"
)

// Server is one Muster server. DataDir is required; every other field may be
// left at its zero value. Fields must not change after Start. Several servers
// may run in one process.
type Server struct {
	// DataDir is the folder for the server's keys, certificates and embedded
	// store. It is made if missing, and belongs to one server at a time.
	DataDir string
	// Options are the settings that go by Kubernetes' flags; nil means
	// NewOptions.
	Options *Options
	// UnsafeNoSync lets the embedded store not wait for the disk. What it held
	// may be lost when the machine stops: it is for servers that end with the
	// process which made them.
	UnsafeNoSync bool
	// Now is the clock of tokens and certificates; nil means time.Now.
	Now func() time.Time

	*running
}

// running is what a started server consists of.
type running struct {
	// closers end the parts, last made first.
	closers   []func()
	addresses addresses
	store     *genericoptions.EtcdOptions
	// etcd is the embedded store, or nil with an external one.
	etcd        *embeddedEtcd
	credentials *credentials
	// signer is nil unless tokens are signed elsewhere.
	signer   *external.Signer
	loopback *rest.Config
	url      string
	// lane is the hot lane, or nil without one.
	lane *hotlane.Lane

	cancel context.CancelCauseFunc
	// served is closed when the server no longer serves; err says why.
	served chan struct{}
	err    error

	closeOnce sync.Once
}

// Start brings the server up and returns when it is ready: /readyz answers 200.
// It first makes sure that its options make sense, that it can have its port and
// that an external store and an external signer answer, so that a start that fails for want of one
// touches nothing. ctx bounds the start, not the server: Close ends that.
func (s *Server) Start(ctx context.Context) (err error) {
	if s.running != nil {
		return errors.New("the server has been started before")
	}
	if s.Options == nil {
		s.Options = NewOptions()
	}
	if s.Now == nil {
		s.Now = time.Now
	}
	s.Options.complete()
	if err := s.Options.validate(); err != nil {
		return err
	}
	s.running = &running{served: make(chan struct{})}
	defer func() {
		if err != nil {
			s.closeParts()
		}
	}()
	listener, err := s.listen()
	if err != nil {
		return err
	}
	if transport := s.Options.Etcd.StorageConfig.Transport; len(transport.ServerList) > 0 {
		if err := checkEtcd(ctx, transport); err != nil {
			return err
		}
	}
	if err := s.connectSigner(ctx); err != nil {
		return err
	}
	return s.assemble(ctx, listener)
}

// listen takes the port.
func (s *Server) listen() (net.Listener, error) {
	secure := s.Options.SecureServing
	address := net.JoinHostPort(secure.BindAddress.String(), fmt.Sprint(secure.BindPort))
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listening on %s: %w", address, rootCause(err))
	}
	s.onClose(func() { listener.Close() })
	return listener, nil
}

func rootCause(err error) error {
	var opError *net.OpError
	if errors.As(err, &opError) {
		return reason(opError.Err)
	}
	return err
}

// URL is where the server is reached from this machine: https://host:port.
func (s *Server) URL() string { return s.url }

// Kubeconfig is the path of the administrator's kubeconfig.
func (s *Server) Kubeconfig() string { return s.credentials.kubeconfig() }

// AdminConfig is a client configuration for a member of system:masters. It
// works as long as the server runs, from within its process.
func (s *Server) AdminConfig() *rest.Config { return rest.CopyConfig(s.loopback) }

// Done is closed when the server has stopped serving, asked or not.
func (s *Server) Done() <-chan struct{} { return s.served }

// Close stops the server: it accepts no more requests, lets those under way
// finish, closes the watches and then the store. It returns the first thing
// that went wrong, also of a server that had stopped by itself.
func (s *Server) Close() error {
	if s.running == nil || s.cancel == nil {
		return nil
	}
	s.closeOnce.Do(func() {
		s.cancel(nil)
		<-s.served
		s.closeParts()
	})
	return s.err
}

// fail ends the server because of err.
func (r *running) fail(err error) { r.cancel(err) }

func (r *running) onClose(f func()) { r.closers = append(r.closers, f) }

func (r *running) closeParts() {
	for i := len(r.closers) - 1; i >= 0; i-- {
		r.closers[i]()
	}
	r.closers = nil
}

// readyPoll is how often a starting server asks itself whether it is ready.
const readyPoll = 5 * time.Millisecond

// awaitReady returns when /readyz answers 200.
func (s *Server) awaitReady(ctx context.Context) error {
	client, err := rest.HTTPClientFor(s.loopback)
	if err != nil {
		return fmt.Errorf("asking whether the server is ready: %w", err)
	}
	defer client.CloseIdleConnections()
	for {
		if isReady(ctx, client, s.loopback.Host) {
			return nil
		}
		select {
		case <-s.served:
			if s.err != nil {
				return s.err
			}
			return errors.New("the server has stopped before it was ready")
		case <-ctx.Done():
			return fmt.Errorf("waiting for the server to be ready: %w", context.Cause(ctx))
		case <-time.After(readyPoll):
		}
	}
}

func isReady(ctx context.Context, client *http.Client, url string) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/readyz", nil)
	if err != nil {
		return false
	}
	response, err := client.Do(request)
	if err != nil {
		return false
	}
	response.Body.Close()
	return response.StatusCode == http.StatusOK
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

// Package external signs through a process that has the keys, and follows the
// keys that it publishes. It owns the protocol, k8s.io/externaljwt v1 on a unix
// socket (KEP-740), and trusts the process in nothing that it can check: a
// token goes out only after its signature was verified.
//
//	Connect -----> Ring, MaxExpiration        at the start of a server
//	Follow ------> a new Ring when the keys have changed
//	Sign, Refresh  ask the process; all else answers from memory
//
// keyring has the ring in force, server puts the two together.
package external

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	externaljwtv1 "k8s.io/externaljwt/apis/v1"

	"github.com/muster-identity/muster/keyring"
)

const (
	// startTimeout and signTimeout bound what a caller waits for a signer that
	// is away, so that one that is just being restarted goes unnoticed.
	startTimeout = 5 * time.Second
	signTimeout  = 5 * time.Second
	// fetchTimeout bounds a look at the keys, for which nobody need wait.
	// Kubernetes: pkg/controlplane/apiserver/options/options.go.
	fetchTimeout = 60 * time.Second

	// minExpiration is what a signer must sign at least; maxExpiration is the
	// longest that anybody can ask for, and keeps sums from overflowing.
	minExpiration = 600 * time.Second
	maxExpiration = (1 << 32) * time.Second
)

// Signer signs through the process at a socket. Its methods may be called at
// the same time, but for Follow, which is called once.
type Signer struct {
	client        externaljwtv1.ExternalJWTSignerClient
	connection    io.Closer
	socket        *socket
	metrics       *metrics
	maxExpiration time.Duration
	known         atomic.Pointer[known]
	looks         keyring.Looks
}

var _ keyring.Source = (*Signer)(nil)

// known is what the signer said last of its keys.
type known struct {
	ring *keyring.Ring
	// lookAgain is when the signer wants to be asked again.
	lookAgain time.Time
}

// Connect asks the signer at a unix socket for its keys and its longest
// expiration. The endpoint is a path, or @NAME for an abstract socket. The
// error is one line with the endpoint: nobody answers there within five
// seconds, or what does is no signer to rely on.
func Connect(ctx context.Context, endpoint string) (*Signer, error) {
	socket := &socket{endpoint: endpoint}
	metrics := processMetrics()
	connection, err := socket.connect(metrics)
	if err != nil {
		return nil, fmt.Errorf("the signer at %q: %w", endpoint, err)
	}
	s := newSigner(externaljwtv1.NewExternalJWTSignerClient(connection), socket, metrics)
	s.connection = connection
	if err := s.start(ctx); err != nil {
		return nil, errors.Join(err, connection.Close())
	}
	return s, nil
}

func newSigner(client externaljwtv1.ExternalJWTSignerClient, socket *socket, metrics *metrics) *Signer {
	return &Signer{client: client, socket: socket, metrics: metrics, looks: keyring.NewLooks()}
}

func (s *Signer) start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if _, err := s.look(ctx, grpc.WaitForReady(true)); err != nil {
		return err
	}
	response, err := s.client.Metadata(ctx, &externaljwtv1.MetadataRequest{}, grpc.WaitForReady(true))
	if err != nil {
		return s.socket.fault("Metadata", err)
	}
	seconds := response.MaxTokenExpirationSeconds
	if seconds < int64(minExpiration/time.Second) {
		return s.socket.fault("Metadata", fmt.Errorf("max token life supported by external-jwt-signer (%ds) is less than acceptable (min %ds)", seconds, int64(minExpiration/time.Second)))
	}
	s.maxExpiration = time.Duration(min(seconds, int64(maxExpiration/time.Second))) * time.Second
	return nil
}

// MaxExpiration is the longest lifetime that the signer signs, in whole
// seconds, at least ten minutes.
func (s *Signer) MaxExpiration() time.Duration { return s.maxExpiration }

// Ring is the ring of the keys known now. It signs through s.
func (s *Signer) Ring() *keyring.Ring { return s.known.Load().ring }

// MaxAge is how long it is until the signer wants to be asked for its keys
// again. It is zero while it does not answer.
func (s *Signer) MaxAge() time.Duration {
	return max(0, time.Until(s.known.Load().lookAgain))
}

// Close ends the connection.
func (s *Signer) Close() error { return s.connection.Close() }

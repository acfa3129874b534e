// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package external

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
)

// redial is how a connection that broke is made anew. The signer is on this
// machine, so trying costs little, and it is back soon after it is.
var redial = grpc.ConnectParams{
	Backoff:           backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second},
	MinConnectTimeout: time.Second,
}

// again repeats once what was under way when a connection broke.
const again = `{"methodConfig": [{"name": [{}], "retryPolicy": {
	"maxAttempts": 2, "initialBackoff": "0.05s", "maxBackoff": "0.05s", "backoffMultiplier": 1, "retryableStatusCodes": ["UNAVAILABLE"]
}}]}`

// socket is where the signer listens.
type socket struct {
	endpoint string
	// failed is why nobody could be reached at the last attempt, or nil.
	failed atomic.Pointer[syscall.Errno]
}

// connect makes a connection that is kept up by itself. It does not wait for it.
func (s *socket) connect(m *metrics) (*grpc.ClientConn, error) {
	return grpc.NewClient(
		"passthrough:///"+s.endpoint,
		grpc.WithTransportCredentials(insecure.NewCredentials()), // the socket's mode says who may
		grpc.WithAuthority("localhost"),
		grpc.WithConnectParams(redial),
		grpc.WithDefaultServiceConfig(again),
		grpc.WithContextDialer(s.dial),
		grpc.WithChainUnaryInterceptor(m.observe),
	)
}

// dial takes "@name" for an abstract socket, as package net does.
func (s *socket) dial(ctx context.Context, _ string) (net.Conn, error) {
	connection, err := (&net.Dialer{}).DialContext(ctx, "unix", s.endpoint)
	if errno := syscall.Errno(0); errors.As(err, &errno) {
		s.failed.Store(&errno)
	} else {
		s.failed.Store(nil)
	}
	return connection, err
}

// fault says in one line which signer failed at what. The words of gRPC around
// a cause that is known are left out; its status is kept for the metrics.
func (s *socket) fault(method string, err error) error {
	code := status.Code(err)
	if errno := s.failed.Load(); errno != nil && (code == codes.Unavailable || code == codes.DeadlineExceeded) {
		return &fault{fmt.Sprintf("the signer at %q does not answer: %s", s.endpoint, errno.Error()), err}
	}
	text := err.Error()
	if rpc, ok := status.FromError(err); ok {
		text = fmt.Sprintf("%s: %s", rpc.Code(), rpc.Message())
	}
	return &fault{fmt.Sprintf("the signer at %q: %s: %s", s.endpoint, method, text), err}
}

type fault struct {
	text  string
	cause error
}

func (f *fault) Error() string { return f.text }
func (f *fault) Unwrap() error { return f.cause }

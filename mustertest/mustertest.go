// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

// Package mustertest gives a Go test a whole Muster server in its own process:
// the API, its controllers, RBAC and the token issuer, ready in a fraction of a
// second and gone at the test's end. It is the server that the muster command
// runs; only the store does not wait for the disk.
//
// Tests may start several servers and run in parallel.
package mustertest

import (
	"context"
	"fmt"
	"net"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/muster-identity/muster/server"
)

// startTimeout bounds the start on a machine that is busy with other tests.
const startTimeout = time.Minute

// Server is a server that belongs to a test.
type Server struct {
	t      testing.TB
	server *server.Server
}

// Start starts a server on a free port of the loopback address, waits until it
// is ready, and stops it when the test ends. Each configure may change the
// options, whose fields go by the flags of muster server. A server that does
// not start fails the test.
func Start(t testing.TB, configure ...func(*server.Options)) *Server {
	t.Helper()
	options := server.NewOptions()
	options.SecureServing.BindAddress = net.IPv4(127, 0, 0, 1)
	options.SecureServing.BindPort = 0
	for _, f := range configure {
		f(options)
	}
	s := &server.Server{DataDir: t.TempDir(), Options: options, UnsafeNoSync: true}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	if err := s.Start(ctx); err != nil {
		t.Fatalf("starting a muster server: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("stopping the muster server: %v", err)
		}
	})
	return &Server{t: t, server: s}
}

// URL is where the server is: https://127.0.0.1:port.
func (s *Server) URL() string { return s.server.URL() }

// Kubeconfig is the path of a kubeconfig for the administrator, for programs
// that the test runs.
func (s *Server) Kubeconfig() string { return s.server.Kubeconfig() }

// Admin is the client configuration of an administrator (system:masters).
func (s *Server) Admin() *rest.Config { return s.server.AdminConfig() }

// Client is a clientset of the administrator.
func (s *Server) Client() kubernetes.Interface {
	s.t.Helper()
	client, err := kubernetes.NewForConfig(s.Admin())
	if err != nil {
		s.t.Fatalf("making a client: %v", err)
	}
	return client
}

// Namespace makes a namespace. Its default account is there when it returns.
func (s *Server) Namespace(name string) {
	s.t.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if _, err := s.Client().CoreV1().Namespaces().Create(s.t.Context(), namespace, metav1.CreateOptions{}); err != nil {
		s.t.Fatalf("making namespace %q: %v", name, err)
	}
}

// ServiceAccount is the client configuration of a service account, which is
// made if it does not exist. Its token lives for an hour and is bound to
// nothing but the account.
func (s *Server) ServiceAccount(namespace, name string) *rest.Config {
	s.t.Helper()
	config, err := s.serviceAccount(s.t.Context(), namespace, name)
	if err != nil {
		s.t.Fatalf("acting as service account %s/%s: %v", namespace, name, err)
	}
	return config
}

func (s *Server) serviceAccount(ctx context.Context, namespace, name string) (*rest.Config, error) {
	accounts := s.Client().CoreV1().ServiceAccounts(namespace)
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if _, err := accounts.Create(ctx, account, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		return nil, fmt.Errorf("making the account: %w", err)
	}
	request, err := accounts.CreateToken(ctx, name, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("requesting a token: %w", err)
	}
	config := rest.AnonymousClientConfig(s.Admin())
	config.BearerToken = request.Status.Token
	return config, nil
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// APIServer is how a service reaches an API server, and as whom.
type APIServer struct {
	// URL is https://host:port.
	URL string
	// TokenFile holds the service's own token. It is read for each request, so
	// that a token that was replaced is used at once. Empty means that Client
	// brings the credentials, as by a certificate.
	TokenFile string
	// CAFile holds the authorities, in PEM, one of which must have signed the
	// server's certificate. It is read anew when it changes. Empty means those of
	// the system.
	CAFile string
	// Client, if set, takes the place of CAFile. Redirects are not followed.
	// Without a timeout of its own it has ten seconds.
	Client *http.Client
}

// secretsDir is where every pod finds its account.
const secretsDir = "/var/run/secrets/kubernetes.io/serviceaccount"

// InCluster is the API server of the cluster that the service runs in, as the
// service's own account; muster run gives its process the same. It fails where
// the service does not run in a pod, or without the token of its account.
func InCluster() (*APIServer, error) { return inCluster(os.Getenv, secretsDir) }

func inCluster(getenv func(string) string, dir string) (*APIServer, error) {
	host, port := getenv("KUBERNETES_SERVICE_HOST"), getenv("KUBERNETES_SERVICE_PORT")
	if host == "" || port == "" {
		return nil, errors.New("not in a cluster: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT must be set")
	}
	s := &APIServer{
		URL:       "https://" + net.JoinHostPort(host, port),
		TokenFile: filepath.Join(dir, "token"),
		CAFile:    filepath.Join(dir, "ca.crt"),
	}
	for _, file := range []string{s.TokenFile, s.CAFile} {
		if _, err := os.Stat(file); err != nil {
			return nil, fmt.Errorf("not in a cluster, or without a token of the account: %w", err)
		}
	}
	return s, nil
}

// session is an APIServer in use.
type session struct {
	url       string // without a slash at its end
	tokenFile string
	client    *http.Client
}

func (s *APIServer) open() (*session, error) {
	if _, err := checkHTTPS("option Server.URL", s.URL); err != nil {
		return nil, err
	}
	client := s.Client
	switch {
	case client != nil && s.CAFile != "":
		return nil, errors.New("options Server.CAFile and Server.Client must not both be set")
	case client == nil && s.CAFile == "":
		client = &http.Client{}
	case client == nil:
		transport := &caTransport{file: s.CAFile}
		if _, err := transport.current(); err != nil {
			return nil, fmt.Errorf("option Server.CAFile: %w", err)
		}
		client = &http.Client{Transport: transport}
	}
	return &session{strings.TrimSuffix(s.URL, "/"), s.TokenFile, withoutRedirects(client)}, nil
}

// do asks the server, with the service's credentials, and wants a status of
// success. Errors hold neither the service's own token nor the secrets.
func (s *session) do(ctx context.Context, method, path string, body []byte, secrets ...string) (*answer, error) {
	request, err := http.NewRequestWithContext(ctx, method, s.url+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "application/json")
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if s.tokenFile != "" {
		token, err := readToken(s.tokenFile)
		if err != nil {
			return nil, err
		}
		request.Header.Set("Authorization", "Bearer "+token)
		secrets = append(secrets, token)
	}
	got, err := exchange(s.client, request)
	if err != nil {
		return nil, withoutSecrets(err, secrets)
	}
	if got.code < 200 || got.code > 299 {
		return nil, &StatusError{got.code, foreign(statusMessage(got.body), secrets...)}
	}
	return got, nil
}

// readToken reads a token that can be sent in a header.
func readToken(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", fmt.Errorf("reading the token of this service: %w", err)
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxAnswer))
	if err != nil {
		return "", fmt.Errorf("reading the token of this service: %w", err)
	}
	token := strings.TrimSpace(string(content))
	if token == "" || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", fmt.Errorf("the file %q holds no token", file)
	}
	return token, nil
}

// statusMessage is what a Kubernetes Status says, or nothing.
func statusMessage(body []byte) string {
	var status struct {
		Kind    string `json:"kind"`
		Message string `json:"message"`
	}
	if json.Unmarshal(body, &status) != nil || status.Kind != "Status" {
		return ""
	}
	return status.Message
}

// caTransport trusts the authorities in a file. When the file has changed, the
// next request goes over new connections.
type caTransport struct {
	file string

	mu        sync.Mutex
	seen      os.FileInfo // the file that transport was made of
	transport *http.Transport
}

// RoundTrip sends a request.
func (t *caTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	transport, err := t.current()
	if err != nil {
		return nil, err
	}
	return transport.RoundTrip(request)
}

// current is the transport for the file as it is. A file that is bad for the
// moment does not end what works: trust is not widened by going on.
func (t *caTransport) current() (*http.Transport, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	info, err := os.Stat(t.file)
	if err == nil && t.seen != nil && os.SameFile(info, t.seen) && info.ModTime().Equal(t.seen.ModTime()) && info.Size() == t.seen.Size() {
		return t.transport, nil
	}
	roots, err := readAuthorities(t.file)
	if err != nil {
		if t.transport != nil {
			return t.transport, nil
		}
		return nil, err
	}
	if t.transport != nil {
		t.transport.CloseIdleConnections()
	}
	t.seen = info
	t.transport = &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		TLSClientConfig:     &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2:   true,
		TLSHandshakeTimeout: defaultTimeout,
		IdleConnTimeout:     90 * time.Second,
		MaxIdleConnsPerHost: 16,
	}
	return t.transport, nil
}

func readAuthorities(file string) (*x509.CertPool, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading the authorities of the API server: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(content) {
		return nil, fmt.Errorf("the file %q holds no certificate in PEM", file)
	}
	return roots, nil
}

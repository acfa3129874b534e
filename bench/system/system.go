// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

// Package system starts the servers that are measured, each in processes and a
// folder of its own, and tells what they cost: Muster, Kubernetes (etcd and
// kube-apiserver), and the floor, a server that answers without thinking.
//
// Servers listen on free ports of the loopback interface. Whoever starts a
// system stops it.
package system

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"time"

	"k8s.io/client-go/rest"
)

// readyTimeout bounds a start on a machine that is busy with other things.
const readyTimeout = 2 * time.Minute

// Binaries is the folder of the programs that are run.
type Binaries string

func (b Binaries) path(name string) string { return filepath.Join(string(b), name) }

// System is a server that runs.
type System struct {
	// Name is what the report calls it.
	Name string
	// URL is its address, "https://127.0.0.1:6443".
	URL string
	// Admin is the configuration of a member of system:masters. It is nil where
	// there are no users.
	Admin *rest.Config
	// Startup is the time from the start of its first process to a server that
	// says it is ready.
	Startup time.Duration
	// Store is the endpoint of the etcd that the server keeps its objects in;
	// empty: it has none.
	Store string

	server *process
	// others are the processes without which the server does not work, in the
	// order of their starts.
	others []*process
}

// Stop ends the system's processes, the last one first, and waits for them.
func (s *System) Stop() {
	if s.server != nil {
		s.server.stop()
	}
	for i := len(s.others) - 1; i >= 0; i-- {
		s.others[i].stop()
	}
}

// Usage is what a system has used of the machine.
type Usage struct {
	// Server is the processor time of the server, user and system.
	Server time.Duration
	// Others is that of the processes beside it: the store.
	Others time.Duration
}

// Sub is what was used since an earlier reading.
func (u Usage) Sub(earlier Usage) Usage {
	return Usage{Server: u.Server - earlier.Server, Others: u.Others - earlier.Others}
}

// Usage reads the clocks of the system's processes.
func (s *System) Usage() (Usage, error) {
	var u Usage
	var err error
	if u.Server, err = s.server.processorTime(); err != nil {
		return Usage{}, err
	}
	for _, p := range s.others {
		used, err := p.processorTime()
		if err != nil {
			return Usage{}, err
		}
		u.Others += used
	}
	return u, nil
}

// Memory is the resident memory in bytes, of the server and of the others.
func (s *System) Memory() (server, others int64, err error) {
	if server, err = s.server.memory(); err != nil {
		return 0, 0, err
	}
	for _, p := range s.others {
		more, err := p.memory()
		if err != nil {
			return 0, 0, err
		}
		others += more
	}
	return server, others, nil
}

// awaitReady waits until the server says that it is ready, or has ended.
func (s *System) awaitReady(ctx context.Context, begun time.Time) error {
	deadline := time.After(readyTimeout)
	// Who the server is does not matter: nothing is told it, and it is on this machine.
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	defer transport.CloseIdleConnections()
	for !answersReady(ctx, transport, s.URL+"/readyz") {
		select {
		case <-s.server.exited:
			return s.server.failure("ended before it was ready")
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-deadline:
			return s.server.failure("is not ready after " + readyTimeout.String())
		case <-time.After(10 * time.Millisecond):
		}
	}
	s.Startup = time.Since(begun)
	return nil
}

func answersReady(ctx context.Context, transport http.RoundTripper, url string) bool {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return false
	}
	response.Body.Close()
	return response.StatusCode == http.StatusOK
}

// freePort is a port of the loopback interface that nobody listens on. That it
// stays so until a server listens is likely, not certain.
func freePort() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("looking for a free port: %w", err)
	}
	defer listener.Close()
	return strconv.Itoa(listener.Addr().(*net.TCPAddr).Port), nil
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package system

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"k8s.io/client-go/tools/clientcmd"
)

// StartMuster runs `muster server` below dir with default settings. A signing
// key file takes the place of the key that it makes itself; empty: it does not.
func StartMuster(ctx context.Context, bin Binaries, dir, signingKey string) (*System, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	data := filepath.Join(dir, "data")
	args := []string{"server", "--data-dir", data, "--bind-address", "127.0.0.1", "--secure-port", port}
	if signingKey != "" {
		args = append(args, "--service-account-signing-key-file", signingKey)
	}
	s := &System{Name: "muster", URL: "https://127.0.0.1:" + port, Store: "unix://" + filepath.Join(data, "etcd", "etcd.sock")}
	begun := time.Now()
	if s.server, err = start(dir, bin.path("muster"), args...); err != nil {
		return nil, err
	}
	if err := s.awaitReady(ctx, begun); err != nil {
		s.Stop()
		return nil, err
	}
	if s.Admin, err = clientcmd.BuildConfigFromFlags("", filepath.Join(data, "admin.kubeconfig")); err != nil {
		s.Stop()
		return nil, fmt.Errorf("reading the administrator's kubeconfig: %w", err)
	}
	return s, nil
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package system

import (
	"context"
	"os"
	"path/filepath"
	"time"
)

// StartKubernetes runs etcd and kube-apiserver below dir with default settings.
// Without a signing key file tokens are signed with an RSA key of 2048 bits, as
// the usual installers make it.
func StartKubernetes(ctx context.Context, bin Binaries, dir, signingKey string) (*System, error) {
	pki, err := newPKI(dir)
	if err != nil {
		return nil, err
	}
	if signingKey == "" {
		signingKey = filepath.Join(dir, "sa.key")
		if err := writeRSAKey(signingKey); err != nil {
			return nil, err
		}
	}
	s := &System{Name: "kube-apiserver"}
	if err := s.startKubernetes(ctx, bin, dir, signingKey, pki); err != nil {
		s.Stop()
		return nil, err
	}
	s.Admin = pki.admin(s.URL)
	return s, nil
}

func (s *System) startKubernetes(ctx context.Context, bin Binaries, dir, signingKey string, pki *pki) error {
	begun := time.Now()
	etcd, err := s.startEtcd(bin, dir)
	if err != nil {
		return err
	}
	s.Store = etcd
	port, err := freePort()
	if err != nil {
		return err
	}
	s.URL = "https://127.0.0.1:" + port
	s.server, err = start(
		dir, bin.path("kube-apiserver"),
		"--etcd-servers="+etcd,
		"--bind-address=127.0.0.1",
		"--secure-port="+port,
		"--tls-cert-file="+pki.certificate,
		"--tls-private-key-file="+pki.key,
		"--client-ca-file="+pki.authority,
		"--authorization-mode=Node,RBAC",
		"--service-cluster-ip-range=10.0.0.0/24",
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-signing-key-file="+signingKey,
		"--service-account-key-file="+signingKey,
	)
	if err != nil {
		return err
	}
	return s.awaitReady(ctx, begun)
}

// startEtcd runs etcd on free ports and returns its address. Without TLS it
// costs kube-apiserver less than it would in a cluster.
func (s *System) startEtcd(bin Binaries, dir string) (string, error) {
	data := filepath.Join(dir, "etcd")
	if err := os.MkdirAll(data, 0o700); err != nil {
		return "", err
	}
	clients, err := freePort()
	if err != nil {
		return "", err
	}
	peers, err := freePort()
	if err != nil {
		return "", err
	}
	clientURL, peerURL := "http://127.0.0.1:"+clients, "http://127.0.0.1:"+peers
	etcd, err := start(
		dir, bin.path("etcd"),
		"--name=bench",
		"--data-dir="+data,
		"--listen-client-urls="+clientURL,
		"--advertise-client-urls="+clientURL,
		"--listen-peer-urls="+peerURL,
		"--initial-advertise-peer-urls="+peerURL,
		"--initial-cluster=bench="+peerURL,
	)
	if err != nil {
		return "", err
	}
	s.others = append(s.others, etcd)
	return clientURL, nil
}

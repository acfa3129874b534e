// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package system

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"k8s.io/client-go/rest"
)

// Loops are those of kube-controller-manager that run beside Muster.
var Loops = []string{"serviceaccount-token-controller", "job-controller", "namespace-controller", "ttl-after-finished-controller"}

// Attach runs kube-controller-manager, with Loops, and kube-scheduler for a Muster
// that was started below dir with signingKey. Each has a certificate of its own
// name, and each loop its own account, so that they have the roles of these and
// no more.
func (s *System) Attach(bin Binaries, dir, signingKey string) error {
	pki := filepath.Join(dir, "data", "pki")
	authority, err := tls.LoadX509KeyPair(filepath.Join(pki, "ca.crt"), filepath.Join(pki, "ca.key"))
	if err != nil {
		return fmt.Errorf("reading Muster's authority: %w", err)
	}
	for name, args := range map[string][]string{
		"kube-controller-manager": {
			"--controllers=" + strings.Join(Loops, ","),
			"--use-service-account-credentials",
			"--service-account-private-key-file=" + signingKey,
			"--root-ca-file=" + filepath.Join(pki, "ca.crt"),
		},
		"kube-scheduler": {},
	} {
		component := *s
		if component.Admin, err = s.as(name, authority); err != nil {
			return err
		}
		kubeconfig := filepath.Join(dir, name+".kubeconfig")
		if err := component.writeKubeconfig(kubeconfig); err != nil {
			return fmt.Errorf("writing the kubeconfig of %s: %w", name, err)
		}
		process, err := start(dir, bin.path(name), append(args, "--kubeconfig="+kubeconfig, "--bind-address=127.0.0.1", "--secure-port=0")...)
		if err != nil {
			return err
		}
		s.others = append(s.others, process)
	}
	return nil
}

// as is the configuration with which a component of Kubernetes talks to the server.
func (s *System) as(component string, authority tls.Certificate) (*rest.Config, error) {
	client := certificate("system:" + component)
	client.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	var err error
	config := rest.AnonymousClientConfig(s.Admin)
	config.CertData, config.KeyData, err = issue(client, authority.Leaf, authority.PrivateKey.(crypto.Signer))
	return config, err
}

// Complaints are the lines of the logs of the server and of all beside it that
// are no mere information.
func (s *System) Complaints() ([]string, error) {
	var all []string
	for _, p := range slices.Concat([]*process{s.server}, s.others) {
		log, err := os.ReadFile(p.log)
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(string(log)) {
			if complains(line) {
				all = append(all, p.name+": "+strings.TrimSpace(line))
			}
		}
	}
	return all, nil
}

// complains tells whether a line in the format of klog is a warning, an error or
// worse.
func complains(line string) bool {
	return len(line) > 1 && strings.ContainsRune("WEF", rune(line[0])) && line[1] >= '0' && line[1] <= '9'
}

// Running fails if one of the processes has ended.
func (s *System) Running() error {
	for _, p := range slices.Concat([]*process{s.server}, s.others) {
		select {
		case <-p.exited:
			return p.failure("has ended")
		default:
		}
	}
	return nil
}

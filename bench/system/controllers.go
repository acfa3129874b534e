// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package system

import (
	"fmt"
	"os"
	"path/filepath"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// AddControllers runs kube-controller-manager for a kube-apiserver, below the
// folder it was started in. Without it nobody makes default accounts, and no
// namespace ends.
func (s *System) AddControllers(bin Binaries, dir string) error {
	kubeconfig := filepath.Join(dir, "admin.kubeconfig")
	if err := s.writeKubeconfig(kubeconfig); err != nil {
		return fmt.Errorf("writing the kubeconfig of the controllers: %w", err)
	}
	authority := filepath.Join(dir, "ca.crt")
	if err := os.WriteFile(authority, s.Admin.CAData, 0o600); err != nil {
		return err
	}
	controllers, err := start(
		dir, bin.path("kube-controller-manager"),
		"--kubeconfig="+kubeconfig,
		"--root-ca-file="+authority,
		"--use-service-account-credentials",
		"--leader-elect=false",
		"--secure-port=0",
	)
	if err != nil {
		return err
	}
	s.others = append(s.others, controllers)
	return nil
}

// writeKubeconfig lets programs in as the administrator.
func (s *System) writeKubeconfig(path string) error {
	const name = "admin"
	config := clientcmdapi.NewConfig()
	config.Clusters[name] = &clientcmdapi.Cluster{Server: s.URL, CertificateAuthorityData: s.Admin.CAData}
	config.AuthInfos[name] = &clientcmdapi.AuthInfo{ClientCertificateData: s.Admin.CertData, ClientKeyData: s.Admin.KeyData}
	config.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: name}
	config.CurrentContext = name
	return clientcmd.WriteToFile(*config, path)
}

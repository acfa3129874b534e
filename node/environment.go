// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// serverURL is where the process, and the one who runs it, find the server.
func serverURL(config *rest.Config) (*url.URL, error) {
	server, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return nil, fmt.Errorf("reading the server's address: %w", err)
	}
	return server, nil
}

// callersCA is the bundle by which the one who runs the process knows the server; nil is the system's.
func callersCA(config *rest.Config) ([]byte, error) {
	known := rest.CopyConfig(config)
	if err := rest.LoadTLSFiles(known); err != nil {
		return nil, fmt.Errorf("reading the server's CA: %w", err)
	}
	return known.CAData, nil
}

// environment is what clients go by: inside a cluster the first two (Kubernetes: rest.InClusterConfig), outside
// the third.
func environment(server *url.URL, kubeconfig string) []string {
	port := server.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[server.Scheme]
	}
	return []string{
		"KUBERNETES_SERVICE_HOST=" + server.Hostname(),
		"KUBERNETES_SERVICE_PORT=" + port,
		clientcmd.RecommendedConfigPathEnvVar + "=" + kubeconfig,
	}
}

// kubeconfigFor describes the same server as config, entered with the token and, if it is there, the CA of the volume.
// It refers to the files, so that what reads it follows their renewal.
func kubeconfigFor(config *rest.Config, server *url.URL, namespace, volume string, hasCA bool) ([]byte, error) {
	cluster, err := clusterOf(config, server)
	if err != nil {
		return nil, err
	}
	if hasCA && !config.Insecure {
		cluster.CertificateAuthority = filepath.Join(volume, "ca.crt")
	}
	return writeKubeconfig(cluster, &clientcmdapi.AuthInfo{TokenFile: filepath.Join(volume, "token")}, namespace)
}

// clusterOf describes the server of config but for its CA.
func clusterOf(config *rest.Config, server *url.URL) (*clientcmdapi.Cluster, error) {
	cluster := &clientcmdapi.Cluster{
		Server:                server.String(),
		TLSServerName:         config.ServerName,
		InsecureSkipTLSVerify: config.Insecure,
	}
	if config.Proxy != nil {
		proxy, err := config.Proxy(&http.Request{URL: server})
		if err != nil {
			return nil, fmt.Errorf("finding the proxy: %w", err)
		}
		if proxy != nil {
			cluster.ProxyURL = proxy.String()
		}
	}
	return cluster, nil
}

func writeKubeconfig(cluster *clientcmdapi.Cluster, user *clientcmdapi.AuthInfo, namespace string) ([]byte, error) {
	const name = "muster"
	return clientcmd.Write(clientcmdapi.Config{
		Clusters:       map[string]*clientcmdapi.Cluster{name: cluster},
		AuthInfos:      map[string]*clientcmdapi.AuthInfo{name: user},
		Contexts:       map[string]*clientcmdapi.Context{name: {Cluster: name, AuthInfo: name, Namespace: namespace}},
		CurrentContext: name,
	})
}

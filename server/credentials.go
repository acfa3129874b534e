// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"time"

	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/client-go/util/cert"
)

// adminName is the common name in the administrator's certificate.
const adminName = "kubernetes-admin"

// credentials keeps the certificates of a server in its data dir: made on first
// start, used on later ones, renewed when a third of their life is left.
type credentials struct {
	dir   *dataDir
	names []string
	ips   []net.IP
	// address is what the kubeconfig points at: https://host:port.
	address string
	// given is the serving certificate that the operator gave, if any.
	given pairFiles
	now   func() time.Time
}

func (c *credentials) caFiles() pairFiles { return c.dir.pair("ca") }

// servingFiles are the operator's if there are any, else the server's own.
func (c *credentials) servingFiles() pairFiles {
	if c.given.cert != "" {
		return c.given
	}
	return c.dir.pair("server")
}
func (c *credentials) kubeconfig() string { return c.dir.join("admin.kubeconfig") }

// ensure makes what is missing and renews what is due, in the order of trust:
// authority, serving certificate, administrator. A crash in between leaves a
// prefix of it, which the next start completes.
func (c *credentials) ensure() error {
	ca, err := c.ensureCA()
	if err != nil {
		return err
	}
	if c.given.cert != "" {
		if _, err := c.given.read(); err != nil {
			return err
		}
	} else if err := c.ensureServing(ca); err != nil {
		return err
	}
	return c.ensureKubeconfig(ca)
}

func (c *credentials) ensureCA() (keyPair, error) {
	ca, err := c.caFiles().read()
	if err == nil && !due(ca.cert, c.now()) {
		return ca, nil
	}
	key := ca.key
	if errors.Is(err, fs.ErrNotExist) {
		key, err = newKey()
	}
	if err != nil {
		return keyPair{}, err
	}
	if ca, err = newCA(key, c.now()); err != nil {
		return keyPair{}, err
	}
	return ca, c.caFiles().write(ca)
}

func (c *credentials) ensureServing(ca keyPair) error {
	serving, err := c.servingFiles().read()
	if err == nil && !due(serving.cert, c.now()) && covers(serving.cert, c.names, c.ips) && serving.cert.CheckSignatureFrom(ca.cert) == nil {
		return nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if serving, err = ca.issue(servingTemplate(c.names, c.ips, c.now())); err != nil {
		return err
	}
	return c.servingFiles().write(serving)
}

func (c *credentials) ensureKubeconfig(ca keyPair) error {
	if c.kubeconfigIsGood(ca) {
		return nil
	}
	admin, err := ca.issue(clientTemplate(adminName, []string{user.SystemPrivilegedGroup}, c.now()))
	if err != nil {
		return err
	}
	keyPEM, err := admin.keyPEM()
	if err != nil {
		return err
	}
	cluster, err := c.cluster()
	if err != nil {
		return err
	}
	config := kubeconfigFor(cluster, &clientcmdapi.AuthInfo{ClientCertificateData: admin.certPEM(), ClientKeyData: keyPEM})
	encoded, err := clientcmd.Write(config)
	if err != nil {
		return fmt.Errorf("encoding the administrator's kubeconfig: %w", err)
	}
	return writeFile(c.kubeconfig(), encoded)
}

// kubeconfigIsGood tells whether the file on disk still does: the same server
// as seen from here, and a certificate of the authority that is not due.
func (c *credentials) kubeconfigIsGood(ca keyPair) bool {
	config, err := clientcmd.LoadFromFile(c.kubeconfig())
	if err != nil {
		return false
	}
	wanted, err := c.cluster()
	cluster, admin := config.Clusters[contextName], config.AuthInfos[contextName]
	if err != nil || cluster == nil || admin == nil {
		return false
	}
	if cluster.Server != wanted.Server || cluster.TLSServerName != wanted.TLSServerName || !bytes.Equal(cluster.CertificateAuthorityData, wanted.CertificateAuthorityData) {
		return false
	}
	pair, err := parseKeyPair(admin.ClientCertificateData, admin.ClientKeyData)
	return err == nil && !due(pair.cert, c.now()) && pair.cert.CheckSignatureFrom(ca.cert) == nil
}

// contextName is the one name used for cluster, user and context.
const contextName = "muster"

func kubeconfigFor(cluster *clientcmdapi.Cluster, auth *clientcmdapi.AuthInfo) clientcmdapi.Config {
	return clientcmdapi.Config{
		Clusters:       map[string]*clientcmdapi.Cluster{contextName: cluster},
		AuthInfos:      map[string]*clientcmdapi.AuthInfo{contextName: auth},
		Contexts:       map[string]*clientcmdapi.Context{contextName: {Cluster: contextName, AuthInfo: contextName}},
		CurrentContext: contextName,
	}
}

// cluster is how a client on this machine reaches the server. A certificate
// that the operator gave may be good for other names only; the client is then
// told which to expect.
func (c *credentials) cluster() (*clientcmdapi.Cluster, error) {
	bundle, err := c.trustBundle()
	if err != nil {
		return nil, err
	}
	cluster := &clientcmdapi.Cluster{Server: c.address, CertificateAuthorityData: bundle}
	serving, err := c.servingFiles().read()
	if err != nil {
		return nil, err
	}
	host, err := url.Parse(c.address)
	if err != nil {
		return nil, fmt.Errorf("reading the address of the server: %w", err)
	}
	if serving.cert.VerifyHostname(host.Hostname()) != nil && len(serving.cert.DNSNames) > 0 {
		cluster.TLSServerName = serving.cert.DNSNames[0]
	}
	return cluster, nil
}

// trustBundle are the authorities (PEM) by which clients know this server: its
// own, and those that the operator put behind the given serving certificate. It is
// published: of the file no more than certificates are taken, for it may hold the
// key, too.
func (c *credentials) trustBundle() ([]byte, error) {
	bundle, err := os.ReadFile(c.caFiles().cert)
	if err != nil {
		return nil, fmt.Errorf("reading the certificate authority: %w", err)
	}
	if c.given.cert == "" {
		return bundle, nil
	}
	given, err := cert.CertsFromFile(c.given.cert)
	if err != nil {
		return nil, fmt.Errorf("reading the serving certificate: %w", err)
	}
	behind, err := cert.EncodeCertificates(given...)
	if err != nil {
		return nil, fmt.Errorf("encoding the serving certificate: %w", err)
	}
	return append(bundle, behind...), nil
}

func httpsURL(host string) string {
	return (&url.URL{Scheme: "https", Host: host}).String()
}

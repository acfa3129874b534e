// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	etcdtransport "go.etcd.io/etcd/client/pkg/v3/transport"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/muster-identity/muster/mustertest"
	"github.com/muster-identity/muster/server"
)

// externalEtcd runs an etcd as an operator would beside Muster: on a TCP port, and with TLS if it is given certificates.
func externalEtcd(t *testing.T, certificates etcdtransport.TLSInfo) (address string) {
	t.Helper()
	config := embed.NewConfig()
	config.Dir = t.TempDir()
	config.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
	config.UnsafeNoFsync = true
	config.TickMs, config.ElectionMs = 10, 100
	listen := url.URL{Scheme: "http", Host: "127.0.0.1:0"}
	if !certificates.Empty() {
		listen.Scheme = "https"
		config.ClientTLSInfo = certificates
	}
	config.ListenClientUrls, config.AdvertiseClientUrls = []url.URL{listen}, []url.URL{listen}
	config.ListenPeerUrls, config.EnableGRPCGateway = nil, false
	config.InitialCluster = config.InitialClusterFromName(config.Name)
	etcd, err := embed.StartEtcd(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(etcd.Close)
	select {
	case <-etcd.Server.ReadyNotify():
	case <-time.After(readyTimeout):
		t.Fatal("the etcd did not become ready")
	}
	return listen.Scheme + "://" + etcd.Clients[0].Addr().String()
}

func generateKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// pemFile keeps a key or a certificate in a file.
func pemFile(t *testing.T, kind string, der []byte, err error) (path string) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "file.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func keyFile(t *testing.T, key *ecdsa.PrivateKey) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	return pemFile(t, "PRIVATE KEY", der, err)
}

// certificates are the files of an authority and of a pair that serves both an etcd on the loopback address and its client.
func certificates(t *testing.T) (authority, certificate, key string) {
	t.Helper()
	caKey, ownKey := generateKey(t), generateKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	ca, err := x509.CreateCertificate(rand.Reader, template, template, caKey.Public(), caKey)
	authority = pemFile(t, "CERTIFICATE", ca, err)
	own := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "etcd"}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	issued, err := x509.CreateCertificate(rand.Reader, own, template, ownKey.Public(), caKey)
	return authority, pemFile(t, "CERTIFICATE", issued, err), keyFile(t, ownKey)
}

func TestTwoServersOfOneStoreAreOne(t *testing.T) {
	t.Parallel()
	servers := replicas(t)
	one, other := servers[0].Client(), servers[1].Client()

	servers[0].Namespace("dev")
	token := servers[0].ServiceAccount("dev", "reporter").BearerToken
	if status := statusOf(t, other, token); !status.Authenticated {
		t.Errorf("the other server does not accept the token: %s", status.Error)
	}
	pod := createPod(t, one, func(*corev1.Pod) {})
	bound := requestToken(t, one, authenticationv1.TokenRequestSpec{BoundObjectRef: boundTo(pod)})
	if status := statusOf(t, other, bound); !status.Authenticated {
		t.Errorf("the other server does not accept the pod's token: %s", status.Error)
	}

	if err := one.CoreV1().Pods("dev").Delete(t.Context(), pod.Name, *metav1.NewDeleteOptions(0)); err != nil {
		t.Fatal(err)
	}
	if statusOf(t, one, bound).Authenticated {
		t.Error("the server that has deleted the pod accepts its token still")
	}
	soonRefused(t, other, bound)
	if err := other.CoreV1().ServiceAccounts("dev").Delete(t.Context(), "reporter", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	soonRefused(t, one, token)
}

// soonRefused waits until a server has heard from the store that a token is void.
func soonRefused(t *testing.T, client kubernetes.Interface, token string) {
	t.Helper()
	deadline := time.Now().Add(5 * time.Second)
	for statusOf(t, client, token).Authenticated {
		if time.Now().After(deadline) {
			t.Fatal("the other server accepts the token still")
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func TestAnExternalStoreMayAskForCertificates(t *testing.T) {
	t.Parallel()
	authority, certificate, key := certificates(t)
	etcd := externalEtcd(t, etcdtransport.TLSInfo{CertFile: certificate, KeyFile: key, TrustedCAFile: authority, ClientCertAuth: true})
	muster := mustertest.Start(t, func(o *server.Options) {
		transport := &o.Etcd.StorageConfig.Transport
		transport.ServerList, transport.TrustedCAFile, transport.CertFile, transport.KeyFile = []string{etcd}, authority, certificate, key
	})
	muster.Namespace("dev")
}

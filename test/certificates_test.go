// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package test

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	etcdtransport "go.etcd.io/etcd/client/pkg/v3/transport"
	authenticationv1 "k8s.io/api/authentication/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"

	"github.com/muster-identity/muster/mustertest"
	"github.com/muster-identity/muster/server"
)

// One server signs, and all servers of the store know the authority: none has to be told. Whoever reads what is published knows
// all servers.
func TestAuthoritiesAreSharedByAllServersOfAStore(t *testing.T) {
	t.Parallel()
	etcd := externalEtcd(t, etcdtransport.TLSInfo{})
	start := func(configure func(*server.Options)) *mustertest.Server {
		return mustertest.Start(t, func(o *server.Options) { o.Etcd.StorageConfig.Transport.ServerList = []string{etcd} }, configure)
	}
	given := filepath.Join(t.TempDir(), "serving.pem")
	writeServing(t, given)
	one := start(func(*server.Options) {})
	two := start(func(o *server.Options) {
		o.SecureServing.ServerCert.CertKey.CertFile, o.SecureServing.ServerCert.CertKey.KeyFile = given, given
	})
	t.Run("published", func(t *testing.T) {
		t.Parallel()
		serversAreKnown(t, one, two, given)
	})
	key := generateKey(t)
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "ann"}}, key)
	if err != nil {
		t.Fatal(err)
	}
	requests := one.Client().CertificatesV1().CertificateSigningRequests()
	csr, err := requests.Create(t.Context(), &certificatesv1.CertificateSigningRequest{
		ObjectMeta: metav1.ObjectMeta{Name: "ann"},
		Spec: certificatesv1.CertificateSigningRequestSpec{
			Request:    pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}),
			SignerName: certificatesv1.KubeAPIServerClientSignerName, Usages: []certificatesv1.KeyUsage{certificatesv1.UsageClientAuth},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	csr.Status.Conditions = []certificatesv1.CertificateSigningRequestCondition{{Type: certificatesv1.CertificateApproved, Status: corev1.ConditionTrue}}
	if _, err = requests.UpdateApproval(t.Context(), "ann", csr, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	err = wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		csr, err = requests.Get(ctx, "ann", metav1.GetOptions{})
		return err == nil && len(csr.Status.Certificate) > 0, err
	})
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, muster := range map[string]*mustertest.Server{"one": one, "two": two} {
		config := stranger(t, muster)
		config.CertData = csr.Status.Certificate
		config.KeyData = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})
		client, err := kubernetes.NewForConfig(config)
		if err != nil {
			t.Fatal(err)
		}
		review, err := client.AuthenticationV1().SelfSubjectReviews().Create(t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
		if err != nil || review.Status.UserInfo.Username != "ann" {
			t.Errorf("server %s knows %q (%v)", name, review.Status.UserInfo.Username, err)
		}
	}
}

// writeServing writes a serving certificate of a new authority into a file, with that authority and the key.
func writeServing(t *testing.T, file string) {
	t.Helper()
	caKey, key := generateKey(t), generateKey(t)
	life := x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	ca, leaf := life, life
	ca.Subject, ca.IsCA, ca.BasicConstraintsValid, ca.KeyUsage = pkix.Name{CommonName: "given-" + rand.Text()}, true, true, x509.KeyUsageCertSign
	leaf.Subject, leaf.IPAddresses, leaf.ExtKeyUsage = pkix.Name{CommonName: "muster"}, []net.IP{net.IPv4(127, 0, 0, 1)}, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	var text []byte
	for _, template := range []*x509.Certificate{&leaf, &ca} {
		public := key.Public()
		if template.IsCA {
			public = caKey.Public()
		}
		der, err := x509.CreateCertificate(rand.Reader, template, &ca, public, caKey)
		if err != nil {
			t.Fatal(err)
		}
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	text = append(text, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})...)
	if err := os.WriteFile(file+".new", text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
}

// serversAreKnown reaches all servers by what is published for pods, and again when the certificate of one, in a file that has its
// key as well, has been replaced by that of another authority.
func serversAreKnown(t *testing.T, one, two *mustertest.Server, given string) {
	client := one.Client()
	one.Namespace("dev")
	one.ServiceAccount("dev", "robot")
	tokenSecret(t, client, "robot", "robot")
	published := func() (bundle, secret string) {
		config, err := client.CoreV1().ConfigMaps("dev").Get(t.Context(), "kube-root-ca.crt", metav1.GetOptions{})
		if err != nil {
			return "", "" // not yet
		}
		return config.Data["ca.crt"], string(filled(t, client, "robot").Data["ca.crt"])
	}
	bundle := ""
	reached := func() bool {
		var secret string
		bundle, secret = published()
		if strings.Contains(bundle+secret, "PRIVATE") {
			t.Fatal("the key of the server is published")
		}
		return bundle == secret && known(t, one, bundle) && known(t, two, bundle)
	}
	eventually(t, "both servers are known by what is published", reached)
	before := bundle
	writeServing(t, given)
	eventually(t, "the server is known by its new certificate", func() bool { return reached() && !known(t, two, before) })
}

// known tells whether a server is known by a bundle.
func known(t *testing.T, muster *mustertest.Server, bundle string) bool {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(bundle))
	connection, err := tls.Dial("tcp", strings.TrimPrefix(muster.URL(), "https://"), &tls.Config{RootCAs: roots})
	if err != nil {
		return false
	}
	return connection.Close() == nil
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package services

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"

	"github.com/go-jose/go-jose/v4"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/muster-identity/muster/mustertest"
	"github.com/muster-identity/muster/server"
	"github.com/muster-identity/muster/verify"
)

const audience = "https://vault.example"

// ship is a server with the accounts vault, which may review tokens, reporter and
// stranger in the namespace dev. The test has the key that signs.
type ship struct {
	*mustertest.Server
	key *ecdsa.PrivateKey
	dir string
}

func sail(t *testing.T) *ship {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	keyFile := filepath.Join(dir, "signing.key")
	write(t, keyFile, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}))
	s := &ship{mustertest.Start(t, func(o *server.Options) { o.ServiceAccounts.SigningKeyFile = keyFile }), key, dir}
	s.Namespace("dev")
	fromOutside, err := clientcmd.BuildConfigFromFlags("", s.Kubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "ca.crt"), fromOutside.CAData)
	for _, account := range []string{"vault", "reporter", "stranger"} {
		write(t, filepath.Join(dir, account+".token"), []byte(s.ServiceAccount("dev", account).BearerToken))
	}
	if _, err := s.Client().CoreV1().Nodes().Create(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	s.bind(t, "system:auth-delegator", rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: "dev", Name: "vault"})
	return s
}

func write(t *testing.T, file string, content []byte) {
	t.Helper()
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func (s *ship) bind(t *testing.T, role string, subject rbacv1.Subject) {
	t.Helper()
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: role + "-" + subject.Name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
		Subjects:   []rbacv1.Subject{subject},
	}
	if _, err := s.Client().RbacV1().ClusterRoleBindings().Create(t.Context(), binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// apiServer is how an account reaches the server.
func (s *ship) apiServer(t *testing.T, account string) *verify.APIServer {
	t.Helper()
	return &verify.APIServer{
		URL: s.URL(), CAFile: filepath.Join(s.dir, "ca.crt"), TokenFile: filepath.Join(s.dir, account+".token"),
	}
}

// pod makes a pod of an account.
func (s *ship) pod(t *testing.T, account string) *metav1.ObjectMeta {
	t.Helper()
	pod, err := s.Client().CoreV1().Pods("dev").Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: account + "-1"},
		Spec: corev1.PodSpec{
			ServiceAccountName: account, NodeName: "n1", Containers: []corev1.Container{{Name: "main", Image: "main"}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return &pod.ObjectMeta
}

// token is what a projected volume of the pod would hold.
func (s *ship) token(t *testing.T, account string, pod *metav1.ObjectMeta, audiences ...string) string {
	t.Helper()
	seconds := int64(600)
	request, err := s.Client().CoreV1().ServiceAccounts("dev").CreateToken(t.Context(), account, &authenticationv1.TokenRequest{
		Spec: authenticationv1.TokenRequestSpec{
			Audiences: audiences, ExpirationSeconds: &seconds,
			BoundObjectRef: &authenticationv1.BoundObjectReference{Kind: "Pod", APIVersion: "v1", Name: pod.Name, UID: pod.UID},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return request.Status.Token
}

// signAgain is a token with other claims, signed by the server's own key: what
// the server itself would have made at another time.
func (s *ship) signAgain(t *testing.T, token string, change func(claims map[string]any)) string {
	t.Helper()
	jws, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		t.Fatal(err)
	}
	payload, err := jws.Verify(s.key.Public())
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	change(claims)
	if payload, err = json.Marshal(claims); err != nil {
		t.Fatal(err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{
		Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: s.key, KeyID: jws.Signatures[0].Header.KeyID},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if jws, err = signer.Sign(payload); err != nil {
		t.Fatal(err)
	}
	again, err := jws.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return again
}

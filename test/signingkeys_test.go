// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	etcdtransport "go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/muster-identity/muster/keyring/rotation"
	"github.com/muster-identity/muster/mustertest"
	"github.com/muster-identity/muster/server"
)

// startAt starts a server over an etcd with a clock of the test's.
func startAt(t *testing.T, etcd string, now func() time.Time) *server.Server {
	t.Helper()
	options := server.NewOptions()
	options.SecureServing.BindAddress, options.SecureServing.BindPort = net.IPv4(127, 0, 0, 1), 0
	options.Etcd.StorageConfig.Transport.ServerList = []string{etcd}
	s := &server.Server{DataDir: t.TempDir(), Options: options, Now: now}
	ctx, cancel := context.WithTimeout(t.Context(), readyTimeout)
	defer cancel()
	if err := s.Start(ctx); err != nil {
		t.Error(err)
		return s
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// keysOf are the states of a server's keys in the order of the list, and their names.
func keysOf(t *testing.T, keys dynamic.ResourceInterface) (states string, names []string) {
	t.Helper()
	list, err := keys.List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, key := range list.Items {
		state, _, _ := unstructured.NestedString(key.Object, "status", "state")
		all = append(all, state)
		names = append(names, key.GetName())
	}
	return strings.Join(all, " "), names
}

// awaitKeys waits until all servers have the keys in these states.
func awaitKeys(t *testing.T, want string, servers ...dynamic.ResourceInterface) {
	t.Helper()
	deadline := time.Now().Add(readyTimeout)
	for _, keys := range servers {
		for got, _ := keysOf(t, keys); got != want; got, _ = keysOf(t, keys) {
			if time.Now().After(deadline) {
				t.Fatalf("the keys are %q, want %q", got, want)
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
}

// Tokens are issued and reviewed by two servers of one store, each asking the other, while the key is rotated: not one
// request fails. Both have begun on an empty store at once.
func TestKeysAreSharedAndRotatedUnderLoadWithoutAFailure(t *testing.T) {
	t.Parallel()
	etcd := externalEtcd(t, etcdtransport.TLSInfo{})
	var offset atomic.Int64
	now := func() time.Time { return time.Now().Add(time.Duration(offset.Load())) }
	var servers [2]*server.Server
	var starting sync.WaitGroup
	for i := range servers {
		starting.Go(func() { servers[i] = startAt(t, etcd, now) })
	}
	starting.Wait()
	if t.Failed() {
		t.FailNow()
	}
	var clients [2]kubernetes.Interface
	var keys [2]dynamic.ResourceInterface
	for i, s := range servers {
		clients[i] = kubernetes.NewForConfigOrDie(s.AdminConfig())
		keys[i] = dynamic.NewForConfigOrDie(s.AdminConfig()).Resource(signingKeys)
	}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "dev"}}
	if _, err := clients[0].CoreV1().Namespaces().Create(t.Context(), namespace, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "reporter"}}
	if _, err := clients[0].CoreV1().ServiceAccounts("dev").Create(t.Context(), account, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	awaitKeys(t, "Signing", keys[:]...)
	_, first := keysOf(t, keys[0])
	if _, other := keysOf(t, keys[1]); first[0] != other[0] {
		t.Fatalf("the servers have begun with two keys, %s and %s", first[0], other[0])
	}

	// The tokens live longer than all that follows.
	lasting := authenticationv1.TokenRequestSpec{ExpirationSeconds: new(int64(10 * 3600))}
	old := requestToken(t, clients[0], lasting)
	var stop atomic.Bool
	var load sync.WaitGroup
	var checks atomic.Int64
	for i := range 4 {
		load.Go(func() {
			for !stop.Load() && !t.Failed() {
				if err := issueAndReview(t.Context(), clients[i%2], clients[(i+i/2)%2], lasting); err != nil {
					t.Error(err)
				}
				checks.Add(1)
			}
		})
	}
	watched, err := keys[1].Watch(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer watched.Stop()
	made, err := keys[0].Create(t.Context(), newSigningKey(), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	awaitKeys(t, "Published Signing", keys[:]...)
	offset.Add(int64(rotation.Lead + time.Second))
	awaitKeys(t, "Signing Verifying", keys[:]...)
	for reached := checks.Load() + 40; checks.Load() < reached && !t.Failed(); {
		time.Sleep(time.Millisecond)
	}
	stop.Store(true)
	load.Wait()
	t.Logf("%d tokens issued and reviewed", checks.Load())

	if status := statusOf(t, clients[1], old); !status.Authenticated {
		t.Errorf("a token of the old key is refused: %s", status.Error)
	}
	var seen []string
	for len(seen) < 5 {
		event := <-watched.ResultChan()
		key, ok := event.Object.(*unstructured.Unstructured)
		if !ok {
			t.Fatalf("the watch has told of %v", event)
		}
		state, _, _ := unstructured.NestedString(key.Object, "status", "state")
		seen = append(seen, fmt.Sprint(event.Type, " ", state))
	}
	if got, want := strings.Join(seen, ", "), "ADDED Signing, ADDED Published, MODIFIED Signing, MODIFIED Signing, MODIFIED Verifying"; got != want {
		t.Errorf("the other server's watch has told of %s, want %s", got, want)
	}

	// Retired on one server, the old key's tokens are void there at once, and soon on the other.
	if err := keys[0].Delete(t.Context(), first[0], metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if statusOf(t, clients[0], old).Authenticated {
		t.Error("the server that has retired the key accepts its token still")
	}
	soonRefused(t, clients[1], old)
	if states, names := keysOf(t, keys[0]); states != "Signing" || names[0] != made.GetName() {
		t.Errorf("the keys are %q, %v", states, names)
	}
}

var signingKeys = schema.GroupVersionResource{Group: "identity.muster.id", Version: "v1", Resource: "signingkeys"}

func newSigningKey() *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{"apiVersion": "identity.muster.id/v1", "kind": "SigningKey"}}
}

// issueAndReview has one server issue a token and another check it.
func issueAndReview(ctx context.Context, one, other kubernetes.Interface, spec authenticationv1.TokenRequestSpec) error {
	request := &authenticationv1.TokenRequest{Spec: spec}
	issued, err := one.CoreV1().ServiceAccounts("dev").CreateToken(ctx, "reporter", request, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("issuing: %w", err)
	}
	review := &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: issued.Status.Token}}
	review, err = other.AuthenticationV1().TokenReviews().Create(ctx, review, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("reviewing: %w", err)
	}
	if !review.Status.Authenticated {
		return fmt.Errorf("a token is refused: %s", review.Status.Error)
	}
	return nil
}

const encryptionConfig = `{"apiVersion":"apiserver.config.k8s.io/v1","kind":"EncryptionConfiguration","resources":[
{"resources":[%q],"providers":[{"secretbox":{"keys":[{"name":"one","secret":"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="}]}}]}]}`

func TestSigningKeysAreEncryptedInTheStoreByTheirOwnNameAndByWildcards(t *testing.T) {
	t.Parallel()
	etcd := externalEtcd(t, etcdtransport.TLSInfo{})
	store := storeAt(t, etcd)
	for prefix, resource := range map[string]string{"/plain": "", "/named": "signingkeys.identity.muster.id", "/wild": "*.*"} {
		t.Run(prefix, func(t *testing.T) {
			t.Parallel()
			mustertest.Start(t, func(o *server.Options) {
				o.Etcd.StorageConfig.Transport.ServerList, o.Etcd.StorageConfig.Prefix = []string{etcd}, prefix
				if resource != "" {
					o.Etcd.EncryptionProviderConfigFilepath = filepath.Join(t.TempDir(), "encryption.json")
					if err := os.WriteFile(o.Etcd.EncryptionProviderConfigFilepath, fmt.Appendf(nil, encryptionConfig, resource), 0o600); err != nil {
						t.Fatal(err)
					}
				}
			})
			found, err := store.Get(t.Context(), prefix, clientv3.WithPrefix())
			if err != nil {
				t.Fatal(err)
			}
			var legible, encrypted bool
			for _, stored := range found.Kvs {
				if prefix == "/named" && !strings.Contains(string(stored.Key), "signingkeys") {
					continue // authorities have a name of their own
				}
				legible = legible || bytes.Contains(stored.Value, []byte("PRIVATE KEY"))
				encrypted = encrypted || strings.Contains(string(stored.Key), "signingkeys") && bytes.HasPrefix(stored.Value, []byte("k8s:enc:secretbox:v1:one:"))
			}
			if want := resource == ""; legible != want || encrypted == want {
				t.Errorf("legible %v, encrypted %v; want %v, %v", legible, encrypted, want, !want)
			}
		})
	}
}

func TestEverybodyReadsTheDiscoveryDocumentsIfToldAndNothingElse(t *testing.T) {
	t.Parallel()
	muster := mustertest.Start(t, func(o *server.Options) {
		o.AnonymousAuth = false
		o.TLSSANs = []string{"*.example.com"}
		o.ServiceAccounts.Issuers = []string{"https://id.example.com/here"}
		o.ServiceAccounts.DiscoveryAnonymous = true
	})
	muster.Namespace("dev")
	account := muster.ServiceAccount("dev", "default")
	for _, test := range []struct {
		who          *rest.Config
		method, path string
		code         int
		says         string
	}{
		{rest.AnonymousClientConfig(muster.Admin()), http.MethodGet, "/.well-known/openid-configuration", http.StatusOK, `"jwks_uri":"https://id.example.com/here/openid/v1/jwks"`},
		{rest.AnonymousClientConfig(muster.Admin()), http.MethodGet, "/openid/v1/jwks", http.StatusOK, `"alg":"ES256"`},
		{rest.AnonymousClientConfig(muster.Admin()), http.MethodPost, "/openid/v1/jwks", http.StatusForbidden, ""},
		{rest.AnonymousClientConfig(muster.Admin()), http.MethodGet, "/openid/v1", http.StatusUnauthorized, ""},
		{rest.AnonymousClientConfig(muster.Admin()), http.MethodGet, "/healthz", http.StatusUnauthorized, ""},
		{rest.AnonymousClientConfig(muster.Admin()), http.MethodGet, "/apis/identity.muster.id/v1/signingkeys", http.StatusUnauthorized, ""},
		{account, http.MethodGet, "/openid/v1/jwks", http.StatusOK, ""},
		{muster.Admin(), http.MethodPut, "/openid/v1/jwks", http.StatusMethodNotAllowed, ""},
	} {
		client, err := rest.HTTPClientFor(test.who)
		if err != nil {
			t.Fatal(err)
		}
		request, err := http.NewRequestWithContext(t.Context(), test.method, muster.URL()+test.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		if response.StatusCode != test.code || !bytes.Contains(body, []byte(test.says)) {
			t.Errorf("%s %s: %d %s, want %d and %q", test.method, test.path, response.StatusCode, body, test.code, test.says)
		}
		if cached := response.Header.Get("Cache-Control"); test.code == http.StatusOK && cached != "public, max-age=3600" {
			t.Errorf("%s: Cache-Control %q", test.path, cached)
		}
	}
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	etcdtransport "go.etcd.io/etcd/client/pkg/v3/transport"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	identityv1 "github.com/muster-identity/muster/identity/v1"
	"github.com/muster-identity/muster/keyring/rotation"
	"github.com/muster-identity/muster/mustertest"
	"github.com/muster-identity/muster/server"
)

const revocationsPath = "/apis/identity.muster.id/v1/tokenrevocations"

// revoke makes a revocation and returns what was made.
func revoke(t *testing.T, client kubernetes.Interface, spec identityv1.TokenRevocationSpec, parameters ...string) *identityv1.TokenRevocation {
	t.Helper()
	body, err := json.Marshal(identityv1.TokenRevocation{
		TypeMeta:   metav1.TypeMeta{APIVersion: "identity.muster.id/v1", Kind: "TokenRevocation"},
		ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"}, Spec: spec,
	})
	if err != nil {
		t.Fatal(err)
	}
	request := client.Discovery().RESTClient().Post().AbsPath(revocationsPath).SetHeader("Content-Type", "application/json").Body(body)
	for _, parameter := range parameters {
		name, value, _ := strings.Cut(parameter, "=")
		request = request.Param(name, value)
	}
	result := request.Do(t.Context())
	if err := result.Error(); err != nil {
		t.Fatal(err)
	}
	answer, err := result.Raw()
	made := &identityv1.TokenRevocation{}
	if err == nil {
		err = json.Unmarshal(answer, made)
	}
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// restore deletes a revocation.
func restore(t *testing.T, client kubernetes.Interface, name string) {
	t.Helper()
	if err := client.Discovery().RESTClient().Delete().AbsPath(revocationsPath, name).Do(t.Context()).Error(); err != nil {
		t.Fatal(err)
	}
}

// tokenOf reads of a token what revocations go by.
func tokenOf(t *testing.T, token string) (claims struct{ Issuer, JTI string }, key string) {
	t.Helper()
	var header struct {
		KID string `json:"kid"`
	}
	var payload struct {
		Issuer string `json:"iss"`
		JTI    string `json:"jti"`
	}
	segment(t, token, 0, &header)
	segment(t, token, 1, &payload)
	claims.Issuer, claims.JTI = payload.Issuer, payload.JTI
	return claims, header.KID
}

// Each way of revoking is tried on two servers of one store: at once on the one that is asked, soon on the other.
func TestARevocationIsInForceWhenItReturnsAndSoonOnOtherServers(t *testing.T) {
	t.Parallel()
	etcd, key := externalEtcd(t, etcdtransport.TLSInfo{}), keyFile(t, generateKey(t))
	start := func() *mustertest.Server {
		return mustertest.Start(t, func(o *server.Options) {
			o.Etcd.StorageConfig.Transport.ServerList = []string{etcd}
			o.ServiceAccounts.SigningKeyFile = key
			o.ServiceAccounts.MaxExpiration = time.Hour
		})
	}
	first := start()
	one, other := first.Client(), start().Client()
	first.Namespace("dev")
	first.ServiceAccount("dev", "reporter")
	node, err := one.CoreV1().Nodes().Create(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "worker-3"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	pod := createPod(t, one, func(p *corev1.Pod) { p.Spec.NodeName = node.Name })
	ask := authenticationv1.TokenRequestSpec{BoundObjectRef: boundTo(pod)}
	token, second := requestToken(t, one, ask), requestToken(t, one, ask)
	claims, keyID := tokenOf(t, token)
	account, err := one.CoreV1().ServiceAccounts("dev").Get(t.Context(), "reporter", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}

	good := func(client kubernetes.Interface, token string) {
		t.Helper()
		if status := statusOf(t, client, token); !status.Authenticated {
			t.Errorf("the token is not good: %s", status.Error)
		}
	}
	for _, way := range []struct {
		name   string
		spec   identityv1.TokenRevocationSpec
		single bool // whether the second token stays good
		ends   bool
	}{
		{"token", identityv1.TokenRevocationSpec{Token: &identityv1.RevokedToken{Issuer: claims.Issuer, JTI: claims.JTI}}, true, true},
		{"account", identityv1.TokenRevocationSpec{ServiceAccount: &identityv1.RevokedServiceAccount{Namespace: "dev", Name: "reporter"}}, false, true},
		{"account by UID", identityv1.TokenRevocationSpec{ServiceAccount: &identityv1.RevokedServiceAccount{Namespace: "dev", Name: "reporter", UID: account.UID}}, false, true},
		{"key", identityv1.TokenRevocationSpec{Key: &identityv1.RevokedKey{ID: keyID}}, false, false},
		{"node", identityv1.TokenRevocationSpec{Node: &identityv1.RevokedNode{Name: node.Name}}, false, false},
		{"node by UID", identityv1.TokenRevocationSpec{Node: &identityv1.RevokedNode{Name: node.Name, UID: node.UID}}, false, false},
	} {
		t.Run(way.name, func(t *testing.T) {
			good(one, token)
			good(other, token)
			revoke(t, one, way.spec, "dryRun=All")
			good(one, token)
			way.spec.Reason = "it is a test"
			made := revoke(t, one, way.spec)
			want := "[invalid bearer token, service account token has been revoked: it is a test]"
			if status := statusOf(t, one, token); status.Authenticated || !strings.HasPrefix(status.Error, want) {
				t.Errorf("once revoked: authenticated %v, %q, want %q", status.Authenticated, status.Error, want)
			}
			if good := statusOf(t, one, second).Authenticated; good != way.single {
				t.Errorf("another token is good: %v, want %v", good, way.single)
			}
			began := time.Now()
			soonRefused(t, other, token)
			t.Logf("the other server has refused it after %s", time.Since(began).Round(time.Millisecond))
			// Nobody knows what the key of a file has signed under other settings.
			if at := made.Spec.ExpirationTimestamp; (at != nil) != way.ends || way.ends && time.Until(at.Time) < rotation.MaxLongest-time.Minute {
				t.Errorf("the revocation expires at %v, want it to end: %v, and no sooner than any token", at, way.ends)
			}
			restore(t, one, made.Name)
			good(one, token)
			for deadline := time.Now().Add(5 * time.Second); !statusOf(t, other, token).Authenticated && time.Now().Before(deadline); {
				time.Sleep(5 * time.Millisecond)
			}
		})
	}
	t.Run("what was issued later, or to another of the name, is good", func(t *testing.T) {
		before := time.Now().Add(-30 * time.Minute)
		early := revoke(t, one, identityv1.TokenRevocationSpec{ServiceAccount: &identityv1.RevokedServiceAccount{Namespace: "dev", Name: "reporter", IssuedBefore: &metav1.Time{Time: before}}})
		stranger := revoke(t, one, identityv1.TokenRevocationSpec{ServiceAccount: &identityv1.RevokedServiceAccount{Namespace: "dev", Name: "reporter", UID: "another"}})
		good(one, token)
		restore(t, one, early.Name)
		restore(t, one, stranger.Name)
	})
	t.Run("it is kept as JSON under the group's name", func(t *testing.T) {
		made := revoke(t, one, identityv1.TokenRevocationSpec{Key: &identityv1.RevokedKey{ID: "none"}})
		found, err := storeAt(t, etcd).Get(t.Context(), "/registry/identity.muster.id/tokenrevocations/"+made.Name)
		if err != nil || len(found.Kvs) != 1 || !json.Valid(found.Kvs[0].Value) {
			t.Errorf("found %v (%v), want one object in JSON", found, err)
		}
	})
	t.Run("it is served as JSON", func(t *testing.T) { servedAsJSON(t, one) })
}

// Tokens that were issued under a longer maximum than there is now, by another server at that, are outlasted by their
// revocation; where the keys are in the store, it ends soon after.
func TestARevocationOutlastsTokensOfALongerMaximum(t *testing.T) {
	t.Parallel()
	etcd := externalEtcd(t, etcdtransport.TLSInfo{})
	start := func(longest time.Duration) *mustertest.Server {
		return mustertest.Start(t, func(o *server.Options) {
			o.Etcd.StorageConfig.Transport.ServerList = []string{etcd}
			o.ServiceAccounts.MaxExpiration = longest
		})
	}
	before := start(0)
	before.Namespace("dev")
	before.ServiceAccount("dev", "reporter")
	now := start(time.Hour).Client()
	claims, _ := tokenOf(t, requestToken(t, before.Client(), authenticationv1.TokenRequestSpec{ExpirationSeconds: new(int64(3 * 24 * 60 * 60))}))
	for name, spec := range map[string]identityv1.TokenRevocationSpec{
		"token":   {Token: &identityv1.RevokedToken{Issuer: claims.Issuer, JTI: claims.JTI}},
		"account": {ServiceAccount: &identityv1.RevokedServiceAccount{Namespace: "dev", Name: "reporter"}},
	} {
		at := revoke(t, now, spec).Spec.ExpirationTimestamp
		if at == nil || time.Until(at.Time) < 3*24*time.Hour || time.Until(at.Time) > 5*24*time.Hour {
			t.Errorf("by its %s: the revocation of a token for three days expires at %v", name, at)
		}
	}
}

// servedAsJSON asks for protobuf, which the types do not have.
func servedAsJSON(t *testing.T, client kubernetes.Interface) {
	t.Helper()
	const protobuf = "application/vnd.kubernetes.protobuf"
	get := func(accept string) ([]byte, error) {
		return client.Discovery().RESTClient().Get().AbsPath(revocationsPath).SetHeader("Accept", accept).Do(t.Context()).Raw()
	}
	if body, err := get(protobuf + ",application/json"); err != nil || !bytes.HasPrefix(body, []byte("{")) {
		t.Errorf("who takes both gets %.20q (%v), want JSON", body, err)
	}
	var status apierrors.APIStatus
	if _, err := get(protobuf); err == nil {
		t.Error("who takes protobuf only is answered")
	} else if status, _ = err.(apierrors.APIStatus); status == nil || status.Status().Code != http.StatusNotAcceptable {
		t.Errorf("who takes protobuf only gets %v, want 406", err)
	}
}

// Tokens are revoked and restored while others are reviewed; nobody who asks after the answer gets the old one.
func TestNobodyWhoAsksAfterARevocationReturnedFindsTheTokenGood(t *testing.T) {
	t.Parallel()
	client := dev(t)
	var holders sync.WaitGroup
	for holder := range 4 {
		holders.Go(func() {
			token := requestToken(t, client, authenticationv1.TokenRequestSpec{})
			claims, _ := tokenOf(t, token)
			for round := range 8 {
				made := revoke(t, client, identityv1.TokenRevocationSpec{Token: &identityv1.RevokedToken{Issuer: claims.Issuer, JTI: claims.JTI}})
				if statusOf(t, client, token).Authenticated {
					t.Errorf("holder %d, round %d: a revoked token is good", holder, round)
				}
				restore(t, client, made.Name)
				if status := statusOf(t, client, token); !status.Authenticated {
					t.Errorf("holder %d, round %d: a restored token is not good: %s", holder, round, status.Error)
				}
			}
		})
	}
	holders.Wait()
}

// Whoever may do everything in namespaces may not revoke: it concerns tokens of all.
func TestOnlyAdministratorsRevoke(t *testing.T) {
	t.Parallel()
	server := mustertest.Start(t)
	for _, role := range []string{"admin", "edit", "view"} {
		config := server.Admin()
		config.Impersonate.UserName, config.Impersonate.Groups = role, []string{"system:authenticated"}
		binding := &rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: "test-" + role},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
			Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: role}},
		}
		if _, err := server.Client().RbacV1().ClusterRoleBindings().Create(t.Context(), binding, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		client, err := kubernetes.NewForConfig(config)
		if err != nil {
			t.Fatal(err)
		}
		for name, err := range map[string]error{
			"create": client.Discovery().RESTClient().Post().AbsPath(revocationsPath).SetHeader("Content-Type", "application/json").
				Body([]byte(`{"metadata":{"name":"r"},"spec":{"key":{"id":"k"}}}`)).Do(t.Context()).Error(),
			"list": client.Discovery().RESTClient().Get().AbsPath(revocationsPath).Do(t.Context()).Error(),
		} {
			if !apierrors.IsForbidden(err) {
				t.Errorf("%s: %s: got %v, want it forbidden", role, name, err)
			}
		}
	}
}

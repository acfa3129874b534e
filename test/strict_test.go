// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package test

import (
	"testing"

	etcdtransport "go.etcd.io/etcd/client/pkg/v3/transport"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"

	identityv1 "github.com/muster-identity/muster/identity/v1"
	"github.com/muster-identity/muster/mustertest"
	"github.com/muster-identity/muster/server"
)

// Besides the objects of tokens, which histories are of, what one server has revoked and whose key it has retired is void at
// once on one that is strict, however late it hears of it.
func TestAStrictServerKnowsOfRevocationsAndOfKeysAtOnce(t *testing.T) {
	t.Parallel()
	etcd := externalEtcd(t, etcdtransport.TLSInfo{})
	far := newWire(t, etcd)
	start := func(address, consistency string) *mustertest.Server {
		return mustertest.Start(t, func(o *server.Options) {
			o.Etcd.StorageConfig.Transport.ServerList = []string{address}
			o.ServiceAccounts.TokenConsistency = consistency
		})
	}
	near := start(etcd, server.LocalConsistency)
	near.Namespace("dev")
	near.ServiceAccount("dev", "reporter")
	one, other := near.Client(), start(far.address, server.StrictConsistency).Client()
	keys := dynamic.NewForConfigOrDie(near.Admin()).Resource(signingKeys)

	token := requestToken(t, one, authenticationv1.TokenRequestSpec{})
	claims, key := tokenOf(t, token)
	if status := statusOf(t, other, token); !status.Authenticated {
		t.Fatalf("before anything has happened: %s", status.Error)
	}
	far.delay.Store(int64(strictDelay))
	made := revoke(t, one, identityv1.TokenRevocationSpec{Token: &identityv1.RevokedToken{Issuer: claims.Issuer, JTI: claims.JTI}})
	if statusOf(t, other, token).Authenticated {
		t.Error("a token is good that was revoked elsewhere")
	}
	restore(t, one, made.Name)
	if status := statusOf(t, other, token); !status.Authenticated {
		t.Errorf("the revocation was deleted elsewhere: %s", status.Error)
	}
	if _, err := keys.Create(t.Context(), newSigningKey(), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := keys.Delete(t.Context(), key, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if statusOf(t, other, token).Authenticated {
		t.Error("a token is good whose key was retired elsewhere")
	}
	fresh := requestToken(t, one, authenticationv1.TokenRequestSpec{})
	if status := statusOf(t, other, fresh); !status.Authenticated {
		t.Errorf("a token of the new key: %s", status.Error)
	}
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package authn_test

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"

	"github.com/muster-identity/muster/authn"
	identityv1 "github.com/muster-identity/muster/identity/v1"
	"github.com/muster-identity/muster/live"
)

// revocations is a live view that knows all revocations there are: none yet.
type revocations struct {
	view     *live.View
	revision int64
}

func newRevocations(t testing.TB) *revocations {
	t.Helper()
	r := &revocations{view: live.New(nil, nil), revision: 1}
	ctx, end := context.WithCancel(context.Background())
	ended := make(chan struct{})
	t.Cleanup(func() { end(); <-ended })
	list := &cache.ListWatch{
		ListWithContextFunc: func(context.Context, metav1.ListOptions) (runtime.Object, error) {
			return &identityv1.TokenRevocationList{ListMeta: metav1.ListMeta{ResourceVersion: "1"}}, nil
		},
		WatchFuncWithContext: func(context.Context, metav1.ListOptions) (watch.Interface, error) {
			return watch.NewFake(), nil
		},
	}
	listed := make(chan struct{})
	go func() {
		defer close(ended)
		if err := r.view.Feed(ctx, identityv1.Resource("tokenrevocations"), list, &identityv1.TokenRevocation{}, func() { close(listed) }); err != nil {
			t.Error(err)
		}
	}()
	<-listed
	return r
}

func (r *revocations) write(name string, spec identityv1.TokenRevocationSpec, deleted bool) {
	r.revision++
	r.view.Commit(identityv1.Resource("tokenrevocations"), &identityv1.TokenRevocation{
		ObjectMeta: metav1.ObjectMeta{Name: name, ResourceVersion: strconv.FormatInt(r.revision, 10)}, Spec: spec,
	}, deleted)
}

const isRevoked = "service account token has been revoked"

func TestARevokedTokenIsRefusedAtItsNextUse(t *testing.T) {
	t.Parallel()
	account := func(uid string, before time.Time) identityv1.TokenRevocationSpec {
		return identityv1.TokenRevocationSpec{ServiceAccount: &identityv1.RevokedServiceAccount{
			Namespace: "shop", Name: "cart", UID: uidOf(uid), IssuedBefore: &metav1.Time{Time: before},
		}}
	}
	second := now.Truncate(time.Second)
	tests := map[string]struct {
		spec identityv1.TokenRevocationSpec
		// kind is that of the object that the token is bound to; "" for none.
		kind string
		want string
	}{
		"by its id":                     {identityv1.TokenRevocationSpec{Token: &identityv1.RevokedToken{Issuer: api, JTI: grant().ID}}, "", isRevoked},
		"by its id, with a reason":      {identityv1.TokenRevocationSpec{Token: &identityv1.RevokedToken{Issuer: api, JTI: grant().ID}, Reason: "it was in a log"}, "", isRevoked + ": it was in a log"},
		"by the id of another's token":  {identityv1.TokenRevocationSpec{Token: &identityv1.RevokedToken{Issuer: other, JTI: grant().ID}}, "", ""},
		"by another id":                 {identityv1.TokenRevocationSpec{Token: &identityv1.RevokedToken{Issuer: api, JTI: "another"}}, "", ""},
		"by its account":                {account("", second.Add(time.Second)), "", isRevoked},
		"by its account's UID":          {account("cart-uid", second.Add(time.Second)), "pods", isRevoked},
		"by the UID of another account": {account("another", second.Add(time.Second)), "", ""},
		"issued when it is spared":      {account("", second), "", ""},
		"by its node":                   {identityv1.TokenRevocationSpec{Node: &identityv1.RevokedNode{Name: "n1"}}, "nodes", isRevoked},
		"by the node of its pod":        {identityv1.TokenRevocationSpec{Node: &identityv1.RevokedNode{Name: "n1", UID: "node-uid"}}, "pods", isRevoked},
		"by another node of the name":   {identityv1.TokenRevocationSpec{Node: &identityv1.RevokedNode{Name: "n1", UID: "another"}}, "pods", ""},
		"by a node it does not name":    {identityv1.TokenRevocationSpec{Node: &identityv1.RevokedNode{Name: "n1"}}, "secrets", ""},
		"by another key":                {identityv1.TokenRevocationSpec{Key: &identityv1.RevokedKey{ID: "another"}}, "", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRevocations(t)
			d := newDesk(t, func(s *authn.ServiceAccounts) { s.Revocations = r.view.Revocations() })
			compact := d.sign(t, claimsOf(test.kind))
			for range 2 {
				if got := d.verdict(t.Context(), compact); got != "" {
					t.Fatalf("before: %q", got)
				}
			}
			r.write("one", test.spec, false)
			for range 2 {
				if got := d.verdict(t.Context(), compact); got != test.want {
					t.Errorf("revoked: %q, want %q", got, test.want)
				}
			}
			explanation, _ := d.Explain(t.Context(), compact)
			if got := strings.Contains(explanation.String(), `revocation: wanted no revocation, got tokenrevocation "one"`); got != (test.want != "") {
				t.Errorf("the explanation is %q", explanation)
			}
			r.write("one", test.spec, true)
			if got := d.verdict(t.Context(), compact); got != "" {
				t.Errorf("after the revocation was deleted: %q", got)
			}
		})
	}
}

// Whoever has a stolen key writes into the header what he likes, or nothing.
func TestATokenIsRevokedByTheKeyThatSignedIt(t *testing.T) {
	t.Parallel()
	r := newRevocations(t)
	d := newDesk(t, func(s *authn.ServiceAccounts) { s.Revocations = r.view.Revocations() })
	next := newSigner(t)
	d.keys.Replace(newRing(t, next, d.signer.key))
	payload := encode(t, grant().Claims())
	named, nameless := d.sign(t, grant().Claims()), d.signer.anonymously(t, payload)
	fresh, freshNameless := d.signer.anonymously(t, payload), next.anonymously(t, payload)
	for _, compact := range []string{named, nameless} {
		if got := d.verdict(t.Context(), compact); got != "" {
			t.Fatalf("before: %q", got)
		}
	}
	r.write("stolen", identityv1.TokenRevocationSpec{Key: &identityv1.RevokedKey{ID: d.signer.key.ID}}, false)
	for what, compact := range map[string]string{"one that names its key": named, "one that does not": nameless, "one that was never seen": fresh} {
		if got := d.verdict(t.Context(), compact); got != isRevoked {
			t.Errorf("%s: %q, want %q", what, got, isRevoked)
		}
	}
	if got := d.verdict(t.Context(), freshNameless); got != "" {
		t.Errorf("one of another key: %q", got)
	}
}

// What exists is not known yet, so nobody can say that a token is not revoked.
func TestNoTokenIsGoodBeforeTheRevocationsAreKnown(t *testing.T) {
	t.Parallel()
	view := live.New(nil, nil)
	d := newDesk(t, func(s *authn.ServiceAccounts) { s.Revocations = view.Revocations() })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	want := "waiting for the revocations of tokens to be known: context canceled"
	if got := d.verdict(ctx, d.sign(t, grant().Claims())); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

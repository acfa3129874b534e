// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package authn_test

import (
	"context"
	"errors"
	"testing"

	"k8s.io/apiserver/pkg/authentication/authenticator"

	"github.com/muster-identity/muster/authn"
	"github.com/muster-identity/muster/keyring"
)

// syncer does what another replica has done, when it is asked what that is.
type syncer struct {
	news  func()
	err   error
	asked int
}

func (s *syncer) Sync(context.Context) error {
	s.asked++
	if s.err == nil && s.news != nil {
		s.news()
	}
	return s.err
}

func TestACheckKnowsWhatOtherReplicasDidBeforeIt(t *testing.T) {
	t.Parallel()
	for kind, want := range map[string]string{
		"pods":            "service account token has been invalidated",
		"secrets":         "service account token has been invalidated",
		"nodes":           "service account token has been invalidated",
		"serviceaccounts": `serviceaccounts "cart" not found`,
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			elsewhere := &syncer{}
			d := newDesk(t, func(s *authn.ServiceAccounts) { s.Consistency = elsewhere })
			compact := d.sign(t, claimsOf(kind))
			if got := d.verdict(t.Context(), compact); got != "" {
				t.Fatal(got)
			}
			elsewhere.news = func() { d.memory.remove(kind) }
			if got := d.verdict(t.Context(), compact); got != want {
				t.Errorf("verdict: %q, want %q", got, want)
			}
			if elsewhere.asked != 2 {
				t.Errorf("asked for news %d times by two checks", elsewhere.asked)
			}
		})
	}
}

// A key that is retired elsewhere is of the signature, which is verified before anybody is asked for news: it is verified
// again then. One that was only joined by another verifies as before.
func TestACheckKnowsWhichKeysOtherReplicasHaveRetired(t *testing.T) {
	t.Parallel()
	next := newSigner(t)
	for name, test := range map[string]struct {
		ring func(d *desk) *keyring.Ring
		want string
	}{
		"retired": {func(*desk) *keyring.Ring { return newRing(t, next) }, noKeys},
		"joined":  {func(d *desk) *keyring.Ring { return newRing(t, next, d.signer.key) }, ""},
	} {
		elsewhere := &syncer{}
		d := newDesk(t, func(s *authn.ServiceAccounts) { s.Consistency = elsewhere })
		compact := d.sign(t, grant().Claims())
		for _, use := range []string{"first", "second"} {
			if got := d.verdict(t.Context(), compact); got != "" {
				t.Fatal(got)
			}
			changed := test.ring(d)
			elsewhere.news = func() { d.keys.Replace(changed) }
			if _, seen, err := d.CheckSeen(t.Context(), compact, authenticator.Audiences{api}); seen || err != nil {
				t.Errorf("%s, the %s use: the look at what was seen says %v, %v; want it to leave that to the check", name, use, seen, err)
			}
			d.keys.Replace(d.ring)
			if got := d.verdict(t.Context(), compact); got != test.want {
				t.Errorf("%s, the %s use: verdict %q, want %q", name, use, got, test.want)
			}
			elsewhere.news = nil
			d.keys.Replace(d.ring)
		}
	}
}

func TestACheckThatCannotKnowTheStateOfTheStoreFails(t *testing.T) {
	t.Parallel()
	d := newDesk(t, func(s *authn.ServiceAccounts) { s.Consistency = &syncer{err: errors.New("etcd is away")} })
	want := "service account token cannot be checked now: etcd is away"
	if got := d.verdict(t.Context(), d.sign(t, grant().Claims())); got != want {
		t.Errorf("verdict: %q, want %q", got, want)
	}
	if asked := d.memory.asked() + d.store.asked(); asked != 0 {
		t.Errorf("%d objects were looked up", asked)
	}
}

func TestTokensThatNobodySignedDoNotMoveTheStore(t *testing.T) {
	t.Parallel()
	store := &syncer{}
	d := newDesk(t, func(s *authn.ServiceAccounts) { s.Consistency = store })
	d.verdict(t.Context(), "a.b.c")
	d.verdict(t.Context(), strangers(t, newSigner(t), string(encode(t, grant().Claims())), d.signer.key.ID))
	if store.asked != 0 {
		t.Errorf("the store was asked for news %d times", store.asked)
	}
}

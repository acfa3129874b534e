// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package authn_test

import (
	"context"
	"errors"
	"testing"

	"github.com/muster-identity/muster/authn"
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

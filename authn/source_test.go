// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package authn_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/muster-identity/muster/keyring"
)

// source puts a ring in force when it is asked.
type source struct {
	keys  *keyring.Keyring
	next  *keyring.Ring
	asked atomic.Int32
}

func (s *source) Refresh(context.Context) {
	s.asked.Add(1)
	s.keys.Replace(s.next)
}

func (s *source) MaxAge() time.Duration { return 0 }

func TestAKeyThatIsNotKnownIsAskedFor(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	fresh, stranger := newSigner(t), newSigner(t)
	s := &source{keys: d.keys, next: newRing(t, fresh, d.signer.Keys()...)}
	d.keys.Follow(s)
	signed := func(by signer, issuer string) string {
		g := grant()
		g.Issuer = issuer
		compact, err := by.Sign(t.Context(), encode(t, g.Claims()))
		if err != nil {
			t.Fatal(err)
		}
		return compact
	}
	tests := []struct {
		name, compact, want string
		asked               int32
	}{
		{"a key that is known", signed(d.signer, api), "", 0},
		{"another issuer's token", signed(stranger, "https://stranger.example"), notOurs, 0},
		{"a new key", signed(fresh, api), "", 1},
		{"the new key again", signed(fresh, api), "", 1},
		{"the old key still", signed(d.signer, api), "", 1},
		{"a stranger's key", signed(stranger, api), noKeys, 2},
		{"a token that names no key", stranger.anonymously(t, encode(t, grant().Claims())), badSignature, 2},
	}
	for _, test := range tests {
		if got := d.verdict(t.Context(), test.compact); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
		if got := s.asked.Load(); got != test.asked {
			t.Errorf("%s: the source was asked %d times, want %d", test.name, got, test.asked)
		}
	}
}

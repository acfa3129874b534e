// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package external

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/muster-identity/muster/keyring"
)

// following runs a test in a bubble with a keyring that follows a fake, whose
// keys shall be looked at every minute.
func following(t *testing.T, test func(t *testing.T, f *fake, s *Signer, k *keyring.Keyring)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f, _ := newFake(t)
		s := started(t, f)
		k := keyring.New(s.Ring())
		k.Follow(s)
		ctx, cancel := context.WithCancel(t.Context())
		var follower sync.WaitGroup
		follower.Go(func() { s.Follow(ctx, k.Replace) })
		test(t, f, s, k)
		cancel()
		follower.Wait()
	})
}

func TestKeysAreLookedAtWhenTheSignerWants(t *testing.T) {
	t.Parallel()
	following(t, func(t *testing.T, f *fake, _ *Signer, k *keyring.Keyring) {
		first := k.Current()
		next := newKey(t)
		f.set(func(f *fake) { f.keys.Keys = append(f.keys.Keys, wire(t, "next", next.Public(), false)) })
		time.Sleep(time.Minute - time.Millisecond)
		synctest.Wait()
		if k.Current() != first {
			t.Error("the keys were looked at before the time")
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if _, ok := k.Current().Key("next"); !ok {
			t.Error("a minute later the new key is not known")
		}
	})
}

// What was verified with a ring stays verified: a ring is not made anew for the
// same keys.
func TestTheSameKeysKeepTheRing(t *testing.T) {
	t.Parallel()
	following(t, func(t *testing.T, f *fake, s *Signer, k *keyring.Keyring) {
		first := k.Current()
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if got := f.looked(); got != 6 {
			t.Errorf("%d looks in five minutes", got)
		}
		if k.Current() != first || s.Ring() != first {
			t.Error("there is another ring")
		}
	})
}

func TestEveryChangeOfKeysMakesARing(t *testing.T) {
	t.Parallel()
	a, b := newKey(t), newKey(t)
	synctest.Test(t, func(t *testing.T) {
		f, _ := newFake(t)
		f.keys = keysOf(60, wire(t, "a", a.Public(), false))
		s := started(t, f)
		changes := map[string]func(){
			"hidden":      func() { f.keys = keysOf(60, wire(t, "a", a.Public(), true)) },
			"another id":  func() { f.keys = keysOf(60, wire(t, "b", a.Public(), true)) },
			"another key": func() { f.keys = keysOf(60, wire(t, "b", b.Public(), true)) },
			"one more":    func() { f.keys = keysOf(60, wire(t, "b", b.Public(), true), wire(t, "a", a.Public(), false)) },
			"another order": func() {
				f.keys = keysOf(60, wire(t, "a", a.Public(), false), wire(t, "b", b.Public(), true))
			},
			"one less": func() { f.keys = keysOf(60, wire(t, "a", a.Public(), false)) },
		}
		for _, name := range []string{"hidden", "another id", "another key", "one more", "another order", "one less"} {
			changes[name]()
			before := s.Ring()
			if changed, err := s.look(t.Context()); !changed || err != nil || s.Ring() == before {
				t.Errorf("%s: changed %v, %v", name, changed, err)
			}
		}
	})
}

func TestALookThatFailedIsRepeatedAfterTenSeconds(t *testing.T) {
	t.Parallel()
	following(t, func(t *testing.T, f *fake, s *Signer, k *keyring.Keyring) {
		first := k.Current()
		f.set(func(f *fake) { f.keysErr = errors.New("away") })
		time.Sleep(65 * time.Second)
		synctest.Wait()
		if got := f.looked(); got != 2 {
			t.Errorf("%d looks", got)
		}
		if k.Current() != first || k.MaxAge() != 0 {
			t.Errorf("while it is away the ring is another, or may be kept for %s", k.MaxAge())
		}
		f.set(func(f *fake) { f.keysErr = nil })
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if got := f.looked(); got != 3 {
			t.Errorf("%d looks ten seconds later", got)
		}
		if got := k.MaxAge(); got != time.Minute {
			t.Errorf("the keys may be kept for %s", got)
		}
		_ = s
	})
}

func TestPublishedKeysMayBeKeptUntilTheNextLook(t *testing.T) {
	t.Parallel()
	following(t, func(t *testing.T, _ *fake, _ *Signer, k *keyring.Keyring) {
		time.Sleep(20 * time.Second)
		if got := keyring.CacheControl(k.MaxAge()); got != "public, max-age=40" {
			t.Errorf("Cache-Control: %s", got)
		}
	})
}

func TestAKeyThatIsNotKnownIsAskedForAtOnce(t *testing.T) {
	t.Parallel()
	following(t, func(t *testing.T, f *fake, _ *Signer, k *keyring.Keyring) {
		next := newKey(t)
		f.set(func(f *fake) { f.keys.Keys = append(f.keys.Keys, wire(t, "next", next.Public(), false)) })
		begin := time.Now()
		if _, ok := k.Knowing(t.Context(), "next").Key("next"); !ok {
			t.Error("the new key is not known")
		}
		if k.Knowing(t.Context(), "next") != k.Current() || k.Knowing(t.Context(), "") != k.Current() {
			t.Error("it is not in the ring in force")
		}
		if took := time.Since(begin); took != 0 {
			t.Errorf("it took %s", took)
		}
	})
}

func TestATokenOfANewKeyIsGoodAtOnce(t *testing.T) {
	t.Parallel()
	following(t, func(t *testing.T, f *fake, s *Signer, k *keyring.Keyring) {
		next := newKey(t)
		f.set(func(f *fake) {
			f.keys.Keys = append(f.keys.Keys, wire(t, "next", next.Public(), false))
			f.sign = honest(t, "next", next)
		})
		compact, err := s.Sign(t.Context(), []byte(`{}`))
		if err != nil || !verifies(k.Current(), compact) {
			t.Errorf("it is not: %v", err)
		}
	})
}

func TestATokenOfAKeyThatTheSignerDoesNotShowDoesNotGoOut(t *testing.T) {
	t.Parallel()
	following(t, func(t *testing.T, f *fake, s *Signer, _ *keyring.Keyring) {
		f.set(func(f *fake) { f.sign = honest(t, "secret", newKey(t)) })
		const want = `the signer at "fake": Sign: while validating header: key used for signing JWT (kid: "secret") is not among those of FetchKeys`
		if _, err := s.Sign(t.Context(), []byte(`{}`)); err == nil || err.Error() != want {
			t.Errorf("got %v", err)
		}
		if got := f.looked(); got != 2 {
			t.Errorf("%d looks", got)
		}
	})
}

// Whoever makes up key ids, however many, costs the signer one look a second;
// all who wait for one share it.
func TestMadeUpKeyIDsCostOneLookASecond(t *testing.T) {
	t.Parallel()
	following(t, func(t *testing.T, f *fake, _ *Signer, k *keyring.Keyring) {
		for range 10 {
			var callers sync.WaitGroup
			for range 50 {
				callers.Go(func() {
					if got := k.Knowing(t.Context(), "made up").Candidates("made up"); len(got) != 0 {
						t.Error("it is known")
					}
				})
			}
			callers.Wait()
		}
		if got := f.looked(); got > 21 { // one at the start, and two for a round of callers who overlap
			t.Errorf("%d looks for 500 callers", got)
		}
	})
}

func TestNobodyWaitsForKeysLongerThanTheyWant(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f, _ := newFake(t)
		s := started(t, f) // nobody follows yet
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		s.Refresh(ctx)
		if ctx.Err() == nil {
			t.Error("a look was reported that nobody had")
		}
		over, cancelFollow := context.WithCancel(t.Context())
		cancelFollow()
		s.Follow(over, func(*keyring.Ring) {})
		s.Refresh(t.Context()) // returns, for there will be no further look
	})
}

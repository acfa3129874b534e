// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package rotation_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/muster-identity/muster/keyring"
	"github.com/muster-identity/muster/keyring/rotation"
)

// memory is a store for replicas of one process.
type memory struct {
	mu       sync.Mutex
	data     []byte
	revision int64
	changed  chan struct{}
	// before and after fail a write before and after it takes effect.
	before, after error
	writes, reads int
	// deaf: whoever follows is told nothing.
	deaf bool
}

func newMemory() *memory { return &memory{changed: make(chan struct{})} }

func (m *memory) ledger() (rotation.Ledger, error) {
	if m.data == nil {
		return rotation.Ledger{}, nil
	}
	return rotation.Decode(m.data)
}

func (m *memory) Update(_ context.Context, change func(rotation.Ledger) (rotation.Ledger, error)) (rotation.Ledger, int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.reads++
	l, err := m.ledger()
	if err != nil {
		return l, 0, err
	}
	if l, err = change(l); err != nil {
		return rotation.Ledger{}, 0, err
	}
	data, err := l.Encode()
	if err != nil {
		return l, 0, err
	}
	if string(data) == string(m.data) {
		return l, m.revision, nil
	}
	if err := m.before; err != nil {
		m.before = nil
		return rotation.Ledger{}, 0, err
	}
	m.data = data
	m.revision++
	m.writes++
	close(m.changed)
	m.changed = make(chan struct{})
	if err := m.after; err != nil {
		m.after = nil
		return rotation.Ledger{}, 0, err
	}
	return l, m.revision, nil
}

func (m *memory) Follow(ctx context.Context, seen func(rotation.Ledger, int64)) {
	for ctx.Err() == nil {
		if m.deaf {
			<-ctx.Done()
			return
		}
		m.mu.Lock()
		l, err := m.ledger()
		revision, changed := m.revision, m.changed
		m.mu.Unlock()
		if err == nil && revision > 0 {
			seen(l, revision)
		}
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
}

// clock is moved by hand.
type clock struct{ offset atomic.Int64 }

func (c *clock) now() time.Time          { return start.Add(time.Duration(c.offset.Load())) }
func (c *clock) advance(d time.Duration) { c.offset.Add(int64(d)) }

// replica is one server's keys.
type replica struct {
	*rotation.Keys
	ring *keyring.Keyring
}

func open(t testing.TB, store rotation.Store, c *clock) replica {
	t.Helper()
	ring := keyring.New(nil)
	keys, err := rotation.Open(t.Context(), rotation.Config{Store: store, Policy: policy, Ring: ring, Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	return replica{keys, ring}
}

func (r replica) turn(t testing.TB) {
	t.Helper()
	if _, err := r.Turn(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func (r replica) states() string {
	var all []string
	for _, status := range r.Editions().Current().Keys {
		all = append(all, string(status.State))
	}
	return strings.Join(all, " ")
}

// verifies tells whether a replica accepts what one has signed.
func (r replica) verifies(compact string) error {
	jws, err := jose.ParseSignedCompact(compact, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		return err
	}
	candidates := r.ring.Current().Candidates(jws.Signatures[0].Header.KeyID)
	if len(candidates) == 0 {
		return errors.New("the key is not known")
	}
	_, err = jws.Verify(candidates[0])
	return err
}

func signed(t testing.TB, r replica, lifetime time.Duration) string {
	t.Helper()
	compact, err := r.Sign(t.Context(), []byte("{}"), lifetime)
	if err != nil {
		t.Fatal(err)
	}
	return compact
}

func TestReplicasThatStartAtOnceAgreeOnOneKey(t *testing.T) {
	t.Parallel()
	store, c := newMemory(), &clock{}
	var replicas [4]replica
	var starting sync.WaitGroup
	for i := range replicas {
		starting.Go(func() { replicas[i] = open(t, store, c) })
	}
	starting.Wait()
	if store.writes != 1 {
		t.Errorf("%d writes, want one", store.writes)
	}
	for _, r := range replicas[1:] {
		if err := r.verifies(signed(t, replicas[0], time.Hour)); err != nil {
			t.Error(err)
		}
	}
}

// Every step is failed before it takes effect, and after. In between and at the
// end, what was signed last verifies, and the steps go on as if nothing had been.
func TestAStepThatFailsBeforeOrAfterItsEffectIsMadeUpFor(t *testing.T) {
	t.Parallel()
	lost := errors.New("the answer was lost")
	steps := []struct {
		wait   time.Duration
		before string
		after  string
	}{
		{90*day - rotation.Lead, "Signing", "Published Signing"},
		{rotation.Lead, "Published Signing", "Signing Verifying"},
		{day + rotation.Slack, "Signing Verifying", "Signing"},
	}
	for broken := range steps {
		for _, effect := range []bool{false, true} {
			t.Run(fmt.Sprintf("step %d, effect %v", broken+1, effect), func(t *testing.T) {
				t.Parallel()
				store, c := newMemory(), &clock{}
				r := open(t, store, c)
				for i, step := range steps {
					token := signed(t, r, time.Hour)
					c.advance(step.wait - time.Second)
					r.turn(t)
					if got := r.states(); got != step.before {
						t.Fatalf("a second before step %d the keys are %q, want %q", i+1, got, step.before)
					}
					c.advance(time.Second)
					if i == broken {
						if effect {
							store.after = lost
						} else {
							store.before = lost
						}
						if _, err := r.Turn(t.Context()); !errors.Is(err, lost) {
							t.Fatalf("error %v, want the store's", err)
						}
						// A server that crashed here starts with what the store has.
						r = open(t, store, c)
						if i < 2 {
							if err := r.verifies(token); err != nil {
								t.Errorf("after the crash: %v", err)
							}
						}
					}
					r.turn(t)
					if got := r.states(); got != step.after {
						t.Fatalf("after step %d the keys are %q, want %q", i+1, got, step.after)
					}
					if err := r.verifies(signed(t, r, time.Hour)); err != nil {
						t.Error(err)
					}
				}
				if want := 1 + len(steps); store.writes != want {
					t.Errorf("%d writes, want %d: each step once", store.writes, want)
				}
			})
		}
	}
}

// Two replicas sign and verify each other's tokens all the time, through two
// whole rotations; nothing fails.
func TestRotationUnderLoadFailsNothing(t *testing.T) {
	t.Parallel()
	store, c := newMemory(), &clock{}
	replicas := []replica{open(t, store, c), open(t, store, c)}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	for _, r := range replicas {
		running.Go(func() { r.Run(ctx) })
	}
	var checks atomic.Int64
	for i := range 4 {
		running.Go(func() {
			by, at := replicas[i%2], replicas[(i/2)%2]
			const lifetime = 10 * time.Hour
			for ctx.Err() == nil {
				expires := c.now().Add(lifetime)
				compact, err := by.Sign(ctx, []byte("{}"), lifetime)
				if err == nil {
					err = at.verifies(compact)
				}
				// The clock may have leapt over the life of a token between the two.
				if err != nil && ctx.Err() == nil && c.now().Before(expires) {
					t.Error(err)
					cancel()
				}
				checks.Add(1)
			}
		})
	}
	for _, want := range []string{"Published Signing", "Signing Verifying", "Signing", "Published Signing", "Signing Verifying"} {
		before := checks.Load()
		switch want {
		case "Published Signing":
			if _, err := replicas[0].Rotate(ctx, false); err != nil {
				t.Fatal(err)
			}
		case "Signing Verifying":
			c.advance(rotation.Lead)
			replicas[1].turn(t)
		case "Signing":
			c.advance(day + rotation.Slack)
			replicas[0].turn(t)
		}
		for _, r := range replicas {
			for r.states() != want || checks.Load() < before+20 {
				if ctx.Err() != nil {
					t.Fatal("stopped at", r.states())
				}
				<-time.After(time.Millisecond)
			}
		}
	}
	cancel()
	running.Wait()
}

func TestALongTokenIsEnteredInTheStoreBeforeItIsSigned(t *testing.T) {
	t.Parallel()
	store, c := newMemory(), &clock{}
	one, other := open(t, store, c), open(t, store, c)
	ring := one.ring.Current()
	signed(t, one, 30*day)
	writes := store.writes
	signed(t, one, 31*day)
	if writes != 2 || store.writes != writes {
		t.Errorf("%d and %d writes, want 2 and none more", writes, store.writes)
	}
	if one.ring.Current() != ring {
		t.Error("another ring is in force, and verdicts are lost, for no other keys")
	}
	store.before = errors.New("the store is away")
	if compact, err := other.Sign(t.Context(), []byte("{}"), 40*day); err == nil || compact != "" {
		t.Error("a token was signed that is not on record")
	}
	if _, err := one.Sign(t.Context(), []byte("{}"), rotation.MaxLongest+1); err == nil {
		t.Error("a token of more than 2^32 seconds was signed")
	}
}

func TestAReplicaReadsTheStoreForARevisionThatItHasNotHeardOf(t *testing.T) {
	t.Parallel()
	store, c := newMemory(), &clock{}
	store.deaf = true
	one, other := open(t, store, c), open(t, store, c)
	if _, err := one.Rotate(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	if got := other.states(); got != "Signing" {
		t.Fatalf("the other replica has heard of keys that are %s", got)
	}
	for _, step := range []struct {
		revision int64
		reads    int
		want     string
	}{
		{store.revision - 1, 0, "Signing"},
		{store.revision, 1, "Published Signing"},
		{store.revision, 0, "Published Signing"},
	} {
		before := store.reads
		if err := other.AsOf(t.Context(), step.revision); err != nil {
			t.Fatal(err)
		}
		if got, reads := other.states(), store.reads-before; got != step.want || reads != step.reads {
			t.Errorf("as of %d the keys are %s, after %d reads; want %s after %d", step.revision, got, reads, step.want, step.reads)
		}
	}
	store.data = nil
	if err := other.AsOf(t.Context(), store.revision+1); err == nil {
		t.Error("the ledger has gone, and nobody is told")
	}
}

// What a revocation lasts for: nothing that was signed, on whichever replica and
// by a key that has been replaced since, is left out.
func TestTheLongestLifeIsThatOfAllThatVerifies(t *testing.T) {
	t.Parallel()
	store, c := newMemory(), &clock{}
	store.deaf = true // nobody hears of another's writes but by asking
	one, other := open(t, store, c), open(t, store, c)
	hold := func(when string, want time.Duration) {
		t.Helper()
		for name, r := range map[string]replica{"the one": one, "the other": other} {
			if got := r.Longest(t.Context()); got != want {
				t.Errorf("%s, %s has %s, want %s", when, name, got, want)
			}
		}
	}
	hold("at first", day)
	signed(t, one, 3*day)
	hold("after one has signed for three days", 4*day)
	for _, wait := range []time.Duration{90*day - rotation.Lead, rotation.Lead} {
		c.advance(wait)
		one.turn(t)
	}
	if got := one.states(); got != "Signing Verifying" {
		t.Fatalf("the keys are %s", got)
	}
	hold("after the key was replaced", 4*day)
	c.advance(4*day + rotation.Slack)
	one.turn(t)
	hold("after its last token has expired", day)
	store.data = nil
	hold("without the ledger", rotation.MaxLongest)
}

func TestTheLongestLifeOfTokensOfFilesIsNotKnown(t *testing.T) {
	t.Parallel()
	private, err := keyring.Generate(keyring.DefaultAlgorithm)
	if err != nil {
		t.Fatal(err)
	}
	key, err := keyring.NewKey(private.Public())
	if err != nil {
		t.Fatal(err)
	}
	keys, err := rotation.Open(t.Context(), rotation.Config{
		Store: newMemory(), Policy: policy, Ring: keyring.New(nil), Others: []keyring.Key{key}, Now: (&clock{}).now,
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := keys.Longest(t.Context()); got != rotation.MaxLongest {
		t.Errorf("it is %s, want that of any token", got)
	}
}

func TestARehearsalChangesNothing(t *testing.T) {
	t.Parallel()
	store, c := newMemory(), &clock{}
	r := open(t, store, c)
	if _, err := r.Rotate(t.Context(), true); err != nil {
		t.Error(err)
	}
	var refusal *rotation.Refusal
	if err := r.Retire(t.Context(), r.Editions().Current().Keys[0].Key.ID, true); !errors.As(err, &refusal) {
		t.Errorf("error %v, want a refusal", err)
	}
	if store.writes != 1 {
		t.Errorf("%d writes, want that of the start alone", store.writes)
	}
}

func TestEditionsLeadFromOneToTheNext(t *testing.T) {
	t.Parallel()
	var editions rotation.Editions
	editions.Add(10, nil)
	first := editions.Current()
	for revision := int64(20); revision <= 500; revision += 10 {
		editions.Add(revision, nil)
	}
	var seen []int64
	for e := first; e != editions.Current(); e = e.Next() {
		<-e.Superseded()
		seen = append(seen, e.Revision)
	}
	if len(seen) != 49 {
		t.Errorf("%d editions before the last, want 49", len(seen))
	}
	got := map[int64]int64{}
	for _, revision := range []int64{5, 100, 495, 500, 999} {
		if e, ok := editions.At(revision); ok {
			got[revision] = e.Revision
		}
	}
	if diff := cmp.Diff(map[int64]int64{495: 490, 500: 500, 999: 500}, got); diff != "" {
		t.Errorf("editions (-want +got):\n%s", diff)
	}
}

func TestALedgerThatHasGoneIsNotBegunAnew(t *testing.T) {
	t.Parallel()
	store, c := newMemory(), &clock{}
	r := open(t, store, c)
	token := signed(t, r, time.Hour)
	store.data = nil
	if _, err := r.Rotate(t.Context(), false); err == nil || !strings.Contains(err.Error(), "have gone from the store") {
		t.Errorf("error %v", err)
	}
	if err := r.verifies(token); err != nil {
		t.Error(err)
	}
}

// The token of a Secret lasts as long as the Secret.
func TestTheKeyOfATokenThatDoesNotExpireStays(t *testing.T) {
	t.Parallel()
	c := &clock{}
	one := open(t, newMemory(), c)
	signed(t, one, rotation.MaxLongest)
	old := one.ring.Current().Keys()[0]
	for range 8 { // two years of rotations
		c.advance(90 * day)
		if _, err := one.Turn(t.Context()); err != nil {
			t.Fatal(err)
		}
		c.advance(rotation.Lead)
		if _, err := one.Turn(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if signs := one.ring.Current().Keys()[0]; signs.ID == old.ID {
		t.Fatal("the key was not replaced")
	}
	if _, verifies := one.ring.Current().Key(old.ID); !verifies {
		t.Error("the key does not verify any more, though it has signed a token that does not expire")
	}
}

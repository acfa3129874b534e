// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package rotation

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/klog/v2"

	"github.com/muster-identity/muster/keyring"
)

// Store holds one ledger for all replicas. Calls may overlap.
type Store interface {
	// Update replaces the ledger by what change makes of it, if nobody else has
	// written in between; if somebody has, change is called again with what they
	// wrote. A store that has none gives an empty ledger. It returns what is kept
	// then and its revision, which grows with each write. An error of change is
	// returned as it is, and nothing is written. After any other error the write
	// may have taken effect; Follow tells.
	Update(ctx context.Context, change func(Ledger) (Ledger, error)) (Ledger, int64, error)
	// Follow calls seen with the ledger as it is, and again each time that one is
	// written, until ctx ends. It goes on after errors, which it logs.
	Follow(ctx context.Context, seen func(Ledger, int64))
}

// Config is what Keys are made of.
type Config struct {
	Store  Store
	Policy Policy
	// Ring is kept in step with the ledger: it has the keys that verify.
	Ring *keyring.Keyring
	// Others are keys of files (--service-account-key-file) that verify as well.
	Others []keyring.Key
	// Import is a key that has signed before there was a ledger, if any, and
	// ImportLongest the longest life of a token that it may have signed. In a
	// store without a ledger it signs; in another it verifies.
	Import        crypto.Signer
	ImportLongest time.Duration
	// Now is the clock.
	Now func() time.Time
}

// Keys are the shared keys as one replica sees them, and the keyring.Source of
// its keyring. Its methods may be called at the same time.
type Keys struct {
	config   Config
	editions Editions
	looks    keyring.Looks

	mu   sync.Mutex // held by whoever puts another ledger in force
	held atomic.Pointer[held]
}

// held is the ledger in force.
type held struct {
	revision int64
	ledger   Ledger
	ring     *keyring.Ring
	// longest is the life of tokens that the key which signs may sign.
	longest time.Duration
}

// Open reads the ledger, and makes one if there is none: of two replicas that
// start at once, both get the one that was first. It imports what there is to
// import.
func Open(ctx context.Context, c Config) (*Keys, error) {
	k := &Keys{config: c, looks: keyring.NewLooks()}
	err := k.update(ctx, func(l Ledger) (Ledger, error) {
		l, err := k.beginning(l)
		if err != nil || c.Import == nil {
			return l, err
		}
		return l.Import(c.Import, c.ImportLongest, c.Now())
	})
	if err != nil {
		return nil, fmt.Errorf("opening the signing keys: %w", err)
	}
	return k, nil
}

// beginning is the ledger itself unless it is empty.
func (k *Keys) beginning(l Ledger) (Ledger, error) {
	if len(l.Entries) > 0 {
		return l, nil
	}
	if k.config.Import != nil {
		return Begin(k.config.Import, k.config.ImportLongest, k.config.Now())
	}
	private, err := keyring.Generate(k.config.Policy.Algorithm)
	if err != nil {
		return l, err
	}
	return Begin(private, 0, k.config.Now())
}

// Editions are the public sides of the keys.
func (k *Keys) Editions() *Editions { return &k.editions }

// Sign signs a token of that life. It enters in the ledger that there may be
// tokens of such a life, if that is news, before it signs.
func (k *Keys) Sign(ctx context.Context, payload []byte, lifetime time.Duration) (string, error) {
	if lifetime > MaxLongest {
		return "", fmt.Errorf("a token cannot live for %s", lifetime)
	}
	for {
		// What may be signed and what signs are of one ledger: another one may
		// be put in force meanwhile, and allow less.
		held := k.held.Load()
		if lifetime <= held.longest {
			return held.ring.Sign(ctx, payload)
		}
		if err := k.update(ctx, func(l Ledger) (Ledger, error) { return l.Allow(lifetime), nil }); err != nil {
			return "", fmt.Errorf("noting that a token lives for %s: %w", lifetime, err)
		}
	}
}

// AsOf returns when the ledger in force is that of a revision of the store, or a
// later one. It reads the ledger only if it has not heard of that yet.
func (k *Keys) AsOf(ctx context.Context, revision int64) error {
	if k.held.Load().revision >= revision {
		return nil
	}
	if err := k.update(ctx, unchanged); err != nil {
		return fmt.Errorf("reading the signing keys: %w", err)
	}
	return nil
}

// Longest is the longest life of a token that the keys may have signed, on any
// replica before the call: by the ledger, which has it before the token is
// signed. It is MaxLongest where nobody knows: with keys of files, which have
// signed elsewhere, and if the ledger cannot be read.
func (k *Keys) Longest(ctx context.Context) time.Duration {
	if len(k.config.Others) > 0 {
		return MaxLongest
	}
	if err := k.update(ctx, unchanged); err != nil {
		klog.ErrorS(err, "the signing keys cannot be read for the longest life of their tokens; it is taken for the longest that there can be")
		return MaxLongest
	}
	return k.held.Load().ledger.longest()
}

// unchanged leaves a ledger as it is, which is to read it.
func unchanged(l Ledger) (Ledger, error) { return l, nil }

// Rotate publishes the key that is to sign next, and returns its id. A Refusal
// tells that there is one. A rehearsal writes nothing.
func (k *Keys) Rotate(ctx context.Context, rehearsal bool) (id string, err error) {
	private, err := keyring.Generate(k.config.Policy.Algorithm)
	if err != nil {
		return "", err
	}
	key, err := keyring.NewKey(private.Public())
	if err != nil {
		return "", err
	}
	if err := k.perform(ctx, rehearsal, func(l Ledger) (Ledger, error) { return l.Publish(private, k.config.Now()) }); err != nil {
		return "", err
	}
	return key.ID, nil
}

// Retire takes a key out, here before it returns, on other replicas as soon as
// they hear of it. The error is a Refusal, ErrUnknownKey, or one of the store. A
// rehearsal writes nothing.
func (k *Keys) Retire(ctx context.Context, id string, rehearsal bool) error {
	if slices.ContainsFunc(k.config.Others, func(key keyring.Key) bool { return key.ID == id }) {
		return &Refusal{"it is in a file of --service-account-key-file: take it out of that file and restart the server"}
	}
	return k.perform(ctx, rehearsal, func(l Ledger) (Ledger, error) { return l.Retire(id, k.config.Now()) })
}

func (k *Keys) perform(ctx context.Context, rehearsal bool, change func(Ledger) (Ledger, error)) error {
	if rehearsal {
		_, err := change(k.held.Load().ledger)
		return err
	}
	return k.update(ctx, change)
}

// errGone is what comes of a ledger that somebody has taken out of the store.
var errGone = errors.New("the signing keys have gone from the store: restore them, or restart the server to make new ones")

// update changes the ledger, and has the result in force when it returns.
func (k *Keys) update(ctx context.Context, change func(Ledger) (Ledger, error)) error {
	ledger, revision, err := k.config.Store.Update(ctx, func(l Ledger) (Ledger, error) {
		if len(l.Entries) == 0 && k.held.Load() != nil {
			return l, errGone
		}
		return change(l)
	})
	if err != nil {
		return err
	}
	return k.take(ledger, revision)
}

// take puts a ledger in force unless a newer one is. The write that made it and
// the watch both bring it; whichever comes first counts.
func (k *Keys) take(l Ledger, revision int64) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	last := k.held.Load()
	if last != nil && revision <= last.revision {
		return nil
	}
	signer, ok := l.Signer()
	if !ok {
		return errGone
	}
	next := &held{revision: revision, ledger: l, longest: signer.Longest}
	statuses := k.statuses(l)
	if last != nil && slices.EqualFunc(statuses, k.editions.Current().Keys, Status.equal) {
		// The same keys do the same: who keeps a verdict with the ring keeps it.
		next.ring = last.ring
		k.held.Store(next)
		return nil
	}
	ring, err := k.ringOf(l, signer)
	if err != nil {
		return err
	}
	next.ring = ring
	k.config.Ring.Replace(ring) // first, so that what is signed verifies
	k.held.Store(next)
	k.editions.Add(revision, statuses)
	return nil
}

func (k *Keys) ringOf(l Ledger, signer Entry) (*keyring.Ring, error) {
	local, err := keyring.NewLocalSigner(signer.Private)
	if err != nil {
		return nil, err
	}
	var others []keyring.Key
	for _, entry := range l.Entries {
		others = append(others, entry.Key)
	}
	return keyring.NewRing(local, append(others, k.config.Others...)...)
}

// statuses are the public sides of all keys that verify: those of the ledger,
// newest first, and the others.
func (k *Keys) statuses(l Ledger) []Status {
	var all []Status
	for _, entry := range slices.Backward(l.Entries) {
		since, until := k.config.Policy.term(l, entry)
		all = append(all, Status{Key: entry.Key, State: entry.State(), PublishedAt: entry.PublishedAt, Since: since, Until: until})
	}
	for _, key := range k.config.Others {
		if !slices.ContainsFunc(all, func(s Status) bool { return s.Key.ID == key.ID }) {
			all = append(all, Status{Key: key, State: Verifying})
		}
	}
	return all
}

const (
	// maxWait is how long a replica waits at most before it looks at the clock
	// again, which may have been set, or have stood still with the machine. To
	// look costs microseconds.
	maxWait = time.Second
	// retryPause is how long it waits after a step that has failed.
	retryPause = 10 * time.Second
)

// Run follows the ledger and takes each step when it is due, until ctx ends.
func (k *Keys) Run(ctx context.Context) {
	var following sync.WaitGroup
	defer following.Wait()
	following.Go(func() {
		k.config.Store.Follow(ctx, func(l Ledger, revision int64) {
			if err := k.take(l, revision); err != nil {
				klog.ErrorS(err, "following the signing keys")
			}
		})
	})
	following.Go(func() { k.looks.Serve(ctx, time.Now().Add(unasked), k.look) })
	for ctx.Err() == nil {
		edition := k.editions.Current()
		wait, err := k.Turn(ctx)
		if err != nil && ctx.Err() == nil {
			klog.ErrorS(err, "rotating the signing keys")
			wait = retryPause
		}
		timer := time.NewTimer(min(wait, maxWait))
		select {
		case <-timer.C:
		case <-edition.Superseded():
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

const (
	// lookTimeout is how long a look at the store may take.
	lookTimeout = 5 * time.Second
	// unasked is how far off a look is that nobody asks for: Follow sees all.
	unasked = 365 * 24 * time.Hour
)

// Refresh reads the ledger while Run runs, for who has met a key that is not
// known: where a key was published and another retired at once, the new one may
// have signed before the watch has told. It returns after a look that began no
// earlier than the call, or when ctx ends; there is one a second at most.
func (k *Keys) Refresh(ctx context.Context) { k.looks.Ask(ctx) }

// MaxAge is JWKSMaxAge.
func (k *Keys) MaxAge() time.Duration { return JWKSMaxAge }

// look puts the ledger in force as it is in the store.
func (k *Keys) look(ctx context.Context) (due time.Time) {
	bounded, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	err := k.update(bounded, unchanged)
	if err != nil && ctx.Err() == nil {
		klog.ErrorS(err, "the signing keys cannot be read for a token of an unknown one; those known stay")
	}
	return time.Now().Add(unasked)
}

// Turn takes the steps that are due, and returns how long to wait for the next.
func (k *Keys) Turn(ctx context.Context) (wait time.Duration, err error) {
	for {
		step := k.config.Policy.Next(k.held.Load().ledger)
		now := k.config.Now()
		if step.Kind == "" {
			return maxWait, nil
		}
		if !step.Due(now) {
			return step.At.Sub(now), nil
		}
		if err := k.carryOut(ctx, step, now); err != nil {
			return 0, fmt.Errorf("to %s a key: %w", step.Kind, err)
		}
	}
}

// carryOut takes a step, unless another replica was faster.
func (k *Keys) carryOut(ctx context.Context, step Step, now time.Time) error {
	var coming crypto.Signer
	if step.Kind == Publish {
		var err error
		if coming, err = keyring.Generate(k.config.Policy.Algorithm); err != nil {
			return err
		}
	}
	return k.update(ctx, func(l Ledger) (Ledger, error) {
		if next := k.config.Policy.Next(l); next.Kind != step.Kind || next.ID != step.ID || !next.Due(now) {
			return l, nil
		}
		switch step.Kind {
		case Publish:
			return l.Publish(coming, now)
		case Promote:
			return l.Promote(now), nil
		default:
			return l.Remove(step.ID), nil
		}
	})
}

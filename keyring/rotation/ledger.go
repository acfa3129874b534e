// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package rotation

import (
	"crypto"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/muster-identity/muster/keyring"
)

const (
	// firstLongest is the life of tokens that a new key is prepared for.
	firstLongest = 24 * time.Hour
	// MaxLongest is the longest life that a token can have (Kubernetes: 2^32 s).
	MaxLongest = (1 << 32) * time.Second
)

// Entry is what the ledger says of one key. Times are whole seconds, UTC.
type Entry struct {
	Key keyring.Key
	// Private is the other half; nil once the key has been replaced.
	Private crypto.Signer
	// PublishedAt is when the key came into the ledger.
	PublishedAt time.Time
	// SigningSince is when it began to sign, ReplacedAt when it ceased to; zero
	// as long as it has not.
	SigningSince, ReplacedAt time.Time
	// Longest is the longest life of a token that the key may have signed. A
	// longer one is entered before it is signed, so none outlives its key.
	Longest time.Duration
}

// State is what the key is used for.
func (e Entry) State() State {
	switch {
	case !e.ReplacedAt.IsZero():
		return Verifying
	case !e.SigningSince.IsZero():
		return Signing
	}
	return Published
}

// VerifiesUntil is when the last token of a replaced key has expired; zero for
// a key that was not replaced.
func (e Entry) VerifiesUntil(slack time.Duration) time.Time {
	if e.ReplacedAt.IsZero() {
		return time.Time{}
	}
	return e.ReplacedAt.Add(e.Longest + slack)
}

// Ledger is the keys of one store, oldest first. It is a value: a step returns
// another one and leaves this as it was.
type Ledger struct {
	Entries []Entry
	// Imported are the ids of keys that were brought in from elsewhere, once:
	// one that was retired since does not come back.
	Imported []string
}

// ErrUnknownKey tells that there is no key of that id.
var ErrUnknownKey = errors.New("there is no such key")

// Refusal tells why a key is not rotated or retired, and what to do instead.
type Refusal struct{ Reason string }

// Error is the reason.
func (r *Refusal) Error() string { return r.Reason }

// Signer is the entry of the key that signs. Only an empty ledger has none.
func (l Ledger) Signer() (Entry, bool) { return l.first(Signing) }

func (l Ledger) published() (Entry, bool) { return l.first(Published) }

func (l Ledger) first(state State) (Entry, bool) {
	i := slices.IndexFunc(l.Entries, func(e Entry) bool { return e.State() == state })
	if i < 0 {
		return Entry{}, false
	}
	return l.Entries[i], true
}

// longest is the longest life of a token that any key of the ledger may have
// signed.
func (l Ledger) longest() time.Duration {
	var longest time.Duration
	for _, entry := range l.Entries {
		longest = max(longest, entry.Longest)
	}
	return longest
}

// Begin is the ledger of a store that has none: its key signs at once, for
// nobody can hold older keys. longest is the longest life of a token that the
// key may have signed before; zero for a new key.
func Begin(private crypto.Signer, longest time.Duration, now time.Time) (Ledger, error) {
	entry, err := newEntry(private, now)
	if err != nil {
		return Ledger{}, err
	}
	entry.SigningSince = entry.PublishedAt
	entry.Longest = max(entry.Longest, min(longest, MaxLongest))
	return Ledger{Entries: []Entry{entry}}, nil
}

func newEntry(private crypto.Signer, now time.Time) (Entry, error) {
	key, err := keyring.NewKey(private.Public())
	if err != nil {
		return Entry{}, err
	}
	return Entry{Key: key, Private: private, PublishedAt: stamp(now), Longest: firstLongest}, nil
}

func stamp(t time.Time) time.Time { return t.UTC().Truncate(time.Second) }

// Publish brings in the key that signs next. A Refusal tells that there is one.
func (l Ledger) Publish(private crypto.Signer, now time.Time) (Ledger, error) {
	if coming, ok := l.published(); ok {
		return l, &Refusal{fmt.Sprintf("a rotation is under way: key %q, published at %s, is going to sign (to have it sign now, retire the key that does)",
			coming.Key.ID, coming.PublishedAt.Format(time.RFC3339))}
	}
	entry, err := newEntry(private, now)
	if err != nil {
		return l, err
	}
	l.Entries = append(slices.Clone(l.Entries), entry)
	return l, nil
}

// Promote lets the published key sign in place of the one that does. The private
// half of that is destroyed.
func (l Ledger) Promote(now time.Time) Ledger {
	if _, ok := l.published(); !ok {
		return l
	}
	l.Entries = slices.Clone(l.Entries)
	for i := range l.Entries {
		switch entry := &l.Entries[i]; entry.State() {
		case Signing:
			entry.ReplacedAt, entry.Private = stamp(now), nil
		case Published:
			entry.SigningSince = stamp(now)
		}
	}
	return l
}

// Remove takes a key out.
func (l Ledger) Remove(id string) Ledger {
	l.Entries = slices.DeleteFunc(slices.Clone(l.Entries), func(e Entry) bool { return e.Key.ID == id })
	return l
}

// Retire takes a key out before its time. If it is the one that signs, the
// published one signs from now on; a Refusal tells that there is none.
// ErrUnknownKey tells that there is no such key.
func (l Ledger) Retire(id string, now time.Time) (Ledger, error) {
	i := slices.IndexFunc(l.Entries, func(e Entry) bool { return e.Key.ID == id })
	if i < 0 {
		return l, ErrUnknownKey
	}
	if l.Entries[i].State() == Signing {
		if _, ok := l.published(); !ok {
			return l, &Refusal{"it is the only key that can sign: publish the next one (muster keys rotate), then retire it"}
		}
		l = l.Promote(now)
	}
	return l.Remove(id), nil
}

// Allow enters that the key that signs may sign tokens of that life: the next
// power of two of days, so that there is seldom anything to enter.
func (l Ledger) Allow(lifetime time.Duration) Ledger {
	l.Entries = slices.Clone(l.Entries)
	for i := range l.Entries {
		if entry := &l.Entries[i]; entry.State() == Signing {
			for entry.Longest < lifetime && entry.Longest < MaxLongest {
				entry.Longest = min(2*entry.Longest, MaxLongest)
			}
		}
	}
	return l
}

// Import brings in a key that has signed elsewhere, as one that verifies, unless
// it has been brought in before. longest is the longest life of a token that it
// may have signed.
func (l Ledger) Import(private crypto.Signer, longest time.Duration, now time.Time) (Ledger, error) {
	entry, err := newEntry(private, now)
	if err != nil {
		return l, err
	}
	if slices.Contains(l.Imported, entry.Key.ID) {
		return l, nil
	}
	l.Imported = append(slices.Clone(l.Imported), entry.Key.ID)
	if slices.ContainsFunc(l.Entries, func(e Entry) bool { return e.Key.ID == entry.Key.ID }) {
		return l, nil
	}
	entry.Private, entry.SigningSince, entry.ReplacedAt = nil, entry.PublishedAt, entry.PublishedAt
	entry.Longest = min(longest, MaxLongest)
	l.Entries = append([]Entry{entry}, l.Entries...)
	return l, nil
}

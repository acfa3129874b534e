// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package rotation

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/muster-identity/muster/keyring"
)

// storedLedger is a ledger as it is kept.
type storedLedger struct {
	Keys     []storedEntry `json:"keys"`
	Imported []string      `json:"imported,omitempty"`
}

type storedEntry struct {
	Public         string     `json:"publicKey"`
	Private        string     `json:"privateKey,omitempty"`
	PublishedAt    time.Time  `json:"publishedAt"`
	SigningSince   *time.Time `json:"signingSince,omitempty"`
	ReplacedAt     *time.Time `json:"replacedAt,omitempty"`
	LongestSeconds int64      `json:"longestTokenSeconds"`
}

// Encode is the ledger as the store keeps it, private halves included. Equal
// ledgers have equal encodings.
func (l Ledger) Encode() ([]byte, error) {
	stored := storedLedger{Keys: []storedEntry{}, Imported: l.Imported}
	for _, entry := range l.Entries {
		public, err := keyring.EncodePublic(entry.Key)
		if err != nil {
			return nil, fmt.Errorf("encoding the signing keys: %w", err)
		}
		kept := storedEntry{
			Public: string(public), PublishedAt: entry.PublishedAt, SigningSince: unlessZero(entry.SigningSince),
			ReplacedAt: unlessZero(entry.ReplacedAt), LongestSeconds: int64(entry.Longest / time.Second),
		}
		if entry.Private != nil {
			private, err := keyring.EncodePrivate(entry.Private)
			if err != nil {
				return nil, fmt.Errorf("encoding the signing keys: %w", err)
			}
			kept.Private = string(private)
		}
		stored.Keys = append(stored.Keys, kept)
	}
	return json.Marshal(stored)
}

func unlessZero(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// Decode reads what Encode wrote. The error says what is wrong, and nothing of
// any key: a ledger that cannot sign, or could in two ways, is refused whole.
func Decode(data []byte) (Ledger, error) {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	var stored storedLedger
	if err := decoder.Decode(&stored); err != nil {
		return Ledger{}, errors.New("reading the signing keys: the stored value is damaged, or of a later version")
	}
	l := Ledger{Imported: stored.Imported}
	for i, kept := range stored.Keys {
		entry, err := kept.entry()
		if err != nil {
			return Ledger{}, fmt.Errorf("reading the signing keys: key %d of %d: %w", i+1, len(stored.Keys), err)
		}
		l.Entries = append(l.Entries, entry)
	}
	if err := l.check(); err != nil {
		return Ledger{}, fmt.Errorf("reading the signing keys: %w", err)
	}
	return l, nil
}

func (s storedEntry) entry() (Entry, error) {
	public, err := keyring.DecodePublic([]byte(s.Public))
	if err != nil {
		return Entry{}, err
	}
	if len(public) != 1 {
		return Entry{}, fmt.Errorf("there are %d public keys in one place", len(public))
	}
	entry := Entry{Key: public[0], PublishedAt: s.PublishedAt.UTC(), Longest: time.Duration(s.LongestSeconds) * time.Second}
	if s.LongestSeconds <= 0 || entry.Longest > MaxLongest {
		return Entry{}, fmt.Errorf("longestTokenSeconds %d is out of range", s.LongestSeconds)
	}
	if s.SigningSince != nil {
		entry.SigningSince = s.SigningSince.UTC()
	}
	if s.ReplacedAt != nil {
		entry.ReplacedAt = s.ReplacedAt.UTC()
	}
	if s.Private == "" {
		return entry, nil
	}
	if entry.Private, err = keyring.DecodePrivate([]byte(s.Private)); err != nil {
		return Entry{}, err
	}
	other, err := keyring.NewKey(entry.Private.Public())
	if err != nil || !other.Equal(entry.Key) {
		return Entry{}, errors.New("its two halves do not belong together")
	}
	return entry, nil
}

// check finds what no step leaves behind.
func (l Ledger) check() error {
	states, ids := map[State]int{}, map[string]bool{}
	for _, entry := range l.Entries {
		state := entry.State()
		states[state]++
		if ids[entry.Key.ID] {
			return fmt.Errorf("key %q is there twice", entry.Key.ID)
		}
		ids[entry.Key.ID] = true
		if state != Verifying && entry.Private == nil {
			return fmt.Errorf("key %q is to sign and lacks its private half", entry.Key.ID)
		}
	}
	if states[Signing] != 1 || states[Published] > 1 {
		return fmt.Errorf("%d keys sign and %d are published, want one and at most one", states[Signing], states[Published])
	}
	return nil
}

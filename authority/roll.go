// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"k8s.io/client-go/util/keyutil"
)

const (
	// settling is how long a new authority is trusted before it signs: by then
	// every server of the store has heard of it.
	settling = 10 * time.Minute
	// renewal is how much life an authority has left when the next one comes.
	renewal = Life / 3
)

// Entry is an authority and since when it signs.
type Entry struct {
	Authority
	SignsFrom time.Time
}

// Roll is the authorities of one store, oldest first. It is a value: a step
// returns another one and leaves this as it was.
type Roll struct{ Entries []Entry }

// Signer is the authority that signs at a time.
func (r Roll) Signer(now time.Time) (Authority, error) {
	i := r.signer(now)
	if i < 0 {
		return Authority{}, errors.New("there is no certificate authority that could sign")
	}
	return r.Entries[i].Authority, nil
}

func (r Roll) signer(now time.Time) int {
	for i, entry := range slices.Backward(r.Entries) {
		if entry.Key != nil && !entry.SignsFrom.After(now) {
			return i
		}
	}
	return -1
}

// Bundle are the certificates (PEM) of all authorities: what they have signed is
// good.
func (r Roll) Bundle() []byte {
	var bundle bytes.Buffer
	for _, entry := range r.Entries {
		bundle.Write(entry.CertificatePEM())
	}
	return bundle.Bytes()
}

// Step does what is due at a time: it drops authorities that have expired, has
// the keys of those destroyed that another has replaced, and brings in the next.
// It tells whether anything was due.
func (r Roll) Step(now time.Time, make func(now time.Time) (Authority, error)) (Roll, bool, error) {
	entries := slices.DeleteFunc(slices.Clone(r.Entries), func(e Entry) bool { return !now.Before(e.Certificate.NotAfter) })
	next := Roll{entries}
	changed := len(entries) < len(r.Entries)
	for i := range max(next.signer(now), 0) {
		changed = changed || entries[i].Key != nil
		entries[i].Key = nil
	}
	if last := len(entries) - 1; last >= 0 && entries[last].Key != nil && entries[last].Certificate.NotAfter.Sub(now) > renewal {
		return next, changed, nil
	}
	made, err := make(now)
	if err != nil {
		return r, false, err
	}
	from := now.UTC().Truncate(time.Second)
	if next.signer(now) >= 0 {
		from = from.Add(settling)
	}
	next.Entries = append(entries, Entry{Authority: made, SignsFrom: from})
	return next, true, nil
}

// storedRoll is a roll as it is kept.
type storedRoll struct {
	Authorities []storedEntry `json:"authorities"`
}

type storedEntry struct {
	Certificate string    `json:"certificate"`
	Key         string    `json:"key,omitempty"`
	SignsFrom   time.Time `json:"signsFrom"`
}

// Encode writes a roll as Decode reads it. It holds private keys.
func (r Roll) Encode() ([]byte, error) {
	stored := storedRoll{}
	for _, entry := range r.Entries {
		one := storedEntry{Certificate: string(entry.CertificatePEM()), SignsFrom: entry.SignsFrom}
		if entry.Key != nil {
			key, err := keyutil.MarshalPrivateKeyToPEM(entry.Key)
			if err != nil {
				return nil, fmt.Errorf("encoding the key of authority %q: %w", entry.Certificate.Subject, err)
			}
			one.Key = string(key)
		}
		stored.Authorities = append(stored.Authorities, one)
	}
	return json.Marshal(stored)
}

// Decode reads a roll. Its errors do not quote what they could not read.
func Decode(data []byte) (Roll, error) {
	var stored storedRoll
	if err := json.Unmarshal(data, &stored); err != nil {
		return Roll{}, errors.New("reading the certificate authorities: they are not the JSON that is kept here")
	}
	var roll Roll
	for i, one := range stored.Authorities {
		entry := Entry{SignsFrom: one.SignsFrom}
		var err error
		if one.Key == "" {
			entry.Certificate, err = parseCertificate([]byte(one.Certificate))
		} else {
			entry.Authority, err = Parse([]byte(one.Certificate), []byte(one.Key))
		}
		if err != nil {
			return Roll{}, fmt.Errorf("reading certificate authority %d: %w", i, err)
		}
		roll.Entries = append(roll.Entries, entry)
	}
	return roll, nil
}

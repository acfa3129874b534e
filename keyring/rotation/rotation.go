// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

// Package rotation keeps the signing keys that all replicas of one store share,
// and replaces them in time. It owns the Ledger, which the store holds as one
// value, and each step that changes it. Where the ledger is kept is the business
// of a Store; what is signed is that of the caller.
//
// A key lives through these states:
//
//	            lead                   period                longest token + slack
//	Publish -----------> Promote ----------------> (replaced) --------------> Remove
//	Published            Signing                   Verifying                  gone
//
// Published, a key stands among those that anybody may fetch, and verifies, but
// does not sign: by the time it does, nobody holds an older copy of the public
// keys. Verifying, it signs no more, its private half is destroyed, and the
// tokens that it has signed run out. Retire takes a key out at any time.
//
// Policy.Next decides which step is due. Every replica carries it out as soon as
// it sees it, against the ledger as it then is: the first one wins, and the
// others find that there is nothing left to do. Each step is one transaction of
// the store, so a crash comes before it or after it. What it leaves:
//
//  1. Publish: before, the old key signs on; after, the new one is known to all.
//  2. Promote: before, the old key signs on; after, the new one does, and tokens
//     of both verify.
//  3. Remove: before, a key too many verifies; after, none that is needed is
//     missing.
//
// The same step is then found due, or not, from the ledger alone.
package rotation

import (
	"time"

	"github.com/muster-identity/muster/keyring"
)

// State is what a key is used for.
type State string

// The states of a key.
const (
	// Published keys verify, and are going to sign.
	Published State = "Published"
	// Signing is the state of the one key that signs. It verifies, too.
	Signing State = "Signing"
	// Verifying keys have signed before.
	Verifying State = "Verifying"
)

const (
	// JWKSMaxAge is for how long readers may keep the published keys
	// (keyring.CacheControl).
	JWKSMaxAge = time.Hour
	// Lead is for how long a key is published before it signs: twice as long as
	// an old copy of the published keys may be about, for a copy of a copy.
	Lead = 2 * JWKSMaxAge
	// Slack is for how much longer a key verifies than its last token can live:
	// for replicas that learn late that it was replaced, and clocks that differ.
	Slack = time.Hour
	// MinPeriod is the shortest time for which a key signs. It leaves room for
	// the next one's Lead.
	MinPeriod = 24 * time.Hour
	// DefaultPeriod is for how long a key signs unless told otherwise.
	DefaultPeriod = 90 * 24 * time.Hour
)

// Policy is when keys are replaced.
type Policy struct {
	// Period is for how long a key signs; zero: until somebody begins a
	// rotation.
	Period time.Duration
	// Lead is for how long a key is published before it signs.
	Lead time.Duration
	// Slack is for how much longer a key verifies than its last token can live.
	Slack time.Duration
	// Algorithm is that of the keys to come.
	Algorithm keyring.Algorithm
}

// NewPolicy is the policy with a key for each period.
func NewPolicy(period time.Duration, algorithm keyring.Algorithm) Policy {
	return Policy{Period: period, Lead: Lead, Slack: Slack, Algorithm: algorithm}
}

// Kind is what a step does.
type Kind string

// The kinds of steps.
const (
	Publish Kind = "publish"
	Promote Kind = "promote"
	Remove  Kind = "remove"
)

// Step is a change of the ledger that comes by itself.
type Step struct {
	Kind Kind
	// ID is the key that is promoted or removed.
	ID string
	// At is when the step is due.
	At time.Time
}

// Next is the next step, which is due if its time has come; no kind means that
// none ever will be unless the ledger changes.
func (p Policy) Next(l Ledger) Step {
	var next Step
	consider := func(kind Kind, id string, at time.Time) {
		if next.Kind == "" || at.Before(next.At) {
			next = Step{Kind: kind, ID: id, At: at}
		}
	}
	coming, underWay := l.published()
	if underWay {
		consider(Promote, coming.Key.ID, coming.PublishedAt.Add(p.Lead))
	}
	if signer, ok := l.Signer(); ok && !underWay && p.Period > 0 {
		consider(Publish, "", signer.SigningSince.Add(p.Period-p.Lead))
	}
	for _, entry := range l.Entries {
		if entry.State() == Verifying {
			consider(Remove, entry.Key.ID, entry.VerifiesUntil(p.Slack))
		}
	}
	return next
}

// term is since when a key has been in its state, and when it leaves it; zero if
// that is not to come.
func (p Policy) term(l Ledger, entry Entry) (since, until time.Time) {
	switch entry.State() {
	case Verifying:
		return entry.ReplacedAt, entry.VerifiesUntil(p.Slack)
	case Published:
		return entry.PublishedAt, entry.PublishedAt.Add(p.Lead)
	}
	if coming, ok := l.published(); ok {
		return entry.SigningSince, coming.PublishedAt.Add(p.Lead)
	}
	if p.Period > 0 {
		until = entry.SigningSince.Add(p.Period)
	}
	return entry.SigningSince, until
}

// Due tells whether the time of a step has come.
func (s Step) Due(now time.Time) bool { return s.Kind != "" && !now.Before(s.At) }

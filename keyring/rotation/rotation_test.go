// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package rotation_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/muster-identity/muster/keyring"
	"github.com/muster-identity/muster/keyring/rotation"
)

const day = 24 * time.Hour

var (
	start  = time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	policy = rotation.NewPolicy(90*day, keyring.DefaultAlgorithm)
)

func newKey(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func begun(t testing.TB) rotation.Ledger {
	t.Helper()
	l, err := rotation.Begin(newKey(t), 0, start)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func published(t testing.TB, l rotation.Ledger, at time.Time) rotation.Ledger {
	t.Helper()
	next, err := l.Publish(newKey(t), at)
	if err != nil {
		t.Fatal(err)
	}
	return next
}

func states(l rotation.Ledger) []rotation.State {
	var all []rotation.State
	for _, entry := range l.Entries {
		all = append(all, entry.State())
	}
	return all
}

// A key is published longer than copies of the published keys may be kept, it
// signs for the period, and it verifies until its last token has expired.
func TestEachStepHasItsTime(t *testing.T) {
	t.Parallel()
	if rotation.Lead <= rotation.JWKSMaxAge || rotation.MinPeriod <= rotation.Lead {
		t.Fatal("the times do not fit each other")
	}
	first := begun(t)
	second := published(t, first, start.Add(90*day-rotation.Lead))
	third := second.Promote(start.Add(90 * day))
	firstID := first.Entries[0].Key.ID
	secondID := second.Entries[1].Key.ID
	never := policy
	never.Period = 0
	tests := map[string]struct {
		ledger rotation.Ledger
		policy rotation.Policy
		want   rotation.Step
	}{
		"a key signs: publish the next":         {first, policy, rotation.Step{Kind: rotation.Publish, At: start.Add(90*day - rotation.Lead)}},
		"no period: nothing":                    {first, never, rotation.Step{}},
		"one is published: promote it":          {second, policy, rotation.Step{Kind: rotation.Promote, ID: secondID, At: start.Add(90 * day)}},
		"no period, but one is published":       {second, never, rotation.Step{Kind: rotation.Promote, ID: secondID, At: start.Add(90 * day)}},
		"one verifies: remove it":               {third, policy, rotation.Step{Kind: rotation.Remove, ID: firstID, At: start.Add(91*day + rotation.Slack)}},
		"one verifies, and none of its tokens":  {third.Remove(firstID), policy, rotation.Step{Kind: rotation.Publish, At: start.Add(180*day - rotation.Lead)}},
		"tokens of a year: publish comes first": {second.Allow(365 * day).Promote(start.Add(90 * day)), policy, rotation.Step{Kind: rotation.Publish, At: start.Add(180*day - rotation.Lead)}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := test.policy.Next(test.ledger)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("next step (-want +got):\n%s", diff)
			}
			if got.Kind != "" && (got.Due(got.At.Add(-1)) || !got.Due(got.At)) {
				t.Error("the step is due at another time than its own")
			}
		})
	}
}

func TestAReplacedKeyKeepsNoPrivateHalf(t *testing.T) {
	t.Parallel()
	l := published(t, begun(t), start).Promote(start.Add(time.Hour))
	if diff := cmp.Diff([]rotation.State{rotation.Verifying, rotation.Signing}, states(l)); diff != "" {
		t.Errorf("states (-want +got):\n%s", diff)
	}
	if l.Entries[0].Private != nil || l.Entries[1].Private == nil {
		t.Error("the private halves are not where they belong")
	}
}

// A key that leaves before its last token could void it: what it may have signed
// is entered first, and rounded up, so that it is seldom entered.
func TestTheLongestTokenIsEnteredAndDecidesHowLongAKeyVerifies(t *testing.T) {
	t.Parallel()
	for lifetime, want := range map[time.Duration]time.Duration{
		10 * time.Minute:          day,
		day:                       day,
		day + time.Second:         2 * day,
		365 * day:                 512 * day,
		rotation.MaxLongest:       rotation.MaxLongest,
		rotation.MaxLongest - day: rotation.MaxLongest,
	} {
		l := begun(t).Allow(lifetime)
		if got := l.Entries[0].Longest; got != want {
			t.Errorf("after a token of %s the longest is %s, want %s", lifetime, got, want)
		}
		replaced := published(t, l, start).Promote(start).Entries[0]
		if got := replaced.VerifiesUntil(rotation.Slack); got.Before(start.Add(lifetime + rotation.Slack)) {
			t.Errorf("a token of %s outlives its key, which goes at %s", lifetime, got)
		}
	}
}

func TestAKeyIsRetiredUnlessNoneCouldSign(t *testing.T) {
	t.Parallel()
	two := published(t, begun(t), start)
	three := published(t, two.Promote(start), start)
	old, signer, coming := three.Entries[0].Key.ID, three.Entries[1].Key.ID, three.Entries[2].Key.ID
	for id, want := range map[string][]rotation.State{
		old:    {rotation.Signing, rotation.Published},
		signer: {rotation.Verifying, rotation.Signing},
		coming: {rotation.Verifying, rotation.Signing},
	} {
		l, err := three.Retire(id, start)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, states(l)); diff != "" {
			t.Errorf("states (-want +got):\n%s", diff)
		}
		for _, entry := range l.Entries {
			if entry.Key.ID == id {
				t.Error("the key is there still")
			}
		}
	}
	if diff := cmp.Diff([]rotation.State{rotation.Verifying, rotation.Signing, rotation.Published}, states(three)); diff != "" {
		t.Errorf("the ledger itself has changed (-want +got):\n%s", diff)
	}
	var refusal *rotation.Refusal
	if _, err := begun(t).Retire(two.Entries[0].Key.ID, start); !errors.Is(err, rotation.ErrUnknownKey) {
		t.Errorf("an unknown key: %v", err)
	}
	lone := begun(t)
	if _, err := lone.Retire(lone.Entries[0].Key.ID, start); !errors.As(err, &refusal) {
		t.Errorf("the only key: %v", err)
	}
	if _, err := two.Publish(newKey(t), start); !errors.As(err, &refusal) {
		t.Errorf("a second published key: %v", err)
	}
}

func TestAnImportedKeyVerifiesOnceAndDoesNotComeBack(t *testing.T) {
	t.Parallel()
	earlier := newKey(t)
	l, err := begun(t).Import(earlier, 30*day, start)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]rotation.State{rotation.Verifying, rotation.Signing}, states(l)); diff != "" {
		t.Fatalf("states (-want +got):\n%s", diff)
	}
	if got, want := l.Entries[0].VerifiesUntil(rotation.Slack), start.Add(30*day+rotation.Slack); !got.Equal(want) {
		t.Errorf("it verifies until %s, want %s", got, want)
	}
	if l, err = l.Retire(l.Entries[0].Key.ID, start); err != nil {
		t.Fatal(err)
	}
	if l, err = l.Import(earlier, 30*day, start); err != nil {
		t.Fatal(err)
	}
	if len(l.Entries) != 1 {
		t.Error("a retired key has come back")
	}
}

// sample has a key in each state.
func sample(t testing.TB) rotation.Ledger {
	t.Helper()
	l, err := published(t, begun(t).Allow(30*day), start).Promote(start.Add(time.Hour)).Import(newKey(t), day, start)
	if err != nil {
		t.Fatal(err)
	}
	return published(t, l, start.Add(2*time.Hour))
}

func TestALedgerSurvivesTheStore(t *testing.T) {
	t.Parallel()
	l := sample(t)
	data, err := l.Encode()
	if err != nil {
		t.Fatal(err)
	}
	again, err := rotation.Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(l, again); diff != "" {
		t.Errorf("the ledger has changed (-want +got):\n%s", diff)
	}
}

// What is accepted encodes to the same meaning; what is refused is empty.
func FuzzLedger(f *testing.F) {
	data, err := sample(f).Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	for _, seed := range []string{``, `{}`, `{"keys":[]}`, `{"keys":[{}]}`, `{"keys":[],"more":1}`, `[]`, `{"keys":[{"publicKey":"x","longestTokenSeconds":-1}]}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		l, err := rotation.Decode(data)
		if err != nil {
			if len(l.Entries) > 0 {
				t.Fatal("entries with an error")
			}
			return
		}
		if _, ok := l.Signer(); !ok {
			t.Fatal("no key signs")
		}
		encoded, err := l.Encode()
		if err != nil {
			t.Fatal(err)
		}
		again, err := rotation.Decode(encoded)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(l, again); diff != "" {
			t.Fatalf("the ledger has changed on the way back:\n%s", diff)
		}
	})
}

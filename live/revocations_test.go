// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package live

import (
	"context"
	"errors"
	"math"
	"strconv"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	identityv1 "github.com/muster-identity/muster/identity/v1"
)

func revocationAt(revision int64, name string, spec identityv1.TokenRevocationSpec) *identityv1.TokenRevocation {
	return &identityv1.TokenRevocation{
		ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name), ResourceVersion: strconv.FormatInt(revision, 10)},
		Spec:       spec,
	}
}

func accountRevokedBefore(second int64) identityv1.TokenRevocationSpec {
	return identityv1.TokenRevocationSpec{
		ServiceAccount: &identityv1.RevokedServiceAccount{Namespace: "shop", Name: "cart", IssuedBefore: &metav1.Time{Time: time.Unix(second, 0)}},
	}
}

// listed is a view whose first list of revocations had nothing in it.
func listed() *View {
	v := New(newShelf(), nil)
	v.feeds[revocations].list().replace(1)
	return v
}

// foundFor is the name of the revocation that is found, or nothing.
func foundFor(t *testing.T, v *View, issuedAt int64, marks ...Mark) string {
	t.Helper()
	found, ok, err := v.Revocations().Find(t.Context(), issuedAt, marks...)
	if err != nil || ok != (found.Name != "") {
		t.Fatalf("got %q, %v, %v", found.Name, ok, err)
	}
	return found.Name
}

func TestARevocationIsFoundByWhatItNames(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		spec          identityv1.TokenRevocationSpec
		mark          Mark
		second        int64 // of the token's issue
		others        []Mark
		sparedSeconds []int64
	}{
		"a token": {
			identityv1.TokenRevocationSpec{Token: &identityv1.RevokedToken{Issuer: "https://a", JTI: "1"}},
			TokenMark("https://a", "1"), math.MaxInt64 - 1,
			[]Mark{TokenMark("https://a", "2"), TokenMark("https://b", "1"), KeyMark("1"), NodeMark("1", "")},
			nil,
		},
		"an account": {
			accountRevokedBefore(100), AccountMark("shop", "cart", ""), 99,
			[]Mark{AccountMark("shop", "cart", "u"), AccountMark("shop", "till", ""), AccountMark("dev", "cart", ""), NodeMark("cart", "")},
			[]int64{100, 101},
		},
		"an account of a UID": {
			identityv1.TokenRevocationSpec{ServiceAccount: &identityv1.RevokedServiceAccount{Namespace: "shop", Name: "cart", UID: "u", IssuedBefore: &metav1.Time{Time: time.Unix(100, 0)}}},
			AccountMark("shop", "cart", "u"), 99,
			[]Mark{AccountMark("shop", "cart", ""), AccountMark("shop", "cart", "v")},
			[]int64{100},
		},
		"an account whose time was lost": {
			identityv1.TokenRevocationSpec{ServiceAccount: &identityv1.RevokedServiceAccount{Namespace: "shop", Name: "cart"}},
			AccountMark("shop", "cart", ""), 1 << 40, nil, nil,
		},
		"a key": {
			identityv1.TokenRevocationSpec{Key: &identityv1.RevokedKey{ID: "k"}},
			KeyMark("k"), 0,
			[]Mark{KeyMark("l"), KeyMark(""), TokenMark("", "k")},
			nil,
		},
		"a node": {
			identityv1.TokenRevocationSpec{Node: &identityv1.RevokedNode{Name: "n"}},
			NodeMark("n", ""), 1,
			[]Mark{NodeMark("n", "u"), NodeMark("m", "")},
			nil,
		},
		"a node of a UID": {
			identityv1.TokenRevocationSpec{Node: &identityv1.RevokedNode{Name: "n", UID: "u"}},
			NodeMark("n", "u"), 1,
			[]Mark{NodeMark("n", ""), NodeMark("n", "v")},
			nil,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := listed()
			v.Commit(revocations, revocationAt(2, "r", test.spec), false)
			if got := foundFor(t, v, test.second, KeyMark("other"), test.mark); got != "r" {
				t.Errorf("found %q, want %q", got, "r")
			}
			if got := foundFor(t, v, 0, test.others...); got != "" {
				t.Errorf("found for others: %q", got)
			}
			for _, second := range test.sparedSeconds {
				if got := foundFor(t, v, second, test.mark); got != "" {
					t.Errorf("found for a token of second %d: %q", second, got)
				}
			}
		})
	}
}

func TestOfSeveralRevocationsTheOneThatSparesFewestCounts(t *testing.T) {
	t.Parallel()
	v := listed()
	mark := AccountMark("shop", "cart", "")
	steps := []struct {
		name    string
		second  int64
		deleted bool
		want    map[int64]string // by the second of the token's issue
	}{
		{"a", 100, false, map[int64]string{99: "a", 100: ""}},
		{"c", 200, false, map[int64]string{99: "c", 199: "c", 200: ""}},
		{"b", 200, false, map[int64]string{99: "b", 199: "b", 200: ""}},
		{"b", 200, true, map[int64]string{99: "c", 199: "c"}},
		{"c", 200, true, map[int64]string{99: "a", 199: ""}},
		{"a", 300, false, map[int64]string{299: "a"}}, // made anew under the same name
		{"a", 300, true, map[int64]string{99: ""}},
	}
	for i, step := range steps {
		v.Commit(revocations, revocationAt(int64(10+i), step.name, accountRevokedBefore(step.second)), step.deleted)
		for second, want := range step.want {
			if got := foundFor(t, v, second, mark); got != want {
				t.Errorf("step %d, a token of second %d: found %q, want %q", i, second, got, want)
			}
		}
	}
	if v.Revocations().Some() {
		t.Error("there are revocations still")
	}
	if n := len(v.revocations.byMark) + len(v.revocations.marks); n != 0 {
		t.Errorf("%d entries are kept of revocations that are gone", n)
	}
}

func TestTheWatchBringsRevocationsAndTakesThemAway(t *testing.T) {
	t.Parallel()
	v := New(newShelf(), nil)
	feed, mark := v.feeds[revocations], KeyMark("k")
	spec := identityv1.TokenRevocationSpec{Key: &identityv1.RevokedKey{ID: "k"}}
	listAll(feed, 3, revocationAt(2, "r", spec))
	if got := foundFor(t, v, 0, mark); got != "r" {
		t.Errorf("listed: found %q", got)
	}
	v.Commit(revocations, revocationAt(4, "r", spec), true)
	feed.observeObject(revocationAt(2, "r", spec), false) // late
	if got := foundFor(t, v, 0, mark); got != "" {
		t.Errorf("after its deletion: found %q", got)
	}
	feed.observeObject(revocationAt(5, "s", spec), false)
	if got := foundFor(t, v, 0, mark); got != "s" {
		t.Errorf("watched: found %q", got)
	}
	feed.list().replace(6)
	if got := foundFor(t, v, 0, mark); got != "" {
		t.Errorf("no longer listed: found %q", got)
	}
}

// A view that has not seen the store yet must not call a token good.
func TestAQuestionWaitsForTheFirstList(t *testing.T) {
	t.Parallel()
	v := New(newShelf(), nil)
	if !v.Revocations().Some() {
		t.Error("nothing is known, and yet there are none")
	}
	trouble := errors.New("the caller has left")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(trouble)
	if _, ok, err := v.Revocations().Find(ctx, 0, KeyMark("k")); ok || !errors.Is(err, trouble) {
		t.Errorf("got %v, %v, want %v", ok, err, trouble)
	}
	found := make(chan string)
	go func() {
		r, _, err := v.Revocations().Find(t.Context(), 0, KeyMark("k"))
		found <- r.Name + errorText(err)
	}()
	listAll(v.feeds[revocations], 3, revocationAt(2, "r", identityv1.TokenRevocationSpec{Key: &identityv1.RevokedKey{ID: "k"}}))
	if got := <-found; got != "r" {
		t.Errorf("found %q, want %q", got, "r")
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func BenchmarkATokenAmongRevocations(b *testing.B) {
	for _, count := range []int{0, 1, 100_000} {
		b.Run(strconv.Itoa(count), func(b *testing.B) {
			v := listed()
			for i := range count {
				v.Commit(revocations, revocationAt(int64(i+2), strconv.Itoa(i), identityv1.TokenRevocationSpec{
					Token: &identityv1.RevokedToken{Issuer: "https://muster.example", JTI: strconv.Itoa(i)},
				}), false)
			}
			index, ctx := v.Revocations(), b.Context()
			b.ReportAllocs()
			for b.Loop() {
				if !index.Some() {
					continue
				}
				_, found, err := index.Find(ctx, 7,
					TokenMark("https://muster.example", "no"), AccountMark("shop", "cart", ""), AccountMark("shop", "cart", "u"),
					KeyMark("k"), NodeMark("n", ""), NodeMark("n", "u"))
				if found || err != nil {
					b.Fatal(found, err)
				}
			}
		})
	}
}

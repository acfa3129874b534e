// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package authn_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/authentication/authenticator"

	"github.com/muster-identity/muster/authn"
	"github.com/muster-identity/muster/keyring"
	"github.com/muster-identity/muster/live"
	"github.com/muster-identity/muster/token"
)

func TestAKeyTakenOutOfTheRingEndsItsTokens(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	next := newSigner(t)
	impostor := newSigner(t).key
	impostor.ID = d.signer.key.ID
	payload := encode(t, grant().Claims())
	for name, test := range map[string]struct {
		ring *keyring.Ring
		// named and nameless are the verdicts on a token that names its key and
		// on one that does not.
		named, nameless string
	}{
		"the same key, another ring":      {newRing(t, d.signer), "", ""},
		"the key signs no more":           {newRing(t, next, d.signer.key), "", ""},
		"the key is out":                  {newRing(t, next), noKeys, badSignature},
		"another key has the id":          {newRing(t, next, impostor), badSignature, badSignature},
		"another key joins, the id stays": {newRing(t, d.signer, next.key), "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			keys := keyring.New(d.ring)
			tokens := newDesk(t, func(s *authn.ServiceAccounts) { s.Keys = keys })
			named, nameless := d.sign(t, grant().Claims()), d.signer.anonymously(t, payload)
			check := func(when, wantNamed, wantNameless string) {
				t.Helper()
				for range 2 {
					if got := tokens.verdict(t.Context(), named); got != wantNamed {
						t.Errorf("%s: a token that names its key: %q, want %q", when, got, wantNamed)
					}
					if got := tokens.verdict(t.Context(), nameless); got != wantNameless {
						t.Errorf("%s: a token that does not: %q, want %q", when, got, wantNameless)
					}
				}
			}
			check("before", "", "")
			keys.Replace(test.ring)
			check("after", test.named, test.nameless)
			keys.Replace(d.ring)
			check("back again", "", "")
		})
	}
}

// store is the truth: pods and accounts by name, one revision for each write.
type store struct {
	mu sync.Mutex
	// Guarded by mu.
	revision int64
	objects  map[string]metav1.Object
}

func storeKey(resource, name string) string { return resource + "/" + name }

func (s *store) Get(_ context.Context, resource schema.GroupResource, _, name string) (runtime.Object, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	object, ok := s.objects[storeKey(resource.Resource, name)]
	if !ok {
		return nil, apierrors.NewNotFound(resource, name)
	}
	return object.(runtime.Object).DeepCopyObject(), nil
}

func (s *store) uid(resource, name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	object, ok := s.objects[storeKey(resource, name)]
	if !ok {
		return ""
	}
	return string(object.GetUID())
}

// write makes a new object of a name, or removes it, and tells the view.
func (s *store) write(view *live.View, resource, name string, deleted bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.revision++
	meta := metav1.ObjectMeta{
		Namespace: "shop", Name: name, UID: types.UID(fmt.Sprintf("uid-%d", s.revision)),
		ResourceVersion: strconv.FormatInt(s.revision, 10),
	}
	var object metav1.Object = &corev1.Pod{ObjectMeta: meta}
	if resource == "serviceaccounts" {
		object = &corev1.ServiceAccount{ObjectMeta: meta}
	}
	if deleted {
		delete(s.objects, storeKey(resource, name))
	} else {
		s.objects[storeKey(resource, name)] = object
	}
	view.Commit(corev1.Resource(resource), object.(runtime.Object), deleted)
}

// issued is a token, and what its life depends on.
type issued struct {
	compact string
	key     string
	account token.Ref
	pod     *token.Ref
	until   time.Time
}

// TestNoVerdictIsStale lets pods, accounts, keys and time come and go, and asks
// after each change about every token ever issued.
func TestNoVerdictIsStale(t *testing.T) {
	t.Parallel()
	signers := []signer{newSigner(t), newSigner(t), newSigner(t)}
	good, refused := 0, 0
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 7))
		truth := &store{objects: map[string]metav1.Object{}}
		view := live.New(truth, nil)
		clock, ring := now, []signer{signers[0]}
		var tokens []issued
		d := newDesk(t, func(s *authn.ServiceAccounts) {
			s.Objects, s.Fresh = view, live.Fresh{View: view}
			s.Keys = keyring.New(newRing(t, signers[0]))
			s.Now = func() time.Time { return clock }
			s.Issuers = []string{api}
		})
		for step := range 60 {
			name := fmt.Sprint("o", r.IntN(2))
			switch r.IntN(10) {
			case 0, 1:
				truth.write(view, "serviceaccounts", name, r.IntN(3) == 0)
			case 2, 3, 4:
				truth.write(view, "pods", name, r.IntN(2) == 0)
			case 5:
				r.Shuffle(len(signers), func(i, j int) { signers[i], signers[j] = signers[j], signers[i] })
				ring = append([]signer(nil), signers[:1+r.IntN(2)]...)
				others := []keyring.Key{}
				for _, s := range ring[1:] {
					others = append(others, s.key)
				}
				d.Keys.Replace(newRing(t, ring[0], others...))
			case 6:
				clock = clock.Add(time.Duration(r.IntN(600)) * time.Second)
			default:
				if i, ok := issue(t, truth, ring[0], clock, name, r.IntN(2) == 0); ok {
					tokens = append(tokens, i)
				}
			}
			for i, tok := range tokens {
				want := tok.good(truth, ring, clock)
				got := d.verdict(t.Context(), tok.compact)
				if want != (got == "") {
					t.Fatalf("seed %d, step %d, token %d: verdict %q, but the token is good: %v", seed, step, i, got, want)
				}
				if want {
					good++
				} else {
					refused++
				}
			}
		}
	}
	if good < 300 || refused < 300 {
		t.Errorf("only %d good and %d refused tokens were met", good, refused)
	}
}

// issue makes a token for the account and perhaps the pod of a name.
func issue(t *testing.T, truth *store, by signer, clock time.Time, name string, bound bool) (issued, bool) {
	t.Helper()
	i := issued{
		key: by.key.ID, account: token.Ref{Name: name, UID: truth.uid("serviceaccounts", name)},
		until: time.Unix(clock.Unix(), 0).Add(15*time.Minute + token.Leeway),
	}
	if i.account.UID == "" {
		return issued{}, false
	}
	g := token.Grant{
		Issuer: api, ID: fmt.Sprint(truth.revision), Namespace: "shop", ServiceAccount: i.account,
		Audiences: []string{api}, IssuedAt: clock, Lifetime: 15 * time.Minute,
	}
	if bound {
		i.pod = &token.Ref{Name: name, UID: truth.uid("pods", name)}
		g.Bound = token.ToPod(*i.pod, nil)
	}
	if bound && i.pod.UID == "" {
		return issued{}, false
	}
	compact, err := by.Sign(t.Context(), encode(t, g.Claims()))
	if err != nil {
		t.Fatal(err)
	}
	i.compact = compact
	return i, true
}

// good is the truth about a token.
func (i issued) good(truth *store, ring []signer, clock time.Time) bool {
	known := map[string]bool{}
	for _, s := range ring {
		known[s.key.ID] = true
	}
	return known[i.key] && !clock.After(i.until) &&
		truth.uid("serviceaccounts", i.account.Name) == i.account.UID &&
		(i.pod == nil || truth.uid("pods", i.pod.Name) == i.pod.UID)
}

// TestNobodySeesADeletedPodAfterItsDeletionReturned asks from many sides while
// the pod, or the key, goes.
func TestNobodySeesADeletedPodAfterItsDeletionReturned(t *testing.T) {
	t.Parallel()
	for round := range 50 {
		truth := &store{objects: map[string]metav1.Object{}}
		view := live.New(truth, nil)
		d := newDesk(t, func(s *authn.ServiceAccounts) { s.Objects, s.Fresh = view, live.Fresh{View: view} })
		truth.write(view, "serviceaccounts", "cart", false)
		truth.write(view, "pods", "cart", false)
		g := grant()
		g.ServiceAccount.UID = truth.uid("serviceaccounts", "cart")
		g.Bound = token.ToPod(token.Ref{Name: "cart", UID: truth.uid("pods", "cart")}, nil)
		compact := d.sign(t, g.Claims())

		var ended atomic.Bool
		var askers sync.WaitGroup
		asked := make(chan struct{}, 4)
		for range cap(asked) {
			askers.Go(func() {
				for i := range 200 {
					late := ended.Load()
					got := d.verdict(t.Context(), compact)
					if late && got == "" {
						t.Errorf("round %d: a token is good after its end", round)
						return
					}
					if late && i > 20 {
						return
					}
					if i == 5 {
						asked <- struct{}{}
					}
				}
			})
		}
		<-asked // by now the signature is known
		if round%2 == 0 {
			truth.write(view, "pods", "cart", true)
		} else {
			d.keys.Replace(newRing(t, newSigner(t)))
		}
		ended.Store(true)
		askers.Wait()
		if got := d.verdict(t.Context(), compact); got == "" {
			t.Errorf("round %d: the token is good at the end", round)
		}
	}
}

// TestTheCheckOfAKnownTokenIsCheap pins what a check allocates, so that nobody
// adds to it unawares. It does not run beside others, whose allocations would
// count. None of it is for explanations: nobody has asked.
func TestTheCheckOfAKnownTokenIsCheap(t *testing.T) {
	d := newDesk(t)
	for kind, compact := range map[string]string{
		"a pod's": d.sign(t, claimsOf("pods")), "an account's": d.sign(t, claimsOf("")), "a node's": d.sign(t, claimsOf("nodes")),
	} {
		ctx, wanted := t.Context(), authenticator.Audiences{api}
		d.verdict(ctx, compact)
		seen := testing.AllocsPerRun(200, func() {
			if _, ok, err := d.CheckSeen(ctx, compact, wanted); !ok || err != nil {
				t.Fatal(err)
			}
		})
		if seen != 0 {
			t.Errorf("%s token, by CheckSeen: %v allocations, want none", kind, seen)
		}
		ctx = authenticator.WithAudiences(ctx, wanted)
		request := testing.AllocsPerRun(200, func() {
			if _, ok, err := d.AuthenticateToken(ctx, compact); !ok || err != nil {
				t.Fatal(err)
			}
		})
		if request != 3 {
			t.Errorf("%s token, by AuthenticateToken: %v allocations, want those of the response, its user and its audiences", kind, request)
		}
	}
}

func BenchmarkCheckOfASeenToken(b *testing.B) {
	d := newDesk(b)
	compact, wanted := d.sign(b, claimsOf("pods")), authenticator.Audiences{api}
	ctx := b.Context()
	d.verdict(ctx, compact)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, ok, err := d.CheckSeen(ctx, compact, wanted); !ok || err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkCheckOfAKnownToken(b *testing.B) {
	d := newDesk(b)
	compact := d.sign(b, claimsOf("pods"))
	ctx := b.Context()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, ok, err := d.AuthenticateToken(ctx, compact); !ok || err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkCheckOfANewToken(b *testing.B) {
	d := newDesk(b)
	compact := d.sign(b, claimsOf("pods"))
	ctx := b.Context()
	rings := []*keyring.Ring{d.ring, newRing(b, d.signer)}
	for i := 0; b.Loop(); i++ {
		d.keys.Replace(rings[i%2])
		if _, ok, err := d.AuthenticateToken(ctx, compact); !ok || err != nil {
			b.Fatal(err)
		}
	}
}

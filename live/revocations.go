// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package live

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"k8s.io/apimachinery/pkg/runtime"

	identityv1 "github.com/muster-identity/muster/identity/v1"
)

// Mark is what tokens and revocations have in common: the token itself, or the
// account, the key or the node of a token. It is made by one of the functions
// below, and compared.
type Mark struct {
	kind             rune
	first, name, uid string
}

// TokenMark is that of one token, by its claims iss and jti.
func TokenMark(issuer, jti string) Mark { return Mark{kind: 't', first: issuer, name: jti} }

// AccountMark is that of the tokens of an account; without a uid, of whatever
// account has the name.
func AccountMark(namespace, name, uid string) Mark {
	return Mark{kind: 'a', first: namespace, name: name, uid: uid}
}

// KeyMark is that of the tokens that a key has signed.
func KeyMark(id string) Mark { return Mark{kind: 'k', name: id} }

// NodeMark is that of the tokens that name a node; without a uid, of whatever
// node has the name.
func NodeMark(name, uid string) Mark { return Mark{kind: 'n', name: name, uid: uid} }

// Revocation is what exists of a TokenRevocation.
type Revocation struct {
	Meta
	Mark Mark
	// IssuedBefore is the second, since 1970, from which on tokens are spared;
	// math.MaxInt64 where none are.
	IssuedBefore int64
	Reason       string
}

// Revocations tells which tokens are revoked. A question costs one lookup for
// each mark, however many revocations there are, and next to nothing while there
// are none.
type Revocations struct {
	// some tells whether there are any, so that no lock is taken for nothing.
	some atomic.Bool
	// known is closed when all revocations are known that existed at the start:
	// unlike an object, one that is not known yet would not be missed.
	known chan struct{}
	once  sync.Once

	mu sync.RWMutex
	// byMark has for each mark its revocations, the one that spares fewest tokens
	// first. Guarded by mu.
	byMark map[Mark][]Revocation
	// marks has the mark of each revocation by its name. Guarded by mu.
	marks map[string]Mark
}

func newRevocations() *Revocations {
	return &Revocations{known: make(chan struct{}), byMark: map[Mark][]Revocation{}, marks: map[string]Mark{}}
}

// Find returns the revocation of a token that was issued at a second since 1970
// and has the given marks. It waits, if the view has just been made, for what
// exists in the store; an error means that this is not known.
func (r *Revocations) Find(ctx context.Context, issuedAt int64, marks ...Mark) (Revocation, bool, error) {
	select {
	case <-r.known:
	default:
		if err := r.wait(ctx); err != nil {
			return Revocation{}, false, err
		}
	}
	if !r.some.Load() {
		return Revocation{}, false, nil
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, mark := range marks {
		if found := r.byMark[mark]; len(found) > 0 && issuedAt < found[0].IssuedBefore {
			return found[0], true, nil
		}
	}
	return Revocation{}, false, nil
}

// Some tells whether there may be revocations: if not, Find finds none. A nil
// has none.
func (r *Revocations) Some() bool {
	if r == nil {
		return false
	}
	select {
	case <-r.known:
		return r.some.Load()
	default:
		return true
	}
}

func (r *Revocations) wait(ctx context.Context) error {
	select {
	case <-r.known:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting for the revocations of tokens to be known: %w", context.Cause(ctx))
	}
}

// complete notes that all revocations are known that exist.
func (r *Revocations) complete() { r.once.Do(func() { close(r.known) }) }

// apply brings a change of a revocation into force. Calls for one revocation
// come in the order of its changes.
func (r *Revocations) apply(changed Revocation, deleted bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.remove(changed.Name)
	if !deleted {
		r.marks[changed.Name] = changed.Mark
		found := append(r.byMark[changed.Mark], changed)
		slices.SortFunc(found, func(a, b Revocation) int {
			return cmp.Or(cmp.Compare(b.IssuedBefore, a.IssuedBefore), cmp.Compare(a.Name, b.Name))
		})
		r.byMark[changed.Mark] = found
	}
	r.some.Store(len(r.marks) > 0)
}

func (r *Revocations) remove(name string) {
	mark, ok := r.marks[name]
	if !ok {
		return
	}
	delete(r.marks, name)
	left := slices.DeleteFunc(r.byMark[mark], func(known Revocation) bool { return known.Name == name })
	if len(left) == 0 {
		delete(r.byMark, mark)
		return
	}
	r.byMark[mark] = left
}

// revocationKind is the kind whose first list makes the revocations complete.
type revocationKind struct {
	kind[Revocation]
	all *Revocations
}

func (k revocationKind) list() listing { return revocationList{k.kind.list(), k.all} }

type revocationList struct {
	listing
	all *Revocations
}

func (l revocationList) replace(revision int64) {
	l.listing.replace(revision)
	l.all.complete()
}

func revocationOf(obj runtime.Object) Revocation {
	from := obj.(*identityv1.TokenRevocation)
	spec := &from.Spec
	r := Revocation{Meta: metaOf(from), IssuedBefore: math.MaxInt64, Reason: spec.Reason}
	switch {
	case spec.Token != nil:
		r.Mark = TokenMark(spec.Token.Issuer, spec.Token.JTI)
	case spec.ServiceAccount != nil:
		account := spec.ServiceAccount
		r.Mark = AccountMark(account.Namespace, account.Name, string(account.UID))
		if account.IssuedBefore != nil {
			r.IssuedBefore = account.IssuedBefore.Unix()
		}
	case spec.Key != nil:
		r.Mark = KeyMark(spec.Key.ID)
	case spec.Node != nil:
		r.Mark = NodeMark(spec.Node.Name, string(spec.Node.UID))
	}
	return r
}

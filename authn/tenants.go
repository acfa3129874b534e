// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package authn

import (
	"slices"

	"github.com/muster-identity/muster/token"
)

// What the parts of signatures take besides their text, in bytes, rounded up:
// measured by TestVerdictsFitTheirRoom.
const (
	seenBytes    = 470
	nodeBytes    = 160
	accountBytes = 480
	tenantBytes  = 480
)

// tenant is what is kept of the tokens of one namespace.
//
// They stand in a queue, the newest first. A hand goes round from the oldest
// and takes out the first that has not been used since it last came by: a token
// that is in use stays, one that was used once does not. (SIEVE: Zhang and
// others, NSDI 2024.) A use is the setting of a flag, so readers do not wait
// for each other.
type tenant struct {
	name     string
	accounts map[token.Ref]*account
	// first and last are the ends of the queue; hand is the next to be looked
	// at, nil for the last.
	first, last, hand *seen
	bytes             int
	// index is the place in byBytes.
	index int
}

// account is what the tokens of one account have in common.
type account struct {
	tenant *tenant
	// ref, namespace, subject, issuer and audiences are the claims that are
	// shared by those tokens that have the same.
	ref                        token.Ref
	namespace, subject, issuer string
	audiences                  []string
	// groups are those of every user of the account.
	groups []string
	tokens int
}

func (a *account) bytes() int {
	n := accountBytes + len(a.ref.Name) + len(a.ref.UID) + 3*len(a.namespace) + len(a.subject) + len(a.issuer)
	for _, audience := range a.audiences {
		n += len(audience) + stringBytes
	}
	return n
}

// share lets a token have its text from its account where it is the same, and
// returns by how many bytes the account has grown.
func (t *tenant) share(fresh *seen) (bytes int) {
	k := &fresh.claims.Kubernetes
	a, ok := t.accounts[k.ServiceAccount]
	if !ok {
		a = fresh.account
		a.tenant = t
		t.accounts[a.ref] = a
		bytes = a.bytes()
	}
	fresh.account = a
	a.tokens++
	k.Namespace, k.ServiceAccount = a.namespace, a.ref
	if fresh.claims.Subject == a.subject {
		fresh.claims.Subject = a.subject
	}
	if fresh.claims.Issuer == a.issuer {
		fresh.claims.Issuer = a.issuer
	}
	if slices.Equal(fresh.claims.Audience, a.audiences) {
		fresh.claims.Audience = a.audiences
	}
	return bytes
}

// unshare is the opposite of share.
func (t *tenant) unshare(old *seen) (bytes int) {
	a := old.account
	if a.tokens--; a.tokens > 0 {
		return 0
	}
	delete(t.accounts, a.ref)
	return a.bytes()
}

// push puts a token at the head of the queue.
func (t *tenant) push(s *seen) {
	s.older = t.first
	if t.first != nil {
		t.first.newer = s
	} else {
		t.last = s
	}
	t.first = s
}

func (t *tenant) unlink(s *seen) {
	if t.hand == s {
		t.hand = s.newer
	}
	if s.newer != nil {
		s.newer.older = s.older
	} else {
		t.first = s.older
	}
	if s.older != nil {
		s.older.newer = s.newer
	} else {
		t.last = s.newer
	}
	s.newer, s.older = nil, nil
}

// oldest is the token that has to go next.
func (t *tenant) oldest() *seen {
	for {
		if t.hand == nil {
			t.hand = t.last
		}
		if !t.hand.used.Swap(false) {
			return t.hand
		}
		t.hand = t.hand.newer
	}
}

// byBytes is a heap (container/heap) with the largest tenant on top.
type byBytes []*tenant

// Len is the number of tenants.
func (b byBytes) Len() int { return len(b) }

// Less tells whether i holds more than j.
func (b byBytes) Less(i, j int) bool { return b[i].bytes > b[j].bytes }

// Swap exchanges two.
func (b byBytes) Swap(i, j int) {
	b[i], b[j] = b[j], b[i]
	b[i].index, b[j].index = i, j
}

// Push adds one at the end.
func (b *byBytes) Push(x any) {
	t := x.(*tenant)
	t.index = len(*b)
	*b = append(*b, t)
}

// Pop takes the one at the end.
func (b *byBytes) Pop() any {
	old := *b
	t := old[len(old)-1]
	old[len(old)-1] = nil
	*b = old[:len(old)-1]
	return t
}

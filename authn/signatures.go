// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package authn

import (
	"container/heap"
	"crypto/sha256"
	"sync"
	"unsafe"

	"github.com/muster-identity/muster/keyring"
	"github.com/muster-identity/muster/token"
)

const (
	// maxBytes bounds the memory of verified signatures; it has room for more
	// than 100,000 tokens of pods.
	maxBytes = 60 << 20
	// maxKeptToken, a number of bytes, is the largest token that is kept. A
	// usual one has 1200 bytes, but whoever may ask for tokens may ask for one
	// with a megabyte of audiences.
	maxKeptToken = 4096
)

// digest names a token. Nobody can make two tokens with one digest.
type digest [sha256.Size]byte

// digestOf reads the text where it is. A copy of it would not fit into the small
// stack with which the goroutine of a request begins: to have that grown costs
// more than the sum.
func digestOf(compact string) digest {
	return sha256.Sum256(unsafe.Slice(unsafe.StringData(compact), len(compact)))
}

// signatures remembers tokens whose signatures have been verified.
//
// What is kept is true for good: one of the keys of this ring, which never
// changes, signed these claims. Whatever may end a token's life (its time, a
// key taken out, objects that are gone, other audiences) is not kept, but
// checked at each use; so nothing needs to be told to forget, and an entry
// stays for as long as there is room.
//
// When there is none, the namespace that holds the most gives way, with what it
// has not used of late. So a flood of new tokens, which all come from accounts
// of the flooder, pushes out the flooder's own; nobody whose tokens take no
// more than an equal share of the room loses any.
type signatures struct {
	room int // in bytes

	mu sync.RWMutex
	// All below is guarded by mu.
	kept  map[digest]*seen
	nodes map[token.Ref]*node
	// tenants are the namespaces, by name, and by what they hold.
	tenants map[string]*tenant
	largest byBytes
	bytes   int
}

func newSignatures(room int) *signatures {
	return &signatures{room: room, kept: map[digest]*seen{}, nodes: map[token.Ref]*node{}, tenants: map[string]*tenant{}}
}

// get returns a token that was verified with this very ring. With another, even
// one that has a key of the same id, it has to be verified again.
func (s *signatures) get(d digest, ring *keyring.Ring) (*seen, bool) {
	s.mu.RLock()
	known, ok := s.kept[d]
	s.mu.RUnlock()
	if !ok || known.ring != ring {
		return nil, false
	}
	if !known.used.Load() {
		known.used.Store(true)
	}
	return known, true
}

// add keeps a token that was just verified.
func (s *signatures) add(fresh *seen) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old, ok := s.kept[fresh.digest]; ok {
		s.remove(old)
	}
	t, ok := s.tenants[fresh.claims.Kubernetes.Namespace]
	if !ok {
		t = &tenant{name: fresh.claims.Kubernetes.Namespace, accounts: map[token.Ref]*account{}}
		s.tenants[t.name] = t
		heap.Push(&s.largest, t)
		s.grow(t, tenantBytes+len(t.name))
	}
	s.grow(t, t.share(fresh))
	s.shareNode(fresh)
	s.kept[fresh.digest] = fresh
	t.push(fresh)
	s.grow(t, fresh.bytes())
	for s.bytes > s.room {
		s.remove(s.largest[0].oldest())
	}
}

// remove forgets a token, and what only it needed.
func (s *signatures) remove(old *seen) {
	delete(s.kept, old.digest)
	t := old.account.tenant
	t.unlink(old)
	s.grow(t, -old.bytes())
	s.grow(t, -t.unshare(old))
	if n := s.nodes[nodeOf(old)]; n != nil {
		if n.users--; n.users == 0 {
			delete(s.nodes, n.ref)
			s.bytes -= n.bytes()
		}
	}
	if len(t.accounts) == 0 {
		s.grow(t, -tenantBytes-len(t.name))
		heap.Remove(&s.largest, t.index)
		delete(s.tenants, t.name)
	}
}

// grow notes that a namespace holds so many bytes more.
func (s *signatures) grow(t *tenant, bytes int) {
	s.bytes += bytes
	t.bytes += bytes
	heap.Fix(&s.largest, t.index)
}

// node is one that tokens name: all of them share its text.
type node struct {
	ref   token.Ref
	users int
}

func (n *node) bytes() int { return nodeBytes + len(n.ref.Name) + len(n.ref.UID) }

func nodeOf(s *seen) token.Ref {
	if s.claims.Kubernetes.Node == nil {
		return token.Ref{}
	}
	return *s.claims.Kubernetes.Node
}

func (s *signatures) shareNode(fresh *seen) {
	if fresh.claims.Kubernetes.Node == nil {
		return
	}
	ref := nodeOf(fresh)
	n, ok := s.nodes[ref]
	if !ok {
		n = &node{ref: ref}
		s.nodes[ref] = n
		s.bytes += n.bytes()
	}
	n.users++
	fresh.claims.Kubernetes.Node = &n.ref
}

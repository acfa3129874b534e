// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package authn

import (
	"strings"
	"sync/atomic"

	"k8s.io/apiserver/pkg/authentication/serviceaccount"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/muster-identity/muster/keyring"
	"github.com/muster-identity/muster/token"
)

// seen is a token whose signature has been verified, without its text. It is
// the user that the token speaks of (user.Info), and does not change but for
// the fields that belong to signatures.
type seen struct {
	digest digest
	// ring is the one with which it was verified.
	ring   *keyring.Ring
	claims token.Claims
	pod    token.Ref
	// credential is how audit logs name the token, or empty.
	credential string
	account    *account
	// legacy is set for a token that is kept in a Secret.
	legacy bool

	// used is set at each use, and cleared by the hand of the tenant.
	used atomic.Bool
	// newer and older are the neighbours in the queue of the tenant. Guarded by
	// the lock of signatures.
	newer, older *seen
}

// stringBytes is the size of a string besides its text.
const stringBytes = 16

// newSeen packs the claims of a verified token: what no other token shares
// stands in one piece of memory.
func newSeen(d digest, ring *keyring.Ring, claims *token.Claims, legacy bool) *seen {
	s := &seen{digest: d, ring: ring, claims: *claims, legacy: legacy}
	k := &s.claims.Kubernetes
	s.account = newAccount(&s.claims)
	if k.Pod != nil {
		s.pod = *k.Pod
		k.Pod = &s.pod
	}
	s.credential = claims.CredentialID()
	var text strings.Builder
	text.Grow(len(s.credential) + len(s.pod.Name) + len(s.pod.UID))
	text.WriteString(s.credential)
	text.WriteString(s.pod.Name)
	text.WriteString(s.pod.UID)
	packed := text.String()
	take := func(n int) (part string) {
		part, packed = packed[:n], packed[n:]
		return part
	}
	s.credential = take(len(s.credential))
	s.claims.ID = s.credential[len(s.credential)-len(s.claims.ID):]
	s.pod.Name, s.pod.UID = take(len(s.pod.Name)), take(len(s.pod.UID))
	return s
}

func newAccount(c *token.Claims) *account {
	k := &c.Kubernetes
	return &account{
		ref: k.ServiceAccount, namespace: k.Namespace, subject: c.Subject, issuer: c.Issuer, audiences: c.Audience,
		groups: append(serviceaccount.MakeGroupNames(k.Namespace), user.AllAuthenticated),
	}
}

// bytes is what the token takes, but for what it shares.
func (s *seen) bytes() int {
	n := seenBytes + len(s.credential) + len(s.pod.Name) + len(s.pod.UID)
	if s.claims.Subject != s.account.subject {
		n += len(s.claims.Subject)
	}
	if s.claims.Issuer != s.account.issuer {
		n += len(s.claims.Issuer)
	}
	if !sameList(s.claims.Audience, s.account.audiences) {
		for _, audience := range s.claims.Audience {
			n += len(audience) + 2*stringBytes
		}
	}
	return n + s.rareBytes()
}

// rareBytes is what the claims take that few tokens have.
func (s *seen) rareBytes() (n int) {
	k := &s.claims.Kubernetes
	for _, ref := range []*token.Ref{k.Secret, k.MutatingWebhookConfiguration, k.ValidatingWebhookConfiguration} {
		if ref != nil {
			n += 4*stringBytes + len(ref.Name) + len(ref.UID)
		}
	}
	for key, values := range k.Attestations {
		n += 8*stringBytes + len(key)
		for _, value := range values {
			n += 2*stringBytes + len(value)
		}
	}
	return n
}

// sameList tells whether two lists are the same memory.
func sameList(a, b []string) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}

// GetName is the username.
func (s *seen) GetName() string {
	k := &s.claims.Kubernetes
	if serviceaccount.MatchesUsername(k.Namespace, k.ServiceAccount.Name, s.claims.Subject) {
		return s.claims.Subject
	}
	return serviceaccount.MakeUsername(k.Namespace, k.ServiceAccount.Name)
}

// GetUID is the UID of the account.
func (s *seen) GetUID() string { return s.claims.Kubernetes.ServiceAccount.UID }

// GetGroups are those of all accounts, of those of the namespace, and of all
// who are authenticated. The caller must not change the list.
func (s *seen) GetGroups() []string { return s.account.groups }

// GetExtra tells of the token, its pod and its node.
func (s *seen) GetExtra() map[string][]string { return s.claims.Extra(s.credential) }

// holder is the user of one answer: what it returns is the caller's to change.
type holder struct {
	*seen
	groups [3]string
}

func newHolder(s *seen) *holder {
	h := &holder{seen: s}
	copy(h.groups[:], s.account.groups)
	return h
}

// GetGroups are those of the account.
func (h *holder) GetGroups() []string { return h.groups[:] }

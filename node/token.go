// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
)

const (
	maxTokenAge = 24 * time.Hour   // a token is renewed at this age however long it lives
	maxJitter   = 10 * time.Second // how much earlier than due it may be renewed
)

// NeedsRefresh reports whether a token is due for renewal at now: after 24 hours or 80 % of its life,
// whichever comes first, brought forward by jitter, so that tokens given out together are not renewed
// together (Kubernetes: pkg/kubelet/token/token_manager.go).
func NeedsRefresh(issuedAt, expiry, now time.Time, jitter time.Duration) bool {
	due := expiry.Add(-expiry.Sub(issuedAt) / 5)
	if oldest := issuedAt.Add(maxTokenAge); oldest.Before(due) {
		due = oldest
	}
	return now.After(due.Add(-jitter))
}

// Token is a service account token and its life as the server promised it.
type Token struct {
	secret           string
	IssuedAt, Expiry time.Time
}

// Format hides the token from logs, whatever the verb.
func (t Token) Format(out fmt.State, _ rune) { fmt.Fprintf(out, "token that expires at %s", t.Expiry) }

// TokenKeeper keeps one token fresh. Its methods may be called by many goroutines; one request is made at a time.
type TokenKeeper struct {
	// Request asks the server for a new token.
	Request func(ctx context.Context) (*authenticationv1.TokenRequest, error)
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// Jitter is drawn anew at each look at the token; nil draws evenly below ten seconds.
	Jitter func() time.Duration

	mu    sync.Mutex
	token Token // guarded by mu
	due   bool  // guarded by mu: the token is to be replaced
}

// Token returns the token, renewed if it is due. If the renewal fails and the token has not expired, it
// returns both the token and the error: the token is good, and the next call tries again. In all other
// cases an error comes with the zero Token.
func (k *TokenKeeper) Token(ctx context.Context) (Token, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	held := k.token.secret != ""
	// A token that was due once stays so until there is another: the next jitter may be smaller, and a failure to renew
	// would seem to be over.
	if held && !k.due && !NeedsRefresh(k.token.IssuedAt, k.token.Expiry, k.now(), k.jitter()) {
		return k.token, nil
	}
	k.due = true
	answer, err := k.Request(ctx)
	if err == nil && answer.Spec.ExpirationSeconds == nil {
		err = errors.New("the server did not say how long the token lives")
	}
	switch {
	case err == nil:
		k.token, k.due = tokenOf(answer), false
		return k.token, nil
	case !held:
		return Token{}, fmt.Errorf("requesting token: %w", err)
	case k.now().After(k.token.Expiry):
		return Token{}, fmt.Errorf("token has expired and could not be renewed: %w", err)
	}
	return k.token, fmt.Errorf("renewing token: %w", err)
}

// tokenOf reads the issue time off the expiry and the granted duration, as the kubelet does: the claims of a
// token are none of its bearer's business, and its exp may lie far beyond the promised expiry.
func tokenOf(answer *authenticationv1.TokenRequest) Token {
	expiry := answer.Status.ExpirationTimestamp.Time
	life := time.Duration(*answer.Spec.ExpirationSeconds) * time.Second
	return Token{secret: answer.Status.Token, IssuedAt: expiry.Add(-life), Expiry: expiry}
}

func (k *TokenKeeper) now() time.Time {
	if k.Now != nil {
		return k.Now()
	}
	return time.Now()
}

func (k *TokenKeeper) jitter() time.Duration {
	if k.Jitter != nil {
		return k.Jitter()
	}
	return rand.N(maxJitter)
}

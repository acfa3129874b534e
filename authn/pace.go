// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package authn

import (
	"context"
	"net"
	"net/http"
	"time"

	"golang.org/x/time/rate"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/utils/lru"
)

const (
	// badPerSecond is how many requests with bad credentials are answered to
	// one address, badBurst how many at once before that. One core does a few
	// thousand; a client that has made a mistake sends a few.
	badPerSecond = 100
	badBurst     = 100
	// longestHold bounds the wait for an answer, so that nobody makes the
	// server hold more of them than he keeps connections for.
	longestHold = 5 * time.Second
	// maxAddresses bounds the memory of who sent bad credentials.
	maxAddresses = 4096
)

// Pace keeps a client that floods the server with bad credentials from taking
// its time away from others: past a burst, it is told so at a limited rate. The
// answer to good ones never waits, whoever else comes from the same address.
func Pace(next authenticator.Request) authenticator.Request {
	return &paced{next: next, addresses: lru.New(maxAddresses)}
}

type paced struct {
	next authenticator.Request
	// addresses are the limiters (*rate.Limiter) of those who sent bad
	// credentials. One that is forgotten for want of room begins anew.
	addresses *lru.Cache
}

// AuthenticateRequest says what the next one says, perhaps later.
func (p *paced) AuthenticateRequest(request *http.Request) (*authenticator.Response, bool, error) {
	response, ok, err := p.next.AuthenticateRequest(request)
	if !ok || err != nil {
		p.hold(request.Context(), addressOf(request))
	}
	return response, ok, err
}

// hold returns when the address may have its answer, or with ctx.
func (p *paced) hold(ctx context.Context, address string) {
	turn := p.limiter(address).Reserve()
	wait := turn.Delay()
	if wait > longestHold {
		turn.Cancel()
		wait = longestHold
	}
	if wait == 0 {
		return
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

func (p *paced) limiter(address string) *rate.Limiter {
	if known, ok := p.addresses.Get(address); ok {
		return known.(*rate.Limiter)
	}
	// Of two that come first at once, one may begin with a limiter that is
	// forgotten: it has a burst more.
	limiter := rate.NewLimiter(badPerSecond, badBurst)
	p.addresses.Add(address, limiter)
	return limiter
}

// addressOf is the other end of the connection. What headers say of it, the
// client may have said.
func addressOf(request *http.Request) string {
	host, _, err := net.SplitHostPort(request.RemoteAddr)
	if err != nil {
		return request.RemoteAddr
	}
	return host
}

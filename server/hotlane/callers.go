// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package hotlane

import (
	"context"
	"crypto/x509"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/client-go/util/cert"
	"k8s.io/utils/lru"
)

// Callers tells who is calling, if it takes no more than a look. What it does
// not know, the general path finds out.
type Callers struct {
	// Seen is the check of a service account token whose signature was verified
	// before. It is not ok for any other token, and for one that is not good.
	Seen func(ctx context.Context, compact string) (Caller, bool)
	// Certificates tells who holds a client certificate.
	Certificates *Certificates
}

// Caller is who is calling.
type Caller struct {
	*authenticator.Response
	// Used notes that the credentials were used, once the request is sure to stay
	// in the lane: the general path does that by itself. nil notes nothing.
	Used func(ctx context.Context)
}

// Known returns the caller of a request. It is not ok if the request has no
// credentials, or others than those that can be looked up.
func (c Callers) Known(r *http.Request) (Caller, bool) {
	if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 { // it counts before any token
		response, ok := c.Certificates.Known(r)
		return Caller{Response: response}, ok
	}
	compact, ok := bearer(r.Header.Get("Authorization"))
	if !ok {
		return Caller{}, false
	}
	return c.Seen(r.Context(), compact)
}

// bearer is the token in the header Authorization.
func bearer(header string) (string, bool) {
	scheme, compact, ok := strings.Cut(header, " ")
	return compact, ok && strings.EqualFold(scheme, "bearer") && compact != "" && !strings.Contains(compact, " ")
}

// maxCertificates bounds the certificates that are remembered.
const maxCertificates = 1024

// Certificates remembers who holds which client certificate, once that was
// verified, until a certificate that may be in its chain runs out, or the
// authorities change.
//
// What makes a remembered verdict true: the verification of a chain depends on
// the certificates, the authorities and the time, and on nothing else; who that
// is depends on the certificate alone.
type Certificates struct {
	verify      authenticator.Request
	authorities func() []byte
	now         func() time.Time
	// kept is replaced when the authorities change.
	kept atomic.Pointer[lru.Cache]
}

// NewCertificates remembers what verify says of client certificates; it must
// look at nothing else of a request. authorities are those that verify trusts,
// as PEM. Enqueue has to be called when they change.
func NewCertificates(verify authenticator.Request, authorities func() []byte, now func() time.Time) *Certificates {
	c := &Certificates{verify: verify, authorities: authorities, now: now}
	c.Enqueue()
	return c
}

// Enqueue forgets everything: the authorities have changed. The name is that of
// dynamiccertificates.Listener.
func (c *Certificates) Enqueue() { c.kept.Store(lru.New(maxCertificates)) }

// holder is who holds a certificate, and until when that may be believed.
type holder struct {
	response *authenticator.Response
	until    time.Time
}

// Known returns who holds the client certificate of the request.
func (c *Certificates) Known(r *http.Request) (*authenticator.Response, bool) {
	kept, now := c.kept.Load(), c.now()
	leaf := r.TLS.PeerCertificates[0]
	if known, ok := kept.Get(leaf); ok {
		if h := known.(holder); now.Before(h.until) {
			return h.response, true
		}
	}
	response, ok, err := c.verify.AuthenticateRequest(r)
	if !ok || err != nil {
		return nil, false
	}
	kept.Add(leaf, holder{response, c.until(r.TLS.PeerCertificates, now)})
	return response, true
}

// until is when the first of the certificates runs out that may be in the chain:
// those that the client has shown, and the authorities.
func (c *Certificates) until(shown []*x509.Certificate, now time.Time) time.Time {
	authorities, err := cert.ParseCertsPEM(c.authorities())
	if err != nil {
		return now // as for none: verify each time
	}
	first := shown[0].NotAfter
	for _, certificate := range slices.Concat(shown, authorities) {
		if end := certificate.NotAfter; end.After(now) && end.Before(first) {
			first = end
		}
	}
	return first
}

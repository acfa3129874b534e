// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

// Package verifyhttp puts a verifier before the handlers of an HTTP server.
//
//	guard := verifyhttp.Guard{Verifier: verifier, Allow: onlyReporters}
//	http.Handle("/", guard.Wrap(handler))
//
// The handler is called for those alone who showed a good token and are
// allowed, and learns by [verify.FromContext] who they are.
//
//	nothing shown              401  WWW-Authenticate: Bearer realm="..."
//	a bad token                401  ... error="invalid_token"
//	a header that is no sense  400  ... error="invalid_request"
//	a good one, not allowed    403  ... error="insufficient_scope"
//	nobody could be asked      503  Retry-After: 1
//
// That is RFC 6750, section 3. Tokens are taken from the header Authorization
// alone: those in URLs and forms end up in logs. Which check has failed is told
// to [Guard.Refused], not to the caller.
package verifyhttp

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/muster-identity/muster/verify"
)

// Guard stands before a handler. Verifier must be set.
type Guard struct {
	// Verifier checks the tokens.
	Verifier verify.Verifier
	// Allow decides whether someone who showed a good token may make a request;
	// an error says why not. Nil lets everyone in who has a token for this
	// service. It may be called concurrently.
	Allow func(*http.Request, *verify.Verdict) error
	// Refused, if set, hears of each request that was turned away, and why: the
	// place for a log or a counter. The error is that of Verifier or Allow, and
	// holds no token. It may be called concurrently.
	Refused func(*http.Request, error)
	// Realm is told to callers who showed nothing. Empty is "service account".
	Realm string
}

var (
	// ErrNoToken is the error for a request without a bearer token.
	ErrNoToken = errors.New("the request has no bearer token")
	// ErrBadRequest is the error for a request with several Authorization
	// headers, or a bearer of several words.
	ErrBadRequest = errors.New("the request has a malformed Authorization header")
)

// Wrap returns a handler that lets good requests through to next, without their
// Authorization header: what next does not have it cannot leak. It panics if the
// guard has no Verifier.
func (g Guard) Wrap(next http.Handler) http.Handler {
	if g.Verifier == nil {
		panic("verifyhttp: Guard.Verifier must be set")
	}
	if g.Realm == "" {
		g.Realm = "service account"
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		verdict, a, err := g.judge(r)
		if err != nil {
			if g.Refused != nil {
				g.Refused(r, err)
			}
			a.write(w)
			return
		}
		r = r.Clone(verify.NewContext(r.Context(), verdict))
		r.Header.Del("Authorization")
		next.ServeHTTP(w, r)
	})
}

// judge comes to a verdict, or to an error and the answer it becomes.
func (g Guard) judge(r *http.Request) (*verify.Verdict, answer, error) {
	token, err := bearer(r.Header)
	switch {
	case errors.Is(err, ErrNoToken):
		return nil, answer{code: http.StatusUnauthorized, challenge: "realm=" + quote(g.Realm)}, err
	case err != nil:
		return nil, answer{code: http.StatusBadRequest, challenge: `error="invalid_request"`}, err
	}
	verdict, err := g.Verifier.Verify(r.Context(), token)
	switch {
	case errors.Is(err, verify.ErrInvalid):
		return nil, answer{code: http.StatusUnauthorized, challenge: `error="invalid_token"`}, err
	case err != nil:
		return nil, answer{code: http.StatusServiceUnavailable}, err
	}
	if g.Allow != nil {
		if err := g.Allow(r, verdict); err != nil {
			return nil, answer{code: http.StatusForbidden, challenge: `error="insufficient_scope"`}, err
		}
	}
	return verdict, answer{}, nil
}

// bearer is the token in the header. RFC 6750, section 2.1; the name of the
// scheme is of any case (RFC 9110, section 11.1).
func bearer(header http.Header) (string, error) {
	values := header.Values("Authorization")
	if len(values) == 0 {
		return "", ErrNoToken
	}
	if len(values) > 1 {
		return "", fmt.Errorf("%w: there are %d", ErrBadRequest, len(values))
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", fmt.Errorf("%w: it is of another scheme", ErrNoToken)
	}
	token = strings.Trim(token, " ")
	if token == "" {
		return "", fmt.Errorf("%w: it is empty", ErrNoToken)
	}
	if strings.ContainsAny(token, " ,\t") {
		return "", fmt.Errorf("%w: it is of several words", ErrBadRequest)
	}
	return token, nil
}

// answer is what a caller is told who is turned away.
type answer struct {
	code      int
	challenge string // empty where another token would not help
}

func (a answer) write(w http.ResponseWriter) {
	if a.challenge == "" {
		w.Header().Set("Retry-After", "1")
	} else {
		w.Header().Set("WWW-Authenticate", "Bearer "+a.challenge)
	}
	w.Header().Set("Cache-Control", "no-store")
	http.Error(w, http.StatusText(a.code), a.code)
}

func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

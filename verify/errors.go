// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"errors"
	"fmt"
	"strings"
)

// Reason is why a token was refused. Every refusal is [ErrInvalid] and at most
// one of the others: ask with errors.Is for one, or with errors.As for whichever
// it is, to count them.
type Reason string

const (
	// ErrInvalid is every refusal. It is the reason itself where an API server
	// says no for a cause that is none of the others.
	ErrInvalid Reason = "invalid token"
	// ErrMalformed is what is no signed JWT, or one that no API server makes.
	ErrMalformed Reason = "malformed token"
	// ErrIssuer is a token of another issuer.
	ErrIssuer Reason = "token of another issuer"
	// ErrUnknownKey is a token signed with a key that the issuer does not
	// publish, or not any more.
	ErrUnknownKey Reason = "token signed with an unknown key"
	// ErrSignature is a token that was not signed by the key it names, or not
	// with that key's algorithm.
	ErrSignature Reason = "bad signature of the token"
	// ErrExpired is a token whose life has ended.
	ErrExpired Reason = "token has expired"
	// ErrNotValidYet is a token whose life has not begun.
	ErrNotValidYet Reason = "token is not valid yet"
	// ErrAudience is a token for somebody else.
	ErrAudience Reason = "token is for another audience"
	// ErrRevoked is a token whose account, pod, secret or node is gone, or that
	// was revoked. Only TokenReview learns of it.
	ErrRevoked Reason = "token has been revoked"
	// ErrSubject is a good token of something other than a service account.
	ErrSubject Reason = "not the token of a service account"
)

// Error returns the reason as it is.
func (r Reason) Error() string { return string(r) }

// Is makes each reason ErrInvalid.
func (r Reason) Is(target error) bool { return target == error(ErrInvalid) }

// ErrUnavailable is the error where a token could be neither accepted nor
// refused: the API server or the issuer was not reached in time, did not let
// the service ask, or gave an answer that makes no sense. The caller is not to
// blame, and may come again.
var ErrUnavailable = errors.New("tokens cannot be checked")

// StatusError is in the chain of an ErrUnavailable where a server has answered
// with another status than it should. A 401 or 403 means that the service itself
// has no right to ask.
type StatusError struct {
	// Code is the HTTP status.
	Code int
	// Message is what a Kubernetes API server says of it, cut short, or empty.
	Message string
}

// Error returns both in one line.
func (e *StatusError) Error() string {
	if e.Message == "" {
		return fmt.Sprintf("the server answered with status %d", e.Code)
	}
	return fmt.Sprintf("the server answered with status %d: %s", e.Code, e.Message)
}

func refuse(reason Reason, format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{reason}, args...)...)
}

func unavailable(err error) error { return fmt.Errorf("%w: %w", ErrUnavailable, err) }

// maxForeignText is how many bytes of somebody else's words an error may have.
const maxForeignText = 512

// foreign makes of a text that came from outside what an error may hold: one line
// without the secrets, or any of the parts they consist of.
func foreign(text string, secrets ...string) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(hide(text, secrets), "?"))
	if len(text) > maxForeignText {
		text = strings.ToValidUTF8(text[:maxForeignText], "") + "..."
	}
	return text
}

// hide takes the secrets out of a text, and each of their parts that is long
// enough to be one.
func hide(text string, secrets []string) string {
	for _, secret := range secrets {
		for _, part := range append([]string{secret}, strings.Split(secret, ".")...) {
			if len(part) >= 8 {
				text = strings.ReplaceAll(text, part, "<token>")
			}
		}
	}
	return text
}

// censored is an error with another text.
type censored struct {
	error
	text string
}

// Error returns the text that may be read.
func (c censored) Error() string { return c.text }

// Unwrap returns the error that was censored.
func (c censored) Unwrap() error { return c.error }

// withoutSecrets gives an error another text if its own holds a secret: that of a
// broken answer quotes the answer.
func withoutSecrets(err error, secrets []string) error {
	text := err.Error()
	if clean := hide(text, secrets); clean != text {
		return censored{err, clean}
	}
	return err
}

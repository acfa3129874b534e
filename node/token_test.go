// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/quick"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestTokenIsDueAtFourFifthsOfItsLifeOrADay(t *testing.T) {
	t.Parallel()
	issued := time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		life, jitter, due time.Duration
	}{
		{time.Hour, 0, 48 * time.Minute},
		{time.Hour, 10 * time.Second, 48*time.Minute - 10*time.Second},
		{10 * time.Minute, 0, 8 * time.Minute},
		{30 * time.Hour, 0, 24 * time.Hour},
		{30*time.Hour - 5*time.Second, 0, 24*time.Hour - 4*time.Second},
		{365 * 24 * time.Hour, 0, 24 * time.Hour},
		{365 * 24 * time.Hour, time.Second, 24*time.Hour - time.Second},
	} {
		due := issued.Add(test.due)
		if NeedsRefresh(issued, issued.Add(test.life), due, test.jitter) {
			t.Errorf("life %v, jitter %v: due at %v already", test.life, test.jitter, test.due)
		}
		if !NeedsRefresh(issued, issued.Add(test.life), due.Add(time.Nanosecond), test.jitter) {
			t.Errorf("life %v, jitter %v: not due after %v", test.life, test.jitter, test.due)
		}
	}
}

// Once a token is due it stays so, and jitter only ever brings it forward; an expired one is due.
func TestBeingDueIsMonotonic(t *testing.T) {
	t.Parallel()
	issued := time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC)
	property := func(life, at, later, jitter uint32) bool {
		expiry, now := issued.Add(time.Duration(life)*time.Second), issued.Add(time.Duration(at)*time.Second)
		early := time.Duration(jitter) * time.Millisecond
		if !NeedsRefresh(issued, expiry, expiry.Add(time.Second), 0) {
			return false
		}
		return !NeedsRefresh(issued, expiry, now, 0) ||
			NeedsRefresh(issued, expiry, now, early) && NeedsRefresh(issued, expiry, now.Add(time.Duration(later)), 0)
	}
	if err := quick.Check(property, nil); err != nil {
		t.Error(err)
	}
}

// keeper returns a TokenKeeper of one-hour tokens, its clock and the error that its requests meet.
func keeper() (k *TokenKeeper, now *time.Time, refusal *error) {
	now, refusal = new(time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC)), new(error)
	requests := 0
	return &TokenKeeper{
		Now:    func() time.Time { return *now },
		Jitter: func() time.Duration { return 0 },
		Request: func(context.Context) (*authenticationv1.TokenRequest, error) {
			if *refusal != nil {
				return nil, *refusal
			}
			requests++
			return &authenticationv1.TokenRequest{
				Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: new(int64(3600))},
				Status: authenticationv1.TokenRequestStatus{
					Token: fmt.Sprintf("token-%d", requests), ExpirationTimestamp: metav1.NewTime(now.Add(time.Hour)),
				},
			}, nil
		},
	}, now, refusal
}

func TestTokenIsKeptUntilItIsDue(t *testing.T) {
	t.Parallel()
	k, now, refusal := keeper()
	start, broken := *now, errors.New("no server")
	for _, look := range []struct {
		at      time.Duration
		refusal error
		token   string
		err     error
	}{
		{0, broken, "", broken},
		{0, nil, "token-1", nil},
		{48 * time.Minute, broken, "token-1", nil}, // nobody is asked
		{49 * time.Minute, broken, "token-1", broken},
		{60 * time.Minute, broken, "token-1", broken},
		{61 * time.Minute, broken, "", broken},
		{62 * time.Minute, nil, "token-2", nil},
		{63 * time.Minute, broken, "token-2", nil},
	} {
		*now, *refusal = start.Add(look.at), look.refusal
		token, err := k.Token(t.Context())
		if token.secret != look.token || !errors.Is(err, look.err) {
			t.Errorf("at %v: %q, %v; want %q, %v", look.at, token.secret, err, look.token, look.err)
		}
	}
}

func TestTokenWithoutALifeIsAnError(t *testing.T) {
	t.Parallel()
	k := &TokenKeeper{Request: func(context.Context) (*authenticationv1.TokenRequest, error) {
		return &authenticationv1.TokenRequest{Status: authenticationv1.TokenRequestStatus{Token: "x"}}, nil
	}}
	if token, err := k.Token(t.Context()); err == nil || token.secret != "" {
		t.Errorf("Token returned %v, %v", token, err)
	}
}

func TestTokenIsNeverPrinted(t *testing.T) {
	t.Parallel()
	token := Token{secret: "hush"}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		if text := fmt.Sprintf(verb+" "+verb, token, &token); strings.Contains(text, "hush") {
			t.Errorf("%s prints %s", verb, text)
		}
	}
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"context"
	"crypto"
	"errors"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/muster-identity/muster/verify"
)

func TestKeysAreRenewedFromHalfOfTheirAgeOnAndDropAtItsEnd(t *testing.T) {
	t.Parallel()
	i := newIssuer(t, allKeys())
	v, c := oidc(t, i)
	token := sign(t, jose.ES256, signingKeys()[jose.ES256], "k1", goodClaims().with("exp", start.Add(24*time.Hour).Unix()), nil)
	check := func(fetches int, want error) {
		t.Helper()
		if _, err := v.Verify(t.Context(), token); !errors.Is(err, want) {
			t.Errorf("after %s: got error %v, want %v", c.Now().Sub(start), err, want)
		}
		if got := i.fetches(); got != fetches {
			t.Errorf("after %s keys were read %d times, want %d", c.Now().Sub(start), got, fetches)
		}
	}
	check(1, nil)
	c.advance(30*time.Minute - time.Second)
	check(1, nil)
	c.advance(time.Second)
	check(2, nil)

	// The issuer goes away, half an hour after that it is asked again, and once a
	// second from then on.
	i.put("https://keys.example/jwks", page{code: http.StatusBadGateway})
	c.advance(30 * time.Minute)
	check(3, nil)
	check(3, nil)
	c.advance(time.Second)
	check(4, nil)

	// An hour after the keys were read they count no more.
	c.advance(30*time.Minute - time.Second)
	check(5, verify.ErrUnavailable)
	check(5, verify.ErrUnavailable)
	i.publish(t, allKeys())
	c.advance(time.Second)
	check(6, nil)
}

func TestAKeySetIsKeptAsLongAsItsHeadersSay(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		header http.Header
		kept   time.Duration
	}{
		"no header":        {nil, 5 * time.Minute},
		"max-age":          {http.Header{"Cache-Control": {"public, max-age=600"}}, 10 * time.Minute},
		"in other letters": {http.Header{"Cache-Control": {`Public , Max-Age="600"`}}, 10 * time.Minute},
		"on two lines":     {http.Header{"Cache-Control": {"public", "max-age=600"}}, 10 * time.Minute},
		"kept elsewhere":   {http.Header{"Cache-Control": {"max-age=600"}, "Age": {"240"}}, 6 * time.Minute},
		"for too long":     {http.Header{"Cache-Control": {"max-age=99999999999999999999999"}}, 24 * time.Hour},
		"for no time":      {http.Header{"Cache-Control": {"max-age=0"}}, 10 * time.Second},
		"not at all":       {http.Header{"Cache-Control": {"max-age=600, no-store"}}, 10 * time.Second},
		"below zero":       {http.Header{"Cache-Control": {"max-age=-600"}}, 5 * time.Minute},
		"no number":        {http.Header{"Cache-Control": {"max-age=soon"}, "Age": {"x"}}, 5 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := newIssuer(t, allKeys())
			p := i.pages["https://keys.example/jwks"]
			p.header = test.header
			i.put("https://keys.example/jwks", p)
			v, c := oidc(t, i)
			token := sign(t, jose.ES256, signingKeys()[jose.ES256], "k1", goodClaims().with("exp", start.Add(48*time.Hour).Unix()), nil)
			if _, err := v.Verify(t.Context(), token); err != nil {
				t.Fatal(err)
			}
			i.fail(errors.New("gone"))
			c.advance(test.kept - time.Second)
			if _, err := v.Verify(t.Context(), token); err != nil {
				t.Errorf("a second before their end: %v", err)
			}
			c.advance(time.Second)
			if _, err := v.Verify(t.Context(), token); !errors.Is(err, verify.ErrUnavailable) {
				t.Errorf("at their end: got error %v, want ErrUnavailable", err)
			}
		})
	}
}

func TestUnknownKeysCostAnIssuerLittle(t *testing.T) {
	t.Parallel()
	i := newIssuer(t, allKeys())
	v, c := oidc(t, i)
	for range 100 {
		wantRefusal(t, v, sign(t, jose.ES256, signingKeys()[jose.ES256], "made up", goodClaims(), nil), verify.ErrUnknownKey)
		c.advance(time.Second)
	}
	if got := i.fetches(); got != 10 {
		t.Errorf("keys were read %d times in 100 s, want 10", got)
	}
	if _, err := v.Verify(t.Context(), good(t)); err != nil {
		t.Errorf("a known key: %v", err)
	}
}

// slow holds every request back until it is released.
type slow struct {
	*issuer
	release chan struct{}
}

func (s slow) RoundTrip(r *http.Request) (*http.Response, error) {
	select {
	case <-s.release:
		return s.issuer.RoundTrip(r)
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
}

func slowly(t *testing.T) (verify.Verifier, slow) {
	t.Helper()
	s := slow{newIssuer(t, map[string]crypto.PublicKey{"k1": signingKeys()[jose.ES256].Public()}), make(chan struct{})}
	v, err := verify.OIDC(verify.OIDCOptions{
		Issuer: issuerURL, Audiences: []string{vault}, Client: &http.Client{Transport: s}, Now: func() time.Time { return start },
	})
	if err != nil {
		t.Fatal(err)
	}
	return v, s
}

func TestManyCallersShareOneReading(t *testing.T) {
	t.Parallel()
	token := good(t)
	synctest.Test(t, func(t *testing.T) {
		v, s := slowly(t)
		var callers sync.WaitGroup
		for range 50 {
			callers.Go(func() {
				if _, err := v.Verify(t.Context(), token); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		close(s.release)
		callers.Wait()
		if got := s.fetches(); got != 1 {
			t.Errorf("keys were read %d times, want 1", got)
		}
	})
}

func TestACallerInAHurryKeepsNobodyElseFromTheKeys(t *testing.T) {
	t.Parallel()
	token := good(t)
	synctest.Test(t, func(t *testing.T) {
		v, s := slowly(t)
		hurried, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		var callers sync.WaitGroup
		callers.Go(func() {
			_, err := v.Verify(hurried, token)
			if !errors.Is(err, verify.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("the hurried caller: got error %v, want that its time is over", err)
			}
		})
		synctest.Wait()
		callers.Go(func() {
			if _, err := v.Verify(t.Context(), token); err != nil {
				t.Errorf("the patient caller: %v", err)
			}
		})
		time.Sleep(2 * time.Millisecond) // in the bubble's own time
		close(s.release)
		callers.Wait()
	})
}

func TestAnIssuerThatDoesNotAnswerIsNotWaitedForForEver(t *testing.T) {
	t.Parallel()
	token := good(t)
	synctest.Test(t, func(t *testing.T) {
		v, _ := slowly(t)
		began := time.Now()
		if _, err := v.Verify(t.Context(), token); !errors.Is(err, verify.ErrUnavailable) {
			t.Errorf("got error %v, want ErrUnavailable", err)
		}
		if took := time.Since(began); took != 10*time.Second {
			t.Errorf("it took %s, want 10 s", took)
		}
	})
}

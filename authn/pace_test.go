// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package authn

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apiserver/pkg/authentication/authenticator"
)

// door lets the good token in, and nobody else.
var door = authenticator.RequestFunc(func(r *http.Request) (*authenticator.Response, bool, error) {
	switch r.Header.Get("Authorization") {
	case "Bearer good":
		return &authenticator.Response{}, true, nil
	case "":
		return nil, false, nil
	}
	return nil, false, errors.New("bad")
})

// knock sends a request and tells how long the answer took.
func knock(ctx context.Context, at authenticator.Request, address, bearer string) time.Duration {
	request := (&http.Request{RemoteAddr: address, Header: http.Header{}}).WithContext(ctx)
	if bearer != "" {
		request.Header.Set("Authorization", "Bearer "+bearer)
	}
	began := time.Now()
	_, _, _ = at.AuthenticateRequest(request)
	return time.Since(began)
}

func TestAFloodOfBadCredentialsIsAnsweredAtALimitedRate(t *testing.T) {
	t.Parallel()
	for _, bearer := range []string{"bad", ""} {
		synctest.Test(t, func(t *testing.T) {
			const connections, length = 50, 10 * time.Second
			at, began := Pace(door), time.Now()
			var mu sync.Mutex
			answers := 0
			var flood sync.WaitGroup
			for i := range connections {
				flood.Go(func() {
					for time.Since(began) < length {
						knock(t.Context(), at, fmt.Sprint("10.0.0.1:", i), bearer)
						mu.Lock()
						answers++
						mu.Unlock()
					}
				})
			}
			flood.Wait()
			most := badBurst + badPerSecond*int(length/time.Second) + connections
			if answers > most || answers < most/2 {
				t.Errorf("%d answers to %q in %s, want at most %d", answers, bearer, length, most)
			}
		})
	}
}

func TestOnlyBadCredentialsWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		at := Pace(door)
		for range badBurst {
			if took := knock(t.Context(), at, "10.0.0.1:1", "bad"); took != 0 {
				t.Fatalf("an answer within the burst took %s", took)
			}
		}
		for name, test := range map[string]struct {
			address, bearer string
			waits           bool
		}{
			"more of the same":                {"10.0.0.1:1", "bad", true},
			"from another connection":         {"10.0.0.1:2", "bad", true},
			"good ones from the same address": {"10.0.0.1:1", "good", false},
			"from another address":            {"[fd00::1]:1", "bad", false},
			"from no address":                 {"@", "bad", false},
		} {
			if took := knock(t.Context(), at, test.address, test.bearer); took > 0 != test.waits {
				t.Errorf("%s: the answer took %s", name, took)
			}
		}
	})
}

func TestNobodyWaitsLongerThanTheLongestHold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		at := Pace(door)
		var flood sync.WaitGroup
		for range 5000 {
			flood.Go(func() {
				if took := knock(t.Context(), at, "10.0.0.1:1", "bad"); took > longestHold {
					t.Errorf("an answer took %s", took)
				}
			})
		}
		flood.Wait()
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if took := knock(gone, at, "10.0.0.1:1", "bad"); took != 0 {
			t.Errorf("a client that is gone was held for %s", took)
		}
	})
}

func TestTheMemoryOfBadClientsIsBounded(t *testing.T) {
	t.Parallel()
	p := Pace(door).(*paced)
	for i := range maxAddresses + 100 {
		knock(t.Context(), p, fmt.Sprintf("10.0.%d.%d:1", i/256, i%256), "bad")
	}
	if got := p.addresses.Len(); got != maxAddresses {
		t.Errorf("%d addresses are kept", got)
	}
}

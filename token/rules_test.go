// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package token_test

import (
	"testing"
	"testing/quick"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/muster-identity/muster/token"
)

func TestTimeIsJudgedWithLeewayInTheWordsOfKubernetes(t *testing.T) {
	t.Parallel()
	const (
		expired = "service account token has expired"
		early   = "service account token is not valid yet"
		future  = "service account token is issued in the future"
	)
	start := time.Unix(1_700_000_000, 0)
	claims := token.Claims{IssuedAt: start.Unix(), NotBefore: start.Unix(), Expiry: start.Unix() + 3600}
	tests := map[string]struct {
		change func(*token.Claims)
		after  time.Duration
		leeway time.Duration
		want   string
	}{
		"at the start":                   {after: 0, leeway: token.Leeway},
		"in the middle":                  {after: 30 * time.Minute, leeway: token.Leeway},
		"at the end":                     {after: time.Hour, leeway: token.Leeway},
		"at the end of the leeway":       {after: time.Hour + time.Minute, leeway: token.Leeway},
		"just past the leeway":           {after: time.Hour + time.Minute + 1, leeway: token.Leeway, want: expired},
		"just past the end, strictly":    {after: time.Hour + 1, want: expired},
		"a leeway before the start":      {after: -time.Minute, leeway: token.Leeway},
		"just before that":               {after: -time.Minute - 1, leeway: token.Leeway, want: early},
		"before the start, strictly":     {after: -1, want: early},
		"not before tomorrow":            {change: func(c *token.Claims) { c.NotBefore += 86400 }, leeway: token.Leeway, want: early},
		"issued tomorrow":                {change: func(c *token.Claims) { c.IssuedAt += 86400 }, leeway: token.Leeway, want: future},
		"issued a leeway later":          {change: func(c *token.Claims) { c.IssuedAt += 60 }, leeway: token.Leeway},
		"issued just after that":         {change: func(c *token.Claims) { c.IssuedAt += 61 }, leeway: token.Leeway, want: future},
		"early counts before expired":    {change: func(c *token.Claims) { c.NotBefore += 999; c.Expiry = 1 }, leeway: token.Leeway, want: early},
		"expired counts before future":   {change: func(c *token.Claims) { c.IssuedAt += 999; c.Expiry = 1 }, leeway: token.Leeway, want: expired},
		"no expiry is long expired":      {change: func(c *token.Claims) { c.Expiry = 0 }, leeway: token.Leeway, want: expired},
		"no start is long started":       {change: func(c *token.Claims) { c.NotBefore = 0 }, leeway: token.Leeway},
		"the year 9999 has not come yet": {change: func(c *token.Claims) { c.NotBefore = 253402300799 }, leeway: token.Leeway, want: early},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := claims
			if test.change != nil {
				test.change(&c)
			}
			got := ""
			if err := c.ValidateTime(start.Add(test.after), test.leeway); err != nil {
				got = err.Error()
			}
			if got != test.want {
				t.Errorf("ValidateTime = %q, want %q", got, test.want)
			}
		})
	}
}

func TestAVerdictOnTimeHoldsUntilValidUntilAndNoLonger(t *testing.T) {
	t.Parallel()
	holds := func(start uint32, lifetime uint16, sooner uint16, nanos uint32) bool {
		c := token.Claims{IssuedAt: int64(start), NotBefore: int64(start), Expiry: int64(start) + int64(lifetime)}
		until := c.ValidUntil(token.Leeway)
		before := until.Add(-time.Duration(min(sooner, lifetime)) * time.Second)
		return c.ValidateTime(before, token.Leeway) == nil &&
			c.ValidateTime(until, token.Leeway) == nil &&
			c.ValidateTime(until.Add(1+time.Duration(nanos)), token.Leeway) == token.ErrExpired
	}
	if err := quick.Check(holds, nil); err != nil {
		t.Error(err)
	}
}

func TestATokenIsStalePastItsThreshold(t *testing.T) {
	t.Parallel()
	g := grant()
	g.Lifetime, g.WarnAfter = 365*24*time.Hour, 3607*time.Second
	c := g.Claims()
	warn := time.Unix(g.IssuedAt.Unix()+3607, 0)
	tests := map[string]struct {
		now     time.Time
		seconds int64
		stale   bool
	}{
		"before":           {warn.Add(-time.Second), 0, false},
		"at the threshold": {warn, 0, false},
		"just after":       {warn.Add(1), 0, true},
		"an hour after":    {warn.Add(time.Hour), 3600, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if seconds, stale := c.Stale(test.now); seconds != test.seconds || stale != test.stale {
				t.Errorf("Stale = %d, %v; want %d, %v", seconds, stale, test.seconds, test.stale)
			}
		})
	}
	plain := grant().Claims()
	if _, stale := plain.Stale(warn.Add(24 * time.Hour)); stale {
		t.Error("a token without a threshold is stale")
	}
}

func TestAudiencesAreMatchedInTheWordsOfKubernetes(t *testing.T) {
	t.Parallel()
	api := []string{"https://api", "api"}
	tests := map[string]struct {
		token, wanted, api []string
		want               []string
		refusal            string
	}{
		"one of one":                    {[]string{"a"}, []string{"a"}, api, []string{"a"}, ""},
		"order of the wanted":           {[]string{"a", "b", "c"}, []string{"c", "x", "a"}, api, []string{"c", "a"}, ""},
		"none in common":                {[]string{"a"}, []string{"b", "c"}, api, nil, `token audiences ["a"] is invalid for the target audiences ["b" "c"]`},
		"token without any, api":        {nil, []string{"api"}, api, []string{"api"}, ""},
		"token without any, other":      {nil, []string{"vault"}, api, nil, `token audiences ["https://api" "api"] is invalid for the target audiences ["vault"]`},
		"nothing wanted":                {[]string{"a"}, nil, api, nil, `token audiences ["a"] is invalid for the target audiences []`},
		"nothing anywhere fails closed": {nil, nil, nil, nil, `token audiences [] is invalid for the target audiences []`},
		"a prefix is not enough":        {[]string{"https://api/"}, api, api, nil, `token audiences ["https://api/"] is invalid for the target audiences ["https://api" "api"]`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := token.MatchAudiences(test.token, test.wanted, test.api)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("audiences differ (-want +got):\n%s", diff)
			}
			refusal := ""
			if err != nil {
				refusal = err.Error()
			}
			if refusal != test.refusal {
				t.Errorf("error %q, want %q", refusal, test.refusal)
			}
		})
	}
}

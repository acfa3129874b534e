// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"strings"
	"testing"
	"time"
)

func TestAnExtensionThatAMaximumStandsInTheWayOfIsWarnedOf(t *testing.T) {
	t.Parallel()
	const hour, year = time.Hour, 365 * 24 * time.Hour
	for name, test := range map[string]struct {
		extend          bool
		longest, signed time.Duration
		want            []string // words of each
	}{
		"off":                              {longest: hour},
		"no maximum":                       {extend: true},
		"a long maximum":                   {extend: true, longest: year},
		"a day":                            {extend: true, longest: 24 * hour, want: []string{"longer than service-account-max-token-expiration set to 24h0m0s"}},
		"shorter than what pods ask for":   {extend: true, longest: hour, want: []string{"longer than 3607 seconds (currently 1h0m0s)", "up to 31536000 seconds"}},
		"a signer that signs for long":     {extend: true, signed: year},
		"a signer that signs for a day":    {extend: true, signed: 24 * hour, want: []string{"supported by external-jwt-signer (24h0m0s)"}},
		"a signer that signs for an hour":  {extend: true, signed: hour, want: []string{"supported by external-jwt-signer must be longer than 3607 seconds (currently 1h0m0s)", "external-jwt-signer (1h0m0s)"}},
		"a signer, and a maximum below it": {extend: true, longest: hour, signed: year, want: []string{"(currently 1h0m0s)", "external-jwt-signer (1h0m0s)"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := ServiceAccountOptions{ExtendExpiration: test.extend, MaxExpiration: test.longest}
			got := o.extensionWarnings(test.signed)
			if len(got) != len(test.want) {
				t.Fatalf("%q, want %d of them", got, len(test.want))
			}
			for i, want := range test.want {
				if !strings.Contains(got[i], want) {
					t.Errorf("%q lacks %q", got[i], want)
				}
			}
		})
	}
}

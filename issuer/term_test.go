// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package issuer_test

import (
	"testing"
	"time"

	"github.com/muster-identity/muster/issuer"
)

func TestTheLongestLifeOfATokenFollowsFromTheSettings(t *testing.T) {
	t.Parallel()
	const year, most = 365 * 24 * time.Hour, time.Second << 32
	for name, test := range map[string]struct {
		issuer issuer.Issuer
		want   time.Duration
	}{
		"no maximum":                         {issuer.Issuer{}, most},
		"no maximum, with extension":         {issuer.Issuer{ExtendExpiration: true}, most},
		"a maximum":                          {issuer.Issuer{MaxExpiration: time.Hour}, time.Hour},
		"a maximum that prevents extension":  {issuer.Issuer{MaxExpiration: time.Hour, ExtendExpiration: true}, time.Hour},
		"a maximum that allows of extension": {issuer.Issuer{MaxExpiration: 2 * time.Hour, ExtendExpiration: true}, year},
		"a maximum beyond the year":          {issuer.Issuer{MaxExpiration: 2 * year, ExtendExpiration: true}, 2 * year},
		"a maximum that nobody can ask for":  {issuer.Issuer{MaxExpiration: most + 1}, most},
	} {
		if got := test.issuer.LongestLife(); got != test.want {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
	}
}

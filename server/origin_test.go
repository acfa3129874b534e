// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"testing"
)

func TestStrictConsistencyNeedsAnEtcdWhoseProgressIsTrue(t *testing.T) {
	t.Parallel()
	for release, want := range map[string]string{
		"3.5.13":       "",
		"3.6.0":        "",
		"4.0.0":        "",
		"3.5.12":       "--token-consistency=strict needs version 3.5.13 or later, not 3.5.12",
		"3.4.37":       "--token-consistency=strict needs version 3.5.13 or later, not 3.4.37",
		"not a number": `its version is odd: could not parse "not a number" as version`,
	} {
		got := ""
		if err := tellsProgress(release); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("etcd %s: %q, want %q", release, got, want)
		}
	}
}

func TestTheConsistencyOfTokensIsOneOfTwo(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		"local": "", "strict": "",
		"eventual": `--token-consistency "eventual" is neither "local" nor "strict"`,
		"Strict":   `--token-consistency "Strict" is neither "local" nor "strict"`,
	} {
		o := NewOptions()
		o.ServiceAccounts.TokenConsistency = value
		o.complete()
		got := ""
		if err := o.validate(); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%q: %q, want %q", value, got, want)
		}
	}
}

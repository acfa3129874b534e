// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"testing"
	"time"
)

func TestSettingsOfTokensThatMakeNoSenseAreRefused(t *testing.T) {
	t.Parallel()
	const lives = "must be between 1 hour and 2^32 seconds"
	for name, test := range map[string]struct {
		change func(*ServiceAccountOptions)
		want   string // of the one error; "" for none
	}{
		"what is given by default":  {func(*ServiceAccountOptions) {}, ""},
		"the shortest maximum":      {func(o *ServiceAccountOptions) { o.MaxExpiration = time.Hour }, ""},
		"a maximum below it":        {func(o *ServiceAccountOptions) { o.MaxExpiration = time.Hour - time.Second }, "--service-account-max-token-expiration 59m59s " + lives},
		"a maximum before time":     {func(o *ServiceAccountOptions) { o.MaxExpiration = -time.Hour }, "--service-account-max-token-expiration -1h0m0s " + lives},
		"the longest maximum":       {func(o *ServiceAccountOptions) { o.MaxExpiration = (1 << 32) * time.Second }, ""},
		"a maximum above it":        {func(o *ServiceAccountOptions) { o.MaxExpiration = (1<<32 + 1) * time.Second }, "--service-account-max-token-expiration 1193046h28m17s " + lives},
		"several issuers":           {func(o *ServiceAccountOptions) { o.Issuers = []string{"https://a.example", "https://b.example"} }, ""},
		"an issuer that is no URL":  {func(o *ServiceAccountOptions) { o.Issuers = []string{"muster"} }, ""},
		"an issuer without a name":  {func(o *ServiceAccountOptions) { o.Issuers = []string{"https://a.example", ""} }, "--service-account-issuer must not be empty"},
		"an issuer that is twice":   {func(o *ServiceAccountOptions) { o.Issuers = []string{"a", "b", "a"} }, `--service-account-issuer "a" is given twice`},
		"an issuer that looks like": {func(o *ServiceAccountOptions) { o.Issuers = []string{"https://a b"} }, `--service-account-issuer "https://a b" contains a ':' but is not a valid URL`},
		"keys at another host":      {func(o *ServiceAccountOptions) { o.JWKSURI = "https://keys.example/jwks" }, ""},
		"keys without TLS":          {func(o *ServiceAccountOptions) { o.JWKSURI = "http://keys.example/jwks" }, `--service-account-jwks-uri "http://keys.example/jwks" must begin with https://`},
	} {
		o := NewOptions().ServiceAccounts
		test.change(&o)
		errs := o.validate()
		switch {
		case test.want == "" && len(errs) > 0:
			t.Errorf("%s: %v", name, errs)
		case test.want != "" && (len(errs) != 1 || errs[0].Error() != test.want):
			t.Errorf("%s: %v, want %q", name, errs, test.want)
		}
	}
}

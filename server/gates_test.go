// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"testing"

	"github.com/spf13/pflag"
)

func TestFeatureGatesAreSettingsOfOneServer(t *testing.T) {
	t.Parallel()
	const gate = "APIServerWebhookAuthenticationToken"
	known := `: Muster has APIServerWebhookAuthenticationToken, and otherwise the released behaviour`
	tests := map[string]struct {
		on  bool
		err string
	}{
		"":                             {},
		gate + "=true":                 {on: true},
		gate + "=false":                {},
		" " + gate + " = true ,":       {on: true},
		gate + "=true," + gate + "=0":  {},
		gate:                           {err: `"APIServerWebhookAuthenticationToken" must be NAME=true or NAME=false`},
		gate + "=yes":                  {err: `"APIServerWebhookAuthenticationToken=yes" must be NAME=true or NAME=false`},
		gate + "=true,AllAlpha=true":   {err: `no feature gate "AllAlpha"` + known},
		"ServiceAccountTokenJTI=false": {err: `no feature gate "ServiceAccountTokenJTI"` + known},
		"apiserverwebhookauthenticationtoken=true": {err: `no feature gate "apiserverwebhookauthenticationtoken"` + known},
	}
	for text, test := range tests {
		o, other := NewOptions(), NewOptions()
		set := pflag.NewFlagSet("", pflag.ContinueOnError)
		o.AddFlags(set)
		err := set.Lookup("feature-gates").Value.Set(text)
		if got := textOf(err); got != test.err {
			t.Errorf("%q: error %q, want %q", text, got, test.err)
		}
		if o.Gates.WebhookTokens != test.on || other.Gates.WebhookTokens {
			t.Errorf("%q: the gate is %v, that of another server %v", text, o.Gates.WebhookTokens, other.Gates.WebhookTokens)
		}
		again := FeatureGates{}
		if err := again.Set(o.Gates.String()); err != nil || again != o.Gates {
			t.Errorf("%q: %q is read back as %v, %v", text, o.Gates.String(), again, err)
		}
	}
}

func textOf(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

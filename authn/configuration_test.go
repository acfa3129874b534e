// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package authn_test

import (
	"strings"
	"testing"

	"github.com/muster-identity/muster/authn"
)

func TestAnAuthenticationConfigurationIsReadStrictly(t *testing.T) {
	t.Parallel()
	const (
		head = "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\n"
		good = head + "jwt: [{issuer: {url: https://a.example.com, audiences: [x]}, claimMappings: {username: {claim: sub, prefix: ''}}}]\n"
	)
	for name, test := range map[string]struct{ text, want string }{
		"one issuer":         {text: good},
		"anonymous alone":    {text: head + "anonymous: {enabled: true, conditions: [{path: /livez}]}"},
		"the older version":  {text: strings.Replace(good, "/v1\n", "/v1beta1\n", 1)},
		"nothing":            {text: "", want: "the file is empty"},
		"no YAML":            {text: "{", want: "couldn't get version/kind"},
		"another kind":       {text: strings.Replace(head, "AuthenticationC", "AuthorizationC", 1), want: "not an AuthenticationConfiguration"},
		"an unknown field":   {text: head + "jwts: []", want: `unknown field "jwts"`},
		"an issuer of ours":  {text: strings.Replace(good, "a.example.com", "ours.example.com", 1), want: "URL must not overlap with disallowed issuers"},
		"an issuer in clear": {text: strings.Replace(good, "https:", "http:", 1), want: "URL scheme must be https"},
		"no audience":        {text: strings.Replace(good, "[x]", "[]", 1), want: "at least one jwt[0].issuer.audiences is required"},
		"no username":        {text: strings.Replace(good, "claim: sub, prefix: ''", "", 1), want: "claim or expression is required"},
		"bad CEL":            {text: strings.Replace(good, "claim: sub, prefix: ''", "expression: 'claims.'", 1), want: "compilation failed"},
		"an issuer twice":    {text: strings.Replace(good, "}}}]", "}}}, {issuer: {url: https://a.example.com, audiences: [other]}, claimMappings: {username: {claim: sub, prefix: ''}}}]", 1), want: "Duplicate value"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config, err := authn.ParseConfiguration([]byte(test.text), []string{"https://ours.example.com"})
			if test.want == "" {
				if err != nil || config == nil {
					t.Error(err)
				}
				return
			}
			if err == nil || config != nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q", err, test.want)
			}
		})
	}
}

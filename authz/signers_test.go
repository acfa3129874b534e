// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package authz

import (
	"context"
	"errors"
	"testing"

	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
)

func TestARightOnASignerIsByItsNameOrItsDomain(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		verb, on string
		fails    string
		want     bool
	}{
		"by its name":                    {verb: "approve", on: "example.com/a", want: true},
		"by its domain":                  {verb: "approve", on: "example.com/*", want: true},
		"another verb":                   {verb: "sign", on: "example.com/a"},
		"another signer of the domain":   {verb: "approve", on: "example.com/b"},
		"another domain":                 {verb: "approve", on: "example.org/*"},
		"everything of no domain":        {verb: "approve", on: "*"},
		"no answer to the name":          {verb: "approve", on: "example.com/*", fails: "example.com/a", want: true},
		"no answer, whatever it allows":  {verb: "approve", on: "example.com/a", fails: "example.com/a"},
		"no answer where it would count": {verb: "approve", on: "example.com/*", fails: "example.com/*"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ask := authorizer.AuthorizerFunc(func(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
				if !a.IsResourceRequest() || a.GetAPIGroup() != "certificates.k8s.io" || a.GetResource() != "signers" || a.GetUser().GetName() != "ann" {
					t.Errorf("asked of %s about %s.%s", a.GetUser().GetName(), a.GetResource(), a.GetAPIGroup())
				}
				decision, err := authorizer.DecisionNoOpinion, error(nil)
				if a.GetVerb() == test.verb && a.GetName() == test.on {
					decision = authorizer.DecisionAllow
				}
				if a.GetName() == test.fails {
					err = errors.New("no answer")
				}
				return decision, "", err
			})
			if got := MayAsSigner(t.Context(), ask, &user.DefaultInfo{Name: "ann"}, "approve", "example.com/a"); got != test.want {
				t.Errorf("may: %t, want %t", got, test.want)
			}
		})
	}
}

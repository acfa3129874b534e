// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package authn_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/muster-identity/muster/authn"
)

// voucher knows the one token that is its name, and has an opinion on "bad"; it
// notes that it was asked.
func voucher(name string, asked *[]string) authenticator.Token {
	return authenticator.TokenFunc(func(_ context.Context, token string) (*authenticator.Response, bool, error) {
		*asked = append(*asked, name)
		switch token {
		case name, "all":
			return &authenticator.Response{User: &user.DefaultInfo{Name: name}}, true, nil
		case "bad":
			return nil, false, errors.New(name + " refuses")
		}
		return nil, false, nil
	})
}

func TestBearersAreAskedInOrderUntilOneVouches(t *testing.T) {
	t.Parallel()
	for token, test := range map[string]struct {
		asked []string
		user  string
		err   string
	}{
		"all":       {asked: []string{"accounts"}, user: "accounts"},
		"bootstrap": {asked: []string{"accounts", "bootstrap"}, user: "bootstrap"},
		"jwt":       {asked: []string{"accounts", "bootstrap", "jwt"}, user: "jwt"},
		"webhook":   {asked: []string{"accounts", "bootstrap", "jwt", "webhook"}, user: "webhook"},
		"unknown":   {asked: []string{"accounts", "bootstrap", "jwt", "webhook"}},
		"bad": {
			asked: []string{"accounts", "bootstrap", "jwt", "webhook"},
			err:   "[accounts refuses, bootstrap refuses, jwt refuses, webhook refuses]",
		},
	} {
		t.Run(token, func(t *testing.T) {
			t.Parallel()
			var asked []string
			bearers := authn.Bearers{
				ServiceAccounts: voucher("accounts", &asked), Bootstrap: voucher("bootstrap", &asked),
				JWT: voucher("jwt", &asked), Webhook: voucher("webhook", &asked), APIAudiences: []string{"api"},
			}
			response, ok, err := bearers.Token().AuthenticateToken(t.Context(), token)
			var name, text string
			if response != nil {
				name = response.User.GetName()
			}
			if err != nil {
				text = err.Error()
			}
			if diff := cmp.Diff([]any{test.asked, test.user, test.user != "", test.err}, []any{asked, name, ok, text}); diff != "" {
				t.Errorf("asked, user, ok, error (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTokensWithoutAudiencesAreForTheAPI(t *testing.T) {
	t.Parallel()
	var asked []string
	bearers := authn.Bearers{
		ServiceAccounts: voucher("accounts", &asked), Bootstrap: voucher("bootstrap", &asked),
		JWT: voucher("jwt", &asked), APIAudiences: []string{"api"},
	}.Token()
	for _, token := range []string{"bootstrap", "jwt"} {
		response, ok, err := bearers.AuthenticateToken(authenticator.WithAudiences(t.Context(), []string{"api", "vault"}), token)
		if err != nil || !ok || !cmp.Equal(response.Audiences, authenticator.Audiences{"api"}) {
			t.Errorf("%s, for the API among others: %v, %v", token, ok, err)
		}
		if _, ok, _ := bearers.AuthenticateToken(authenticator.WithAudiences(t.Context(), []string{"vault"}), token); ok {
			t.Errorf("%s is good for somebody else", token)
		}
	}
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package token_test

import (
	"encoding/base64"
	"testing"

	"github.com/muster-identity/muster/token"
)

func TestWhatATokenSaysIsReadWithoutAKey(t *testing.T) {
	t.Parallel()
	part := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	const payload = `{"iss":"https://muster.example","jti":"1","exp":7}`
	claims, ok := token.Read(part(`{"alg":"ES256"}`) + "." + part(payload) + "." + part("signed by nobody"))
	if !ok || claims.Issuer != "https://muster.example" || claims.ID != "1" || claims.Expiry != 7 {
		t.Errorf("got %v, %v", claims, ok)
	}
	for name, compact := range map[string]string{
		"nothing":            "",
		"two parts":          part(`{}`) + "." + part(payload),
		"no JSON":            part(`{}`) + "." + part("iss") + ".",
		"no issuer":          part(`{}`) + "." + part(`{"jti":"1"}`) + ".",
		"a claim twice":      part(`{}`) + "." + part(`{"iss":"a","iss":"b"}`) + ".",
		"a time of no clock": part(`{}`) + "." + part(`{"iss":"a","exp":-1}`) + ".",
	} {
		if claims, ok := token.Read(compact); ok || claims != nil {
			t.Errorf("%s: got %v, %v", name, claims, ok)
		}
	}
}

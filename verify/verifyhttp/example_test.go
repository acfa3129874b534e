// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package verifyhttp_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/muster-identity/muster/verify"
	"github.com/muster-identity/muster/verify/verifyhttp"
)

// The verifier of this example knows the tokens "reporter" and "stranger"; yours is
// made by verify.TokenReview or verify.OIDC.
func ExampleGuard() {
	guard := verifyhttp.Guard{
		Verifier: roll{},
		Allow: func(r *http.Request, v *verify.Verdict) error {
			if r.Method == http.MethodGet || v.ServiceAccount.Name == "reporter" {
				return nil
			}
			return errors.New("only reporters may write")
		},
		Refused: func(_ *http.Request, err error) { fmt.Println("refused:", err) },
	}
	handler := guard.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, _ := verify.FromContext(r.Context())
		fmt.Fprintln(w, "hello,", who.ServiceAccount.Name)
	}))

	call := func(method, token string) {
		request := httptest.NewRequest(method, "/", nil)
		request.Header.Set("Authorization", "Bearer "+token)
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, request)
		fmt.Print(answer.Code, " ", answer.Body)
	}
	call("PUT", "reporter")
	call("GET", "stranger")
	call("PUT", "stranger")
	call("GET", "old")
	// Output:
	// 200 hello, reporter
	// 200 hello, stranger
	// refused: only reporters may write
	// 403 Forbidden
	// refused: token has expired: at noon
	// 401 Unauthorized
}

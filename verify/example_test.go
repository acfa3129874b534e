// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/muster-identity/muster/verify"
)

// A service in a cluster asks the API server about each token. It needs the
// cluster role system:auth-delegator.
func ExampleTokenReview() {
	server, err := verify.InCluster()
	if err != nil {
		fmt.Println(err)
		return
	}
	verifier, err := verify.TokenReview(verify.TokenReviewOptions{
		Audiences: []string{"https://vault.example"},
		Server:    server,
	})
	if err != nil {
		log.Fatal(err)
	}
	verdict, err := verifier.Verify(context.Background(), "eyJhbGciOi...")
	fmt.Println(verdict, err)
	// Output: not in a cluster: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT must be set
}

// A service anywhere checks tokens with the keys that their issuer publishes.
// (The issuer of this example is played by exampleIssuer, which signs exampleToken
// too; a service needs no Client and no Now.)
func ExampleOIDC() {
	verifier, err := verify.OIDC(verify.OIDCOptions{
		Issuer:    "https://muster.example",
		Audiences: []string{"https://vault.example"},
		Client:    exampleIssuer(),
		Now:       func() time.Time { return start },
	})
	if err != nil {
		log.Fatal(err)
	}
	verdict, err := verifier.Verify(context.Background(), exampleToken("https://vault.example"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(verdict.Namespace, verdict.ServiceAccount.Name)
	fmt.Println(verdict.Pod.Name, verdict.Node.Name)
	fmt.Println(verdict.Expires.UTC())

	_, err = verifier.Verify(context.Background(), exampleToken("https://bank.example"))
	fmt.Println(err)
	// Output:
	// dev reporter
	// reporter-1 n1
	// 2027-01-01 12:10:00 +0000 UTC
	// token is for another audience: it is for ["https://bank.example"], wanted is ["https://vault.example"]
}

// Two errors tell whether a caller may come again; the reasons are for those who
// want to know more.
func ExampleReason() {
	verifier, err := verify.OIDC(verify.OIDCOptions{
		Issuer: "https://muster.example", Audiences: []string{"https://vault.example"},
		Client: exampleIssuer(), Now: func() time.Time { return start },
	})
	if err != nil {
		log.Fatal(err)
	}
	refused := map[verify.Reason]int{} // for a metric
	for _, token := range []string{"not a token", exampleToken("https://bank.example"), "neither"} {
		_, err := verifier.Verify(context.Background(), token)
		var reason verify.Reason
		switch {
		case errors.As(err, &reason): // the caller's fault: 401
			refused[reason]++
		case err != nil: // nobody could be asked: 503
			fmt.Println(err)
		}
	}
	fmt.Println(refused[verify.ErrMalformed], "malformed,", refused[verify.ErrAudience], "for others")
	// Output: 2 malformed, 1 for others
}

// A handler learns who calls; its test can say so without a token.
func ExampleFromContext() {
	greet := func(ctx context.Context) {
		if verdict, ok := verify.FromContext(ctx); ok {
			fmt.Println("hello,", verdict.ServiceAccount.Name)
			return
		}
		fmt.Println("hello, whoever you are")
	}
	greet(context.Background())
	greet(verify.NewContext(context.Background(), &verify.Verdict{ServiceAccount: verify.Object{Name: "reporter"}}))
	// Output:
	// hello, whoever you are
	// hello, reporter
}

func exampleIssuer() *http.Client {
	return &http.Client{Transport: newIssuer(exampleTB{}, allKeys())}
}

func exampleToken(audience string) string {
	claims := goodClaims().with("aud", []string{audience})
	return sign(exampleTB{}, jose.ES256, signingKeys()[jose.ES256], "k1", claims, nil)
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

// Command vault is a small service that tells a secret to reporters alone. Its callers are service accounts: it finds out
// who they are with package verify. It is the example of docs/verify.md.
package main

import (
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/muster-identity/muster/verify"
	"github.com/muster-identity/muster/verify/verifyhttp"
)

// audience is what callers know this service by. A token for anybody else is refused.
const audience = "https://vault.example"

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "vault:", err)
		os.Exit(1)
	}
}

func run() error {
	listen := flag.String("listen", "127.0.0.1:0", "address to serve at")
	issuer := flag.String("issuer", "", "check tokens with the keys of this issuer (OpenID Connect), in place of TokenReview")
	var server verify.APIServer
	flag.StringVar(&server.URL, "server", "", "URL of the API server, where this is not a pod")
	flag.StringVar(&server.CAFile, "certificate-authority", "", "file with the API server's authority")
	flag.StringVar(&server.TokenFile, "token-file", "", "file with this service's own token")
	flag.Parse()

	if server.URL == "" {
		cluster, err := verify.InCluster()
		if err != nil {
			return err
		}
		server = *cluster
	}
	verifier, err := newVerifier(*issuer, &server)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		return err
	}
	fmt.Printf("http://%s\n", listener.Addr())
	// Tokens must not cross a network in the clear: put TLS here, or a proxy before it.
	service := &http.Server{Handler: newHandler(verifier), ReadHeaderTimeout: 10 * time.Second}
	return service.Serve(listener)
}

// newVerifier asks the API server about each token, or checks it with the issuer's keys.
func newVerifier(issuer string, server *verify.APIServer) (verify.Verifier, error) {
	if issuer == "" {
		return verify.TokenReview(verify.TokenReviewOptions{Audiences: []string{audience}, Server: server})
	}
	return verify.OIDC(verify.OIDCOptions{Issuer: issuer, Audiences: []string{audience}, Server: server})
}

func newHandler(verifier verify.Verifier) http.Handler {
	guard := verifyhttp.Guard{
		Verifier: verifier,
		Allow:    onlyReporters,
		Refused: func(r *http.Request, err error) {
			slog.Info("turned away", "path", r.URL.Path, "reason", err)
		},
	}
	return guard.Wrap(http.HandlerFunc(tell))
}

// onlyReporters is the policy of this service. A good token says who calls, not that they may.
func onlyReporters(_ *http.Request, v *verify.Verdict) error {
	if v.Namespace == "dev" && v.ServiceAccount.Name == "reporter" {
		return nil
	}
	return errors.New("only reporters may know the secret, this is " + v.Username)
}

func tell(w http.ResponseWriter, r *http.Request) {
	who, _ := verify.FromContext(r.Context())
	fmt.Fprintf(w, "%s in pod %s may know: the ship sails at dawn\n", who.Username, who.Pod.Name)
}

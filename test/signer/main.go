// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

// Command signer signs service account tokens for whoever connects to a unix
// socket, with keys that never leave a PKCS#11 token: a signer for Muster's
// tests, by the protocol k8s.io/externaljwt v1, and an example of one.
//
// It is a module of its own, for it needs a C compiler and libraries that
// nothing else here does. It knows nothing of Muster. Tests build it and call:
//
//	signer generate LABEL    makes a key pair in the token
//	signer serve             signs until SIGTERM
//
// PKCS11_MODULE, PKCS11_TOKEN and PKCS11_PIN name the library, the label of the
// token and its PIN. Which key does what is in a file that is read at each call:
// see policy.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/ThalesGroup/crypto11"
	"google.golang.org/grpc"
	externaljwtv1 "k8s.io/externaljwt/apis/v1"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "signer: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) (err error) {
	flags := flag.NewFlagSet("signer", flag.ContinueOnError)
	socket := flags.String("socket", "signer.sock", "unix socket to listen at; @NAME is an abstract one")
	policy := flags.String("policy", "policy.json", "which key does what")
	if len(args) == 0 {
		return errors.New("usage: signer generate LABEL | signer serve [FLAGS]")
	}
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	hsm, err := openToken()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, hsm.Close()) }()
	switch args[0] {
	case "generate":
		return generate(hsm, flags.Arg(0))
	case "serve":
		return serve(ctx, *socket, &signer{token: hsm, policyFile: *policy})
	}
	return fmt.Errorf("unknown command %q", args[0])
}

// openToken logs in to the PKCS#11 token that the environment names.
func openToken() (*crypto11.Context, error) {
	config := &crypto11.Config{
		Path:       os.Getenv("PKCS11_MODULE"),
		TokenLabel: os.Getenv("PKCS11_TOKEN"),
		Pin:        os.Getenv("PKCS11_PIN"),
	}
	hsm, err := crypto11.Configure(config)
	if err != nil {
		return nil, fmt.Errorf("opening the PKCS#11 token %q with %q: %w", config.TokenLabel, config.Path, err)
	}
	return hsm, nil
}

// serve answers at a socket until ctx ends.
func serve(ctx context.Context, socket string, s *signer) error {
	if !strings.HasPrefix(socket, "@") {
		// What is left of a signer that was killed.
		if err := os.Remove(socket); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	server := grpc.NewServer()
	externaljwtv1.RegisterExternalJWTSignerServer(server, s)
	context.AfterFunc(ctx, server.GracefulStop)
	return server.Serve(listener)
}

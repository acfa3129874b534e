// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"

	"k8s.io/klog/v2"

	"github.com/muster-identity/muster/keyring"
	"github.com/muster-identity/muster/keyring/external"
)

// abstractSocket is what Kubernetes takes for the name of one.
// Kubernetes: pkg/controlplane/apiserver/options/validation.go.
var abstractSocket = regexp.MustCompile(`^@([a-zA-Z0-9_-]+\.)*[a-zA-Z0-9_-]+$`)

// validateEndpoint has the words of Kubernetes.
func (o *ServiceAccountOptions) validateEndpoint() []error {
	if o.SigningEndpoint == "" {
		return nil
	}
	var errs []error
	if o.SigningKeyFile != "" || len(o.KeyFiles) > 0 {
		errs = append(errs, fmt.Errorf("can't set `--service-account-signing-key-file` and/or `--service-account-key-file` with `--service-account-signing-endpoint` (They are mutually exclusive)"))
	}
	if strings.HasPrefix(o.SigningEndpoint, "@") && !abstractSocket.MatchString(o.SigningEndpoint) {
		errs = append(errs, fmt.Errorf("invalid value %q passed for `--service-account-signing-endpoint`, when prefixed with @ must be a valid abstract socket name", o.SigningEndpoint))
	}
	return errs
}

// connectSigner asks the external signer, if there is one, for its keys and the
// longest lifetime that it signs. It touches nothing else.
// Kubernetes: pkg/controlplane/apiserver/options/options.go.
func (s *Server) connectSigner(ctx context.Context) error {
	options := s.Options.ServiceAccounts
	if options.SigningEndpoint == "" {
		return nil
	}
	signer, err := external.Connect(ctx, options.SigningEndpoint)
	if err != nil {
		return fmt.Errorf("--service-account-signing-endpoint: %w", err)
	}
	s.signer = signer
	s.onClose(func() {
		if err := signer.Close(); err != nil {
			klog.ErrorS(err, "hanging up on the external signer")
		}
	})
	if longest := signer.MaxExpiration(); options.MaxExpiration > longest {
		return fmt.Errorf("service-account-max-token-expiration cannot be set longer than the token expiration supported by service-account-signing-endpoint: %s > %s", options.MaxExpiration, longest)
	}
	return nil
}

// keys are those of the external signer, or this server's own.
func (s *Server) keys(dir *dataDir) (*keyring.Keyring, error) {
	if s.signer == nil {
		return loadKeys(&s.Options.ServiceAccounts, dir)
	}
	keys := keyring.New(s.signer.Ring())
	keys.Follow(s.signer)
	return keys, nil
}

// followSigner keeps up with the keys of the external signer.
func (h *house) followSigner(ctx context.Context) error {
	h.background.Go(func() { h.server.signer.Follow(ctx, h.keys.Replace) })
	return nil
}

// maxExpiration caps the life of tokens: as it is set, else as the external
// signer has it.
func (s *Server) maxExpiration() time.Duration {
	if longest := s.Options.ServiceAccounts.MaxExpiration; longest > 0 || s.signer == nil {
		return longest
	}
	return s.signer.MaxExpiration()
}

// maxExtended caps the life of extended tokens, which the setting does not.
func (s *Server) maxExtended() time.Duration {
	if s.signer == nil {
		return 0
	}
	return s.signer.MaxExpiration()
}

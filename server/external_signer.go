// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"

	genericapiserver "k8s.io/apiserver/pkg/server"
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
		warn(options.extensionWarnings(0))
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
	warn(options.extensionWarnings(signer.MaxExpiration()))
	return nil
}

func warn(warnings []string) {
	for _, text := range warnings {
		klog.Warning(text)
	}
}

// externalKeys are those of the external signer, which the keyring follows.
func (h *house) externalKeys(context.Context, *dataDir, *genericapiserver.Config) (keys, error) {
	signer := h.server.signer
	h.keys.Replace(signer.Ring())
	h.keys.Follow(signer)
	const elsewhere = "the keys are those of --service-account-signing-endpoint: "
	shown := newShownKeys(signer.Ring(), elsewhere+"rotate them there", elsewhere+"take it out there")
	follow := func(ctx context.Context) {
		signer.Follow(ctx, func(ring *keyring.Ring) {
			h.keys.Replace(ring)
			shown.show(ring)
		})
	}
	return keys{signer: lastingKeys{h.keys}, shown: shown, longest: unrecorded, follow: follow}, nil
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

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"fmt"
	"time"
)

// Of --service-account-extend-token-expiration: what a pod's default token asks
// for and gets. Kubernetes: pkg/serviceaccount/claims.go.
const (
	podSeconds      = 60*60 + 7
	extendedSeconds = 365 * 24 * 60 * 60
)

// extensionWarnings are what an operator hears at the start of an extension that
// a maximum stands in the way of; signed is the longest life of a token that the
// external signer signs, zero without one. The words are those of Kubernetes:
// pkg/controlplane/apiserver/options/options.go.
func (o *ServiceAccountOptions) extensionWarnings(signed time.Duration) []string {
	longest := o.MaxExpiration
	short := "service-account-extend-token-expiration is true, in order to correctly trigger safe transition logic, service-account-max-token-expiration must be set longer than %d seconds (currently %s)"
	long := "service-account-extend-token-expiration is true, enabling tokens valid up to %d seconds, which is longer than service-account-max-token-expiration set to %s seconds"
	if signed > 0 {
		if longest == 0 {
			longest = signed
		}
		short = "service-account-extend-token-expiration is true, in order to correctly trigger safe transition logic, token lifetime supported by external-jwt-signer must be longer than %d seconds (currently %s)"
		long = "service-account-extend-token-expiration is true, tokens validity will be caped at the smaller of %d seconds and maximum token lifetime supported by external-jwt-signer (%s)"
	}
	if !o.ExtendExpiration || longest == 0 {
		return nil
	}
	var warnings []string
	if longest < podSeconds*time.Second {
		warnings = append(warnings, fmt.Sprintf(short, podSeconds, longest))
	}
	if longest < extendedSeconds*time.Second {
		warnings = append(warnings, fmt.Sprintf(long, extendedSeconds, longest))
	}
	return warnings
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package authn

import (
	"context"
	"errors"
	"fmt"
)

// Syncer brings what Objects and Keys know up to date.
type Syncer interface {
	// Sync returns when Objects and Keys know of everything that any replica had
	// answered before the call. Its error means that this cannot be had now, so
	// that nothing can be said of any token. Calls may overlap.
	Sync(ctx context.Context) error
}

// errOtherKeys tells that other keys verify than when the signature of a token
// was verified: it has to be verified again.
var errOtherKeys = errors.New("the keys have changed meanwhile")

// sync makes the rest of a check true of a moment after its beginning, on all
// replicas. It comes after the signature: tokens that nobody signed do not move
// the store to anything. If the keys have changed by then, it is errOtherKeys.
func (s *ServiceAccounts) sync(ctx context.Context, known *seen) error {
	if s.Consistency == nil {
		return nil
	}
	if err := s.Consistency.Sync(ctx); err != nil {
		return fmt.Errorf("service account token cannot be checked now: %w", err)
	}
	if known.ring != s.Keys.Current() {
		return errOtherKeys
	}
	return nil
}

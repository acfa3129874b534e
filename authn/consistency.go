// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package authn

import (
	"context"
	"fmt"
)

// Syncer brings what Objects knows up to date.
type Syncer interface {
	// Sync returns when Objects knows of everything that any replica had
	// answered before the call. Its error means that this cannot be had now, so
	// that nothing can be said of any token. Calls may overlap.
	Sync(ctx context.Context) error
}

// sync makes the rest of a check true of a moment after its beginning, on all
// replicas. It comes after the signature: tokens that nobody signed do not move
// the store to anything.
func (s *ServiceAccounts) sync(ctx context.Context) error {
	if s.Consistency == nil {
		return nil
	}
	if err := s.Consistency.Sync(ctx); err != nil {
		return fmt.Errorf("service account token cannot be checked now: %w", err)
	}
	return nil
}

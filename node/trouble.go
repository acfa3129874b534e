// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"errors"
	"net/http"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// streak reports the first of a row of failures and keeps silent until something has gone right again.
type streak struct {
	report  func(error)
	failing bool
}

// note takes one outcome. What fails because ctx ended is the end of the work and no failure.
func (s *streak) note(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	if err != nil && !s.failing {
		s.report(err)
	}
	s.failing = err != nil
}

// insist repeats a deletion until ctx ends while the server cannot be reached or is unwell. A refusal is final;
// that the object is gone, or is another by now, is success.
func insist(ctx context.Context, remove func() error) error {
	for {
		err := remove()
		if err == nil || apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
			return nil
		}
		if refused(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// refused reports whether err is the server's own no, which does not change by asking again.
func refused(err error) bool {
	answer := apierrors.APIStatus(nil)
	if !errors.As(err, &answer) {
		return false
	}
	code := answer.Status().Code
	return code >= 400 && code < 500 && code != http.StatusTooManyRequests
}

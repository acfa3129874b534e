// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package hotlane

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestALateContextEndsAsOneWithADeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		end := time.Now().Add(time.Minute)
		for name, test := range map[string]struct {
			parent func() (context.Context, context.CancelFunc)
			after  time.Duration
			want   error
		}{
			"at its deadline":   {func() (context.Context, context.CancelFunc) { return context.WithCancel(t.Context()) }, time.Minute, context.DeadlineExceeded},
			"at an earlier one": {func() (context.Context, context.CancelFunc) { return context.WithTimeout(t.Context(), time.Second) }, time.Second, context.DeadlineExceeded},
			"when the parent ended": {func() (context.Context, context.CancelFunc) {
				ctx, end := context.WithCancel(t.Context())
				end()
				return ctx, end
			}, 0, context.Canceled},
		} {
			parent, cancel := test.parent()
			ctx := newLate(parent, end)
			standard, stop := context.WithDeadline(parent, end)
			if got, _ := ctx.Deadline(); !got.Equal(deadline(standard)) {
				t.Errorf("%s: deadline %v, want %v", name, got, deadline(standard))
			}
			begun := time.Now()
			<-ctx.Done()
			if got := time.Since(begun); got != test.after || !errors.Is(ctx.Err(), test.want) {
				t.Errorf("%s: after %v: %v", name, got, ctx.Err())
			}
			ctx.close()
			stop()
			cancel()
			end = time.Now().Add(time.Minute)
		}
	})
}

func TestALateContextThatIsClosedHasEndedForThoseWhoWait(t *testing.T) {
	t.Parallel()
	ctx := newLate(t.Context(), time.Now().Add(time.Hour))
	waiting := ctx.Done()
	ctx.close()
	<-waiting
	if !errors.Is(ctx.Err(), context.Canceled) {
		t.Errorf("error: %v", ctx.Err())
	}
	unused := newLate(t.Context(), time.Now().Add(time.Hour))
	unused.close()
	if err := unused.Err(); err != nil {
		t.Errorf("nobody waited: %v", err)
	}
}

func deadline(ctx context.Context) time.Time {
	end, _ := ctx.Deadline()
	return end
}

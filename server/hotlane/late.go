// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package hotlane

import (
	"context"
	"sync"
	"time"
)

// late is a context that ends at a deadline, as that of context.WithDeadline does.
// It takes a timer only when somebody waits for its end: most answers come from
// memory, and to set and stop a timer costs more than to look them up.
type late struct {
	context.Context
	deadline time.Time
	once     sync.Once
	// Both are set once: a context that ends, and what ends it.
	timed context.Context
	stop  context.CancelFunc
}

func newLate(parent context.Context, deadline time.Time) *late {
	return &late{Context: parent, deadline: deadline}
}

// Deadline is when the context ends at the latest.
func (l *late) Deadline() (time.Time, bool) {
	if earlier, ok := l.Context.Deadline(); ok && earlier.Before(l.deadline) {
		return earlier, true
	}
	return l.deadline, true
}

// Done is closed when the context ends.
func (l *late) Done() <-chan struct{} { return l.ending().Done() }

// Err says why the context has ended.
func (l *late) Err() error { return l.ending().Err() }

func (l *late) ending() context.Context {
	l.once.Do(func() { l.timed, l.stop = context.WithDeadline(l.Context, l.deadline) })
	return l.timed
}

// close ends the context for those who wait; nobody begins to from then on.
func (l *late) close() {
	l.once.Do(func() { l.timed, l.stop = l.Context, func() {} })
	l.stop()
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// endings keeps out of the log what the library calls an error when it is told
// to stop before it has started: that it waited for a cache and does no longer.
type endings struct {
	logr.LogSink
	// begun is set before the library is told to stop.
	begun *atomic.Bool
}

// withoutEndings is the logger without them, once begun is set.
func withoutEndings(l logr.Logger, begun *atomic.Bool) logr.Logger {
	sink := l.GetSink()
	if deep, ok := sink.(logr.CallDepthLogSink); ok {
		sink = deep.WithCallDepth(1) // an error is still logged where it comes from
	}
	return l.WithSink(endings{sink, begun})
}

// The words of the library for a wait that has ended with its context. What was
// waited for is not always to be told from the error.
var waits = []string{
	"failed to get informer from cache",
	"Could not wait for Cache to sync",
	"error received after stop sequence was engaged",
}

// isEnding tells whether an error is the end of a wait. That for an informer ends
// with its context, and in no other way.
func isEnding(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || apierrors.IsTimeout(err)
}

// Error logs what is one.
func (e endings) Error(err error, message string, pairs ...any) {
	if !slices.Contains(waits, message) || !e.begun.Load() && !isEnding(err) {
		e.LogSink.Error(err, message, pairs...)
	}
}

// WithValues is the same sink with more to say.
func (e endings) WithValues(pairs ...any) logr.LogSink {
	return endings{e.LogSink.WithValues(pairs...), e.begun}
}

// WithName is the same sink under a name.
func (e endings) WithName(name string) logr.LogSink {
	return endings{e.LogSink.WithName(name), e.begun}
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"errors"
	"slices"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// endings keeps out of the log what the library calls an error when it is told
// to stop before it has started: that it waited for a cache, or for anything,
// and does no longer.
type endings struct{ logr.LogSink }

// withoutEndings is the logger without them.
func withoutEndings(l logr.Logger) logr.Logger {
	sink := l.GetSink()
	if deep, ok := sink.(logr.CallDepthLogSink); ok {
		sink = deep.WithCallDepth(1) // an error is still logged where it comes from
	}
	return l.WithSink(endings{sink})
}

// The words of the library for a wait that has ended with its context.
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
	if !isEnding(err) || !slices.Contains(waits, message) {
		e.LogSink.Error(err, message, pairs...)
	}
}

// WithValues is the same sink with more to say.
func (e endings) WithValues(pairs ...any) logr.LogSink {
	return endings{e.LogSink.WithValues(pairs...)}
}

// WithName is the same sink under a name.
func (e endings) WithName(name string) logr.LogSink { return endings{e.LogSink.WithName(name)} }

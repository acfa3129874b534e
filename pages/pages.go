// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

// Package pages has a reflector of client-go read lists page by page. The objects
// of a page are handed to whoever keeps a little of each, and are forgotten, so that
// a hundred thousand of them never lie in memory whole.
package pages

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
)

// size is how many objects a page has. Each page costs etcd a count of all that
// follows, and a whole page lies in memory several times, in several forms.
const size = 5000

// ListerWatcher lists what From lists, page by page, and watches as it does. The
// lists that it returns are empty, and tell their revision. It belongs to one
// reflector.
type ListerWatcher struct {
	From cache.ListerWatcher
	// Begin is called before each list and returns what is called with each object
	// of it. What was taken before is not in it.
	Begin func() (take func(object runtime.Object))
}

// IsWatchListSemanticsUnSupported makes a reflector list before it watches. It would
// keep a list that comes through the watch whole until its end.
func (l *ListerWatcher) IsWatchListSemanticsUnSupported() bool { return true }

// List is ListWithContext.
func (l *ListerWatcher) List(options metav1.ListOptions) (runtime.Object, error) {
	return l.ListWithContext(context.Background(), options)
}

// Watch is WatchWithContext.
func (l *ListerWatcher) Watch(options metav1.ListOptions) (watch.Interface, error) {
	return l.WatchWithContext(context.Background(), options)
}

// ListWithContext hands on all objects.
func (l *ListerWatcher) ListWithContext(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
	take := l.Begin()
	options.Limit = size
	if options.ResourceVersion != "" {
		// With a limit, the revision would be meant exactly.
		options.ResourceVersionMatch = metav1.ResourceVersionMatchNotOlderThan
	}
	for {
		page, err := cache.ToListerWithContext(l.From).ListWithContext(ctx, options)
		if err != nil {
			return nil, err
		}
		about, err := takePage(page, take)
		if err != nil {
			return nil, fmt.Errorf("reading a page of a list: %w", err)
		}
		if about.GetContinue() == "" {
			return &metav1.List{ListMeta: metav1.ListMeta{ResourceVersion: about.GetResourceVersion()}}, nil
		}
		// The other pages are of the same revision, and say so themselves.
		options.Continue, options.ResourceVersion, options.ResourceVersionMatch = about.GetContinue(), "", ""
	}
}

func takePage(page runtime.Object, take func(object runtime.Object)) (metav1.ListInterface, error) {
	about, err := meta.ListAccessor(page)
	if err != nil {
		return nil, err
	}
	return about, meta.EachListItem(page, func(object runtime.Object) error {
		take(object)
		return nil
	})
}

// WatchWithContext watches.
func (l *ListerWatcher) WatchWithContext(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
	return cache.ToWatcherWithContext(l.From).WatchWithContext(ctx, options)
}

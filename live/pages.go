// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package live

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
)

// pageSize is how many objects are read at a time: of each no more is kept than the
// view needs, so that a hundred thousand of them never lie in memory whole.
const pageSize = 5000

// listing takes the objects of a list one by one, and then puts them in force.
type listing interface {
	take(obj runtime.Object)
	// replace takes it that there is nothing else as of a revision.
	replace(revision int64)
}

// pages lists page by page, and leaves the objects with a listing. Its own lists
// are empty. It belongs to one reflector.
type pages struct {
	cache.ListerWatcher
	feed feed
	// read is the list that was read last.
	read listing
}

// IsWatchListSemanticsUnSupported makes a reflector list before it watches. A list
// that comes through the watch would be kept whole until its end.
func (p *pages) IsWatchListSemanticsUnSupported() bool { return true }

// ListWithContext reads all that exists.
func (p *pages) ListWithContext(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
	read := p.feed.list()
	options.Limit = pageSize
	if options.ResourceVersion != "" {
		// With a limit, the revision would be meant exactly.
		options.ResourceVersionMatch = metav1.ResourceVersionMatchNotOlderThan
	}
	for {
		page, err := cache.ToListerWithContext(p.ListerWatcher).ListWithContext(ctx, options)
		if err != nil {
			return nil, err
		}
		err = meta.EachListItem(page, func(obj runtime.Object) error {
			read.take(obj)
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("taking a list apart: %w", err)
		}
		about, err := meta.ListAccessor(page)
		if err != nil {
			return nil, fmt.Errorf("taking a list apart: %w", err)
		}
		if about.GetContinue() == "" {
			p.read = read
			return &metav1.List{ListMeta: metav1.ListMeta{ResourceVersion: about.GetResourceVersion()}}, nil
		}
		// The other pages are of the same revision, and say so themselves.
		options.Continue, options.ResourceVersion, options.ResourceVersionMatch = about.GetContinue(), "", ""
	}
}

// WatchWithContext watches from a list on.
func (p *pages) WatchWithContext(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
	return cache.ToWatcherWithContext(p.ListerWatcher).WatchWithContext(ctx, options)
}

// take hands over what was listed.
func (p *pages) take() listing {
	read := p.read
	p.read = nil
	return read
}

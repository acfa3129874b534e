// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"sync"

	"k8s.io/apimachinery/pkg/watch"
)

// directWatch is a watch of the store itself.
type directWatch struct {
	watch.Interface
	events chan watch.Event
	stop   func()
}

// newDirectWatch passes on what a watch of the store shows until ctx ends, without
// the bookmarks if nobody wants them: the store tells all who watch when one of them
// asks. left is called at the first Stop.
func newDirectWatch(ctx context.Context, from watch.Interface, bookmarks bool, left func()) *directWatch {
	d := &directWatch{Interface: from, events: make(chan watch.Event), stop: sync.OnceFunc(left)}
	go func() {
		defer close(d.events)
		for event := range from.ResultChan() {
			if event.Type == watch.Bookmark && !bookmarks {
				continue
			}
			select {
			case d.events <- event:
			case <-ctx.Done():
				return
			}
		}
	}()
	return d
}

// ResultChan is where the events come.
func (d *directWatch) ResultChan() <-chan watch.Event { return d.events }

// Stop ends the watch.
func (d *directWatch) Stop() {
	d.Interface.Stop()
	d.stop()
}

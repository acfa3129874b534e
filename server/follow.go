// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
	"k8s.io/klog/v2"
)

// follow calls changed when a file may have changed, and once in each period in
// case that nobody tells, until ctx ends. It watches the folder: files are
// replaced more often than written, and mounted ones are links whose targets change.
func follow(ctx context.Context, file string, period time.Duration, changed func()) {
	events, stop := watchFolder(filepath.Dir(file))
	defer stop()
	ticker := time.NewTicker(period)
	defer ticker.Stop()
	changed() // since it was first read
	for {
		select {
		case <-ctx.Done():
			return
		case _, ok := <-events:
			if !ok {
				events = nil // the watch has ended: the ticker is left
				continue
			}
		case <-ticker.C:
		}
		changed()
	}
}

// watchFolder tells of all that happens in a folder. Where the system cannot, it
// is silent.
func watchFolder(folder string) (events <-chan fsnotify.Event, stop func()) {
	watcher, err := fsnotify.NewWatcher()
	if err == nil {
		if err = watcher.Add(folder); err == nil {
			go func() {
				for range watcher.Errors { // it blocks while nobody reads them; the ticker makes up for what is lost
				}
			}()
			return watcher.Events, func() { watcher.Close() }
		}
		watcher.Close()
	}
	klog.ErrorS(err, "changes of files in a folder are noticed late", "folder", folder)
	return nil, func() {}
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/storagebackend/factory"
)

// shelf is a storage that has nothing, and tells a watch when it was asked for
// bookmarks.
type shelf struct {
	storage.Interface
	notReady error
	lists    int
	watches  int
	events   *watch.RaceFreeFakeWatcher
}

func (s *shelf) Versioner() storage.Versioner { return storage.APIObjectVersioner{} }

func (s *shelf) GetCurrentResourceVersion(context.Context) (uint64, error) { return 100, nil }

func (s *shelf) ReadinessCheck() error { return s.notReady }

func (s *shelf) GetList(context.Context, string, storage.ListOptions, runtime.Object) error {
	s.lists++
	return nil
}

func (s *shelf) Watch(context.Context, string, storage.ListOptions) (watch.Interface, error) {
	s.watches++
	s.events = watch.NewRaceFreeFake()
	return s.events, nil
}

func (s *shelf) RequestWatchProgress(context.Context) error {
	s.events.Action(watch.Bookmark, &corev1.Pod{})
	return nil
}

// newLate is a late cache of pods before a store, and the cache that it would make.
func newLate(now func() time.Time) (late *lateCache, store, cached *shelf) {
	store, cached = &shelf{}, &shelf{}
	late = &lateCache{Interface: store, resource: corev1.Resource("pods"), prefix: "/pods", now: now}
	late.make = func() (storage.Interface, factory.DestroyFunc, error) {
		return cached, func() { cached.lists = -1 }, nil
	}
	return late, store, cached
}

func TestACacheBeginsWithTheReadersForWhomItPays(t *testing.T) {
	t.Parallel()
	fromNow, since := storage.ListOptions{}, storage.ListOptions{ResourceVersion: "5"}
	page := storage.ListOptions{Predicate: storage.SelectionPredicate{Limit: 500}}
	type use func(t *testing.T, l *lateCache, pass func(time.Duration))
	list := func(key string, options storage.ListOptions, after time.Duration) use {
		return func(t *testing.T, l *lateCache, pass func(time.Duration)) {
			pass(after)
			if err := l.GetList(t.Context(), key, options, &corev1.PodList{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	watched := func(key string, options storage.ListOptions, stop bool) use {
		return func(t *testing.T, l *lateCache, _ func(time.Duration)) {
			events, err := l.Watch(t.Context(), key, options)
			if err != nil {
				t.Fatal(err)
			}
			if stop {
				events.Stop()
				events.Stop() // counts once
			} else {
				t.Cleanup(events.Stop)
			}
		}
	}
	for name, test := range map[string]struct {
		use    use
		begins bool
	}{
		"watches":                     {watched("/pods/dev/", since, false), true},
		"watches that end":            {watched("/pods/", since, true), false},
		"watches that begin with all": {watched("/pods/", fromNow, true), true},
		"lists of all":                {list("/pods/", fromNow, time.Second), true},
		"lists now and then":          {list("/pods/", fromNow, 10*time.Second), false},
		"lists in pages":              {list("/pods/", page, 0), false},
		"lists of a namespace":        {list("/pods/dev/", fromNow, 0), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clock := time.Now()
			late, _, _ := newLate(func() time.Time { return clock })
			for range fewReaders {
				test.use(t, late, func(d time.Duration) { clock = clock.Add(d) })
			}
			if late.cached.Load() != nil {
				t.Error("there is a cache for a few readers")
			}
			test.use(t, late, func(d time.Duration) { clock = clock.Add(d) })
			if got := late.cached.Load() != nil; got != test.begins {
				t.Errorf("with one more there is a cache: %t, want %t", got, test.begins)
			}
		})
	}
}

func TestACacheAnswersWhenItHasSeenEverything(t *testing.T) {
	t.Parallel()
	late, store, cached := newLate(time.Now)
	cached.notReady = storage.ErrStorageNotReady
	list := func() (fromStore, fromCache int) {
		if err := late.GetList(t.Context(), "/pods/", storage.ListOptions{}, &corev1.PodList{}); err != nil {
			t.Fatal(err)
		}
		return store.lists, cached.lists
	}
	for range fewReaders + 2 {
		list()
	}
	if fromStore, fromCache := list(); fromStore != fewReaders+3 || fromCache != 0 {
		t.Errorf("a cache that is not ready has answered %d lists, the store %d", fromCache, fromStore)
	}
	cached.notReady = nil
	if fromStore, fromCache := list(); fromStore != fewReaders+3 || fromCache != 1 {
		t.Errorf("a cache that is ready has answered %d lists, the store %d", fromCache, fromStore)
	}
	late.end()
	if cached.lists != -1 {
		t.Error("the cache was not taken down")
	}
}

func TestAWatchFromBeforeTheCacheIsServedByTheStore(t *testing.T) {
	t.Parallel()
	late, store, cached := newLate(time.Now)
	late.note(fewReaders+1, 0)
	for version, want := range map[string]*shelf{"99": store, "100": cached, "0": cached, "": cached, "odd": cached} {
		before := want.watches
		events, err := late.Watch(t.Context(), "/pods/", storage.ListOptions{ResourceVersion: version})
		if err != nil {
			t.Fatal(err)
		}
		events.Stop()
		if want.watches != before+1 {
			t.Errorf("a watch from %q was not served by whom it should: store %d, cache %d", version, store.watches, cached.watches)
		}
	}
}

func TestAServerThatEndsBeginsNoCache(t *testing.T) {
	t.Parallel()
	late, _, _ := newLate(time.Now)
	late.end()
	late.note(fewReaders+1, 0)
	if late.cached.Load() != nil {
		t.Error("there is a cache")
	}
}

func TestAWatchOfTheStoreHasBookmarksIfItWantsThem(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		wanted bool
		want   []watch.EventType
	}{
		"wanted":     {true, []watch.EventType{watch.Added, watch.Bookmark, watch.Bookmark, watch.Deleted}},
		"not wanted": {false, []watch.EventType{watch.Added, watch.Deleted}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
				defer cancel()
				late, store, _ := newLate(time.Now)
				events, err := late.Watch(ctx, "/pods/", storage.ListOptions{
					ResourceVersion: "5", Predicate: storage.SelectionPredicate{AllowWatchBookmarks: test.wanted},
				})
				if err != nil {
					t.Fatal(err)
				}
				pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "a"}}
				store.events.Add(pod)
				if !test.wanted { // somebody else asks
					if err := store.RequestWatchProgress(ctx); err != nil {
						t.Fatal(err)
					}
				}
				var got []watch.EventType
				go func() {
					time.Sleep(89 * time.Second)
					store.events.Delete(pod)
				}()
				for event := range events.ResultChan() {
					if got = append(got, event.Type); event.Type == watch.Deleted {
						events.Stop()
					}
				}
				if diff := cmp.Diff(test.want, got); diff != "" {
					t.Errorf("events (-want +got):\n%s", diff)
				}
			})
		})
	}
}

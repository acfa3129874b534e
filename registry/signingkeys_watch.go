// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"strconv"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"

	identityv1 "github.com/muster-identity/muster/identity/v1"
	"github.com/muster-identity/muster/keyring/rotation"
)

// Watch tells of each change of the keys after a revision; without one, first of
// all that there are.
func (s *signingKeyStorage) Watch(ctx context.Context, options *internalversion.ListOptions) (watch.Interface, error) {
	from, err := s.startOf(options)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	w := &signingKeyWatch{
		wanted: keySelectionOf(options), events: make(chan watch.Event), ctx: ctx, cancel: cancel,
		marked: wantsInitialEvents(options) && options.AllowWatchBookmarks,
	}
	go w.run(from)
	return w, nil
}

func wantsInitialEvents(options *internalversion.ListOptions) bool {
	return options != nil && options.SendInitialEvents != nil && *options.SendInitialEvents
}

// watchStart is what a watcher knows when it begins.
type watchStart struct {
	// known is the edition whose keys the watcher has; nil for none.
	known *rotation.Edition
	// next is the first edition that it is told of.
	next *rotation.Edition
	// after is the revision up to which it has been told everything.
	after int64
}

func (s *signingKeyStorage) startOf(options *internalversion.ListOptions) (watchStart, error) {
	editions := s.keys.Editions()
	if options == nil || options.ResourceVersion == "" || options.ResourceVersion == "0" || wantsInitialEvents(options) {
		return watchStart{next: editions.Current()}, nil
	}
	revision, err := strconv.ParseInt(options.ResourceVersion, 10, 64)
	if err != nil || revision < 0 {
		return watchStart{}, apierrors.NewBadRequest("Invalid value for resourceVersion: " + strconv.Quote(options.ResourceVersion))
	}
	known, ok := editions.At(revision)
	if !ok {
		return watchStart{}, apierrors.NewResourceExpired("too old resource version: " + options.ResourceVersion)
	}
	return watchStart{known: known, next: known, after: revision}, nil
}

type signingKeyWatch struct {
	wanted keySelection
	// marked tells whether the end of the initial events is marked.
	marked bool
	events chan watch.Event
	ctx    context.Context
	cancel context.CancelFunc
}

// ResultChan is where the events come.
func (w *signingKeyWatch) ResultChan() <-chan watch.Event { return w.events }

// Stop ends the watch.
func (w *signingKeyWatch) Stop() { w.cancel() }

// run sends what changes from one edition to the next until the watch is
// stopped. A watcher that has heard of a later revision on another replica is
// told of nothing before that.
func (w *signingKeyWatch) run(start watchStart) {
	defer close(w.events)
	defer w.cancel()
	known, edition := start.known, start.next
	for {
		if edition != known && edition.Revision > start.after && !w.sendChanges(known, edition) {
			return
		}
		known = edition
		if w.marked && !w.sendMark(edition.Revision) {
			return
		}
		select {
		case <-edition.Superseded():
			edition = edition.Next()
		case <-w.ctx.Done():
			return
		}
	}
}

func (w *signingKeyWatch) sendChanges(from, to *rotation.Edition) bool {
	var before []*identityv1.SigningKey
	var err error
	if from != nil {
		if before, err = signingKeysOf(from, w.wanted); err != nil {
			return w.sendError(err)
		}
	}
	after, err := signingKeysOf(to, w.wanted)
	if err != nil {
		return w.sendError(err)
	}
	for _, event := range keyChanges(before, after, to.Revision) {
		if !w.send(event) {
			return false
		}
	}
	return true
}

// keyChanges are the events that lead from one list to another.
func keyChanges(before, after []*identityv1.SigningKey, revision int64) []watch.Event {
	var events []watch.Event
	old := map[string]*identityv1.SigningKey{}
	for _, key := range before {
		old[key.Name] = key
	}
	for _, key := range after {
		known, ok := old[key.Name]
		delete(old, key.Name)
		switch {
		case !ok:
			events = append(events, watch.Event{Type: watch.Added, Object: key})
		case !apiequality.Semantic.DeepEqual(known.Status, key.Status):
			events = append(events, watch.Event{Type: watch.Modified, Object: key})
		}
	}
	for _, key := range before {
		if gone, ok := old[key.Name]; ok {
			gone.ResourceVersion = strconv.FormatInt(revision, 10)
			events = append(events, watch.Event{Type: watch.Deleted, Object: gone})
		}
	}
	return events
}

// sendMark tells a watcher who wants it that it has all that there was when the
// watch began.
func (w *signingKeyWatch) sendMark(revision int64) bool {
	w.marked = false
	return w.send(watch.Event{Type: watch.Bookmark, Object: &identityv1.SigningKey{ObjectMeta: metav1.ObjectMeta{
		ResourceVersion: strconv.FormatInt(revision, 10),
		Annotations:     map[string]string{metav1.InitialEventsAnnotationKey: "true"},
	}}})
}

func (w *signingKeyWatch) sendError(err error) bool {
	status := apierrors.NewInternalError(err).Status()
	w.send(watch.Event{Type: watch.Error, Object: runtime.Object(&status)})
	return false
}

func (w *signingKeyWatch) send(event watch.Event) bool {
	select {
	case w.events <- event:
		return true
	case <-w.ctx.Done():
		return false
	}
}

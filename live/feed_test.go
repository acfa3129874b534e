// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package live

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
)

// TestMain silences what a reflector reports when its store is away. The default
// handlers keep the time of the last error to slow down the next one, in one
// variable for tests in real time and in bubbles with times of their own.
func TestMain(m *testing.M) {
	utilruntime.ErrorHandlers = nil
	m.Run()
}

// depot is a store of pods that can be listed and watched. It can send its list
// through the watch, or not.
type depot struct {
	streams bool

	mu sync.Mutex
	// Guarded by mu.
	revision  int64
	compacted int64 // watches can start from here on
	pods      map[string]*corev1.Pod
	events    []watch.Event
	watchers  []*watch.RaceFreeFakeWatcher
	lists     int
	refuse    error // given to whoever lists or watches
}

func newDepot(streams bool) *depot {
	return &depot{streams: streams, pods: map[string]*corev1.Pod{}}
}

func (d *depot) write(name string, deleted bool) *corev1.Pod {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.revision++
	pod := &corev1.Pod{ObjectMeta: metaAt(d.revision, name)}
	event := watch.Event{Type: watch.Added, Object: pod}
	old, existed := d.pods[name]
	if existed {
		pod.UID = old.UID
		event.Type = watch.Modified
	}
	d.pods[name] = pod
	if deleted {
		event.Type = watch.Deleted
		delete(d.pods, name)
	}
	d.send(event)
	return pod
}

func (d *depot) put(name string) *corev1.Pod    { return d.write(name, false) }
func (d *depot) remove(name string) *corev1.Pod { return d.write(name, true) }

// bookmark tells the watchers that the store is further on, by writes of others.
func (d *depot) bookmark(revisions int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.revision += revisions
	d.send(bookmarkAt(d.revision, nil))
}

func bookmarkAt(revision int64, annotations map[string]string) watch.Event {
	return watch.Event{Type: watch.Bookmark, Object: &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		ResourceVersion: strconv.FormatInt(revision, 10), Annotations: annotations,
	}}}
}

// send is called under mu.
func (d *depot) send(event watch.Event) {
	d.events = append(d.events, event)
	for _, w := range d.watchers {
		w.Action(event.Type, event.Object.DeepCopyObject())
	}
}

// cut ends all watches; compact makes it impossible to take them up again.
func (d *depot) cut(compact bool, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, w := range d.watchers {
		w.Stop()
	}
	d.watchers, d.refuse = nil, err
	if compact {
		d.compacted = 1 << 40
	}
}

// mend lets watches start again, from what the store is now.
func (d *depot) mend() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.refuse = nil
	d.compacted = min(d.compacted, d.revision)
}

func (d *depot) list(context.Context, metav1.ListOptions) (runtime.Object, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lists++
	if d.refuse != nil {
		return nil, d.refuse
	}
	list := &corev1.PodList{ListMeta: metav1.ListMeta{ResourceVersion: strconv.FormatInt(d.revision, 10)}}
	for _, name := range slices.Sorted(maps.Keys(d.pods)) {
		list.Items = append(list.Items, *d.pods[name].DeepCopy())
	}
	return list, nil
}

func (d *depot) watch(_ context.Context, options metav1.ListOptions) (watch.Interface, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	initial := options.SendInitialEvents != nil && *options.SendInitialEvents
	if initial && !d.streams {
		return nil, apierrors.NewInvalid(schema.GroupKind{Kind: "ListOptions"}, "", nil)
	}
	if d.refuse != nil {
		return nil, d.refuse
	}
	w := watch.NewRaceFreeFake()
	if initial {
		d.lists++
		for _, name := range slices.Sorted(maps.Keys(d.pods)) {
			w.Add(d.pods[name].DeepCopy())
		}
		end := bookmarkAt(d.revision, map[string]string{metav1.InitialEventsAnnotationKey: "true"})
		w.Action(end.Type, end.Object)
		d.watchers = append(d.watchers, w)
		return w, nil
	}
	since := revisionOf(options.ResourceVersion)
	if since < d.compacted {
		return nil, apierrors.NewResourceExpired("too old resource version")
	}
	for _, event := range d.events {
		if revisionOf(event.Object.(metav1.Object).GetResourceVersion()) > since {
			w.Action(event.Type, event.Object.DeepCopyObject())
		}
	}
	d.watchers = append(d.watchers, w)
	return w, nil
}

// listed is how often somebody has listed.
func (d *depot) listed() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.lists
}

func (d *depot) uids() map[string]types.UID {
	d.mu.Lock()
	defer d.mu.Unlock()
	uids := map[string]types.UID{}
	for name, pod := range d.pods {
		uids[name] = pod.UID
	}
	return uids
}

// follow runs a test beside a feed, in a time of its own, with both ways of
// listing. wait returns when the feed has nothing to do but wait for the store.
func follow(t *testing.T, test func(t *testing.T, d *depot, view *View, synced *int)) {
	for _, streams := range []bool{false, true} {
		t.Run(fmt.Sprintf("streamed lists %v", streams), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				d, view, synced := newDepot(streams), New(newShelf(), nil), 0
				d.put("early")
				ctx, cancel := context.WithCancel(t.Context())
				var feed sync.WaitGroup
				lw := &cache.ListWatch{ListWithContextFunc: d.list, WatchFuncWithContext: d.watch}
				feed.Go(func() {
					if err := view.Feed(ctx, pods, lw, &corev1.Pod{}, func() { synced++ }); err != nil {
						t.Error(err)
					}
				})
				defer feed.Wait()
				defer cancel()
				synctest.Wait()
				test(t, d, view, &synced)
			})
		})
	}
}

// uidsOf are the pods that a view has by itself, without asking the store.
func uidsOf(v *View) map[string]types.UID {
	uids := map[string]types.UID{}
	for name, pod := range v.pods.state() {
		uids[name.Name] = pod.UID
	}
	return uids
}

func same(t *testing.T, when string, d *depot, view *View) {
	t.Helper()
	synctest.Wait()
	if diff := cmp.Diff(d.uids(), uidsOf(view)); diff != "" {
		t.Errorf("%s, the view differs from the store (-store +view):\n%s", when, diff)
	}
}

func TestAFeedFollowsTheStore(t *testing.T) {
	t.Parallel()
	follow(t, func(t *testing.T, d *depot, view *View, synced *int) {
		same(t, "after the first list", d, view)
		if *synced != 1 {
			t.Errorf("synced was called %d times", *synced)
		}
		d.put("a")
		d.put("b")
		same(t, "after two creations", d, view)
		d.put("a")
		d.remove("early")
		same(t, "after a change and a deletion", d, view)
		d.remove("a")
		d.put("a")
		same(t, "after a replacement", d, view)
	})
}

func TestABookmarkEndsTheTombstones(t *testing.T) {
	t.Parallel()
	follow(t, func(t *testing.T, d *depot, view *View, _ *int) {
		view.Commit(pods, &corev1.Pod{ObjectMeta: metaAt(7, "gone")}, true)
		if len(view.pods.tombstones) != 1 || len(view.pods.entries) != 2 {
			t.Fatalf("tombstones: %d, entries: %d", len(view.pods.tombstones), len(view.pods.entries))
		}
		d.bookmark(20)
		same(t, "after a bookmark", d, view)
		if len(view.pods.tombstones) != 0 || len(view.pods.entries) != 1 {
			t.Errorf("tombstones: %d, entries: %d", len(view.pods.tombstones), len(view.pods.entries))
		}
		view.Commit(pods, &corev1.Pod{ObjectMeta: metaAt(15, "late")}, false)
		same(t, "after a commit that the watch has overtaken", d, view)
	})
}

func TestAFeedTakesUpABrokenWatch(t *testing.T) {
	t.Parallel()
	follow(t, func(t *testing.T, d *depot, view *View, synced *int) {
		d.put("a")
		d.put("b")
		same(t, "before", d, view)
		lists := d.listed()
		d.cut(false, nil)
		d.remove("a")
		d.put("c")
		time.Sleep(time.Minute)
		same(t, "after the break", d, view)
		if d.listed() != lists {
			t.Errorf("the store was listed %d times more", d.listed()-lists)
		}
		if *synced != 1 {
			t.Errorf("synced was called %d times", *synced)
		}
	})
}

// TestAFeedLearnsWhatHappenedInAGap ends the watch, lets time pass that no
// watch can tell of any more, and looks after the feed has listed again.
func TestAFeedLearnsWhatHappenedInAGap(t *testing.T) {
	t.Parallel()
	follow(t, func(t *testing.T, d *depot, view *View, synced *int) {
		d.put("deleted")
		d.put("replaced")
		d.put("untouched")
		own := d.put("deleted by this replica")
		same(t, "before", d, view)

		d.cut(true, errors.New("etcd is away"))
		d.remove("deleted")
		d.remove("replaced")
		d.put("replaced")
		d.put("created")
		own = d.remove(own.Name)
		view.Commit(pods, own, true)
		short := d.put("short-lived")
		view.Commit(pods, short, false)
		d.remove("short-lived")
		time.Sleep(time.Minute)
		synctest.Wait()
		if _, has := uidsOf(view)[own.Name]; has {
			t.Error("in the gap, a deletion of this replica is not in force")
		}
		if _, has := uidsOf(view)["deleted"]; !has {
			t.Error("in the gap, the view knows what nobody has told it")
		}

		d.mend()
		lists := d.listed()
		time.Sleep(2 * time.Minute)
		same(t, "after the gap", d, view)
		if d.listed() == lists {
			t.Error("the gap was bridged without a list")
		}
		d.put("afterwards")
		d.remove("untouched")
		same(t, "afterwards", d, view)
		if len(view.pods.tombstones) != 0 {
			t.Errorf("%d tombstones are left", len(view.pods.tombstones))
		}
		if *synced != 1 {
			t.Errorf("synced was called %d times", *synced)
		}
	})
}

func TestAFeedWaitsForAStoreThatIsAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d, view, synced := newDepot(true), New(newShelf(), nil), 0
		d.put("a")
		d.cut(false, errors.New("etcd is away"))
		ctx, cancel := context.WithCancel(t.Context())
		var feed sync.WaitGroup
		lw := &cache.ListWatch{ListWithContextFunc: d.list, WatchFuncWithContext: d.watch}
		feed.Go(func() {
			if err := view.Feed(ctx, pods, lw, &corev1.Pod{}, func() { synced++ }); err != nil {
				t.Error(err)
			}
		})
		defer feed.Wait()
		defer cancel()
		time.Sleep(time.Minute)
		synctest.Wait()
		if synced != 0 {
			t.Error("a feed without a list calls itself synced")
		}
		d.mend()
		time.Sleep(2 * time.Minute)
		same(t, "after the store is back", d, view)
		if synced != 1 {
			t.Errorf("synced was called %d times", synced)
		}
	})
}

func TestThereIsNoFeedForOtherResources(t *testing.T) {
	t.Parallel()
	err := New(newShelf(), nil).Feed(t.Context(), schema.GroupResource{Resource: "configmaps"}, &cache.ListWatch{}, &corev1.ConfigMap{}, func() {})
	if err == nil || err.Error() != "the live view does not keep configmaps" {
		t.Errorf("error: %v", err)
	}
}

// listAll has a feed take a list of objects as of a revision.
func listAll(f feed, revision int64, objs ...runtime.Object) {
	list := f.list()
	for _, obj := range objs {
		list.take(obj)
	}
	list.replace(revision)
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

var podsGVR = corev1.SchemeGroupVersion.WithResource("pods")

func deleted(graceSeconds *int64) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Namespace: "dev", Name: "me", UID: "my-uid",
		DeletionTimestamp: &metav1.Time{Time: time.Unix(1, 0)}, DeletionGracePeriodSeconds: graceSeconds,
	}}
}

func TestPodSaysWhetherAndHowSoonTheCommandEnds(t *testing.T) {
	t.Parallel()
	alive := deleted(nil)
	alive.DeletionTimestamp = nil
	for name, test := range map[string]struct {
		pod  *corev1.Pod
		uid  string
		how  string // "": it does not
		want time.Duration
	}{
		"alive":              {alive, "my-uid", "", 0},
		"gone":               {nil, "my-uid", "is gone", 2 * time.Second},
		"replaced":           {alive, "old", "was replaced", 2 * time.Second},
		"deleted":            {deleted(new(int64(30))), "my-uid", "is being deleted", 30 * time.Second},
		"deleted with force": {deleted(new(int64(0))), "my-uid", "is being deleted", 2 * time.Second},
		"deleted somehow":    {deleted(nil), "my-uid", "is being deleted", 2 * time.Second},
	} {
		got, ends := demiseOf(test.pod, types.UID(test.uid))
		if ends != (test.how != "") || got != (demise{test.how, test.want}) {
			t.Errorf("%s: %v, %v", name, got, ends)
		}
	}
}

// Somebody deletes the Pod once the command is ready. The server marks it and leaves the rest to the run, or removes it.
func TestCommandEndsWithItsPod(t *testing.T) {
	t.Parallel()
	const (
		obedient = `trap 'exit 7' TERM; echo ready; while :; do sleep 0.01; done`
		deaf     = `trap '' TERM; echo ready; while :; do sleep 0.01; done`
	)
	type act func(server *fakeServer, pod *corev1.Pod) error
	mark := func(seconds int64) act {
		return func(server *fakeServer, pod *corev1.Pod) error {
			pod.DeletionTimestamp, pod.DeletionGracePeriodSeconds = new(metav1.Now()), &seconds
			return server.Tracker().Update(podsGVR, pod, pod.Namespace)
		}
	}
	remove := func(server *fakeServer, pod *corev1.Pod) error {
		return server.Tracker().Delete(podsGVR, pod.Namespace, pod.Name)
	}
	for name, test := range map[string]struct {
		script string
		acts   []act
		code   int
		report string
	}{
		"marked, and it listens":                   {obedient, []act{mark(30)}, 7, "is being deleted"},
		"marked, and it does not listen":           {deaf, []act{mark(1)}, 128 + 9, "is being deleted"},
		"marked twice, the second time for sooner": {deaf, []act{mark(3600), mark(1)}, 128 + 9, "is being deleted"},
		"marked, then removed":                     {deaf, []act{mark(3600), remove}, 128 + 9, "is being deleted"},
		"removed":                                  {obedient, []act{remove}, 7, "is gone"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, dir := newFakeServer(), t.TempDir()
			p := server.process(dir, "sh", "-c", test.script)
			p.PodName = "me"
			// The fake server keeps no history: what happens before the watch begins is never told.
			watching := server.watching()
			p.Stdout = writerFunc(func([]byte) {
				<-watching
				for _, act := range test.acts {
					pod, err := server.CoreV1().Pods("dev").Get(t.Context(), "me", metav1.GetOptions{})
					if err == nil {
						err = act(server, pod)
					}
					if err != nil {
						t.Error(err)
					}
				}
			})
			var reports []string
			p.Report = func(err error) { reports = append(reports, err.Error()) }
			if code, err := p.Run(t.Context()); err != nil || code != test.code {
				t.Errorf("Run = %d, %v; want %d", code, err, test.code)
			}
			want := `pod "me" ` + test.report + ": ending the command"
			if !slices.Contains(reports, want) || strings.Count(strings.Join(reports, "\n"), "ending the command") != 1 {
				t.Errorf("reports %q", reports)
			}
			checkNothingLeft(t, server, dir)
		})
	}
}

// seenAfter follows a Pod on the server until a time has passed in which it ends after half a second, and returns how
// long after that its end was seen; never is 0.
func seenAfter(t *testing.T, server *fakeServer) (delay time.Duration) {
	t.Helper()
	object := deleted(nil)
	object.DeletionTimestamp = nil
	if err := server.Tracker().Add(object); err != nil {
		t.Fatal(err)
	}
	pods := make(chan *corev1.Pod)
	follower := &pod{client: server.CoreV1().Pods("dev"), object: object}
	defer background(t.Context(), func(ctx context.Context) { follower.follow(ctx, pods) })()
	removed := time.Now().Add(leaseRenewal / 2)
	remove, giveUp := time.After(leaseRenewal/2), time.After(time.Minute)
	for {
		select {
		case <-remove:
			if err := server.Tracker().Delete(podsGVR, "dev", "me"); err != nil {
				t.Fatal(err)
			}
		case <-giveUp:
			return 0
		case pod := <-pods:
			if pod == nil {
				return max(time.Since(removed), 1)
			}
		}
	}
}

func TestEndOfThePodIsSeenByWhatTheCallerMayDo(t *testing.T) {
	t.Parallel()
	forbidden := apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "me", errors.New("not for you"))
	for name, test := range map[string]struct {
		refused     []string
		atLeast, by time.Duration
	}{
		"watching":               {nil, 1, 1},
		"looking, not watching":  {[]string{"watch pods"}, leaseRenewal / 2, leaseRenewal / 2},
		"watching, not looking":  {[]string{"get pods"}, 1, 1},
		"neither, and no notice": {[]string{"get pods", "watch pods"}, 0, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			server := newFakeServer()
			for _, request := range test.refused {
				server.fail(request, forbidden)
			}
			if got := seenAfter(t, server); got < test.atLeast || got > test.by {
				t.Errorf("%s: seen after %v", name, got)
			}
		})
	}
}

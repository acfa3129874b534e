// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/muster-identity/muster/projection"
)

func leaseOf(server *fakeServer) *lease {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "dev", Name: "me", UID: "my-uid"}}
	return &lease{client: server.CoordinationV1().Leases("dev"), now: time.Now, pod: pod}
}

func stored(t *testing.T, server *fakeServer) *coordinationv1.Lease {
	t.Helper()
	found, err := server.CoordinationV1().Leases("dev").Get(t.Context(), "me", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestLeaseIsRenewedEveryFiveSeconds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := newFakeServer()
		l := leaseOf(server)
		if err := l.create(t.Context()); err != nil {
			t.Fatal(err)
		}
		stop := background(t.Context(), func(ctx context.Context) { l.keep(ctx, func(err error) { t.Error(err) }) })
		defer stop()
		for range 10 {
			time.Sleep(leaseRenewal)
			synctest.Wait()
			got := stored(t, server)
			if age := time.Since(got.Spec.RenewTime.Time); age > time.Millisecond || *got.Spec.LeaseDurationSeconds != 15 {
				t.Errorf("renewed %v ago for %d s", age, *got.Spec.LeaseDurationSeconds)
			}
		}
	})
}

func TestLostLeaseIsMadeAgainAndTroubleIsReportedOncePerStreak(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := newFakeServer()
		l := leaseOf(server)
		if err := l.create(t.Context()); err != nil {
			t.Fatal(err)
		}
		var reported []string
		stop := background(t.Context(), func(ctx context.Context) {
			l.keep(ctx, func(err error) { reported = append(reported, err.Error()) })
		})
		time.Sleep(leaseRenewal / 2) // to change the server's mind between renewals
		for range 2 {
			server.fail("patch leases", errors.New("no server"))
			time.Sleep(3 * leaseRenewal)
			server.fail("patch leases", nil)
			time.Sleep(leaseRenewal)
		}
		if err := server.CoordinationV1().Leases("dev").Delete(t.Context(), "me", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(leaseRenewal)
		stop()
		want := []string{`renewing lease "me": no server`, `renewing lease "me": no server`}
		if diff := cmp.Diff(want, reported); diff != "" {
			t.Error(diff)
		}
		if got := stored(t, server); got.OwnerReferences[0].UID != "my-uid" {
			t.Errorf("the new lease belongs to %v", got.OwnerReferences)
		}
	})
}

func TestLeaseOfAnEarlierPodGivesWayAndAForeignOneStays(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		owner metav1.OwnerReference
		free  bool
	}{
		"earlier pod of the name": {metav1.OwnerReference{Kind: "Pod", Name: "me", UID: "old"}, true},
		"another pod":             {metav1.OwnerReference{Kind: "Pod", Name: "you", UID: "old"}, false},
		"a node":                  {metav1.OwnerReference{Kind: "Node", Name: "me", UID: "old"}, false},
	} {
		server := newFakeServer()
		if err := server.Tracker().Add(&coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{
			Namespace: "dev", Name: "me", UID: "old-lease", OwnerReferences: []metav1.OwnerReference{test.owner},
		}}); err != nil {
			t.Fatal(err)
		}
		l := leaseOf(server)
		if err := l.create(t.Context()); (err == nil) != test.free || !test.free && !apierrors.IsAlreadyExists(err) {
			t.Errorf("%s: create returned %v", name, err)
		}
		if err := l.end(t.Context()); err != nil {
			t.Errorf("%s: end returned %v", name, err)
		}
		if left := server.left(); (left == "") != test.free {
			t.Errorf("%s: left %q", name, left)
		}
	}
}

func TestDeletionInsistsUnlessRefused(t *testing.T) {
	t.Parallel()
	resource := schema.GroupResource{Resource: "pods"}
	refusal := apierrors.NewForbidden(resource, "x", errors.New("not for you"))
	for name, test := range map[string]struct {
		answers []error
		want    error
	}{
		"done":        {[]error{nil}, nil},
		"gone":        {[]error{apierrors.NewNotFound(resource, "x")}, nil},
		"another":     {[]error{apierrors.NewConflict(resource, "x", errors.New("uid"))}, nil},
		"refused":     {[]error{refusal}, refusal},
		"unreachable": {[]error{errors.New("connection refused"), errors.New("EOF"), nil}, nil},
		"unwell":      {[]error{apierrors.NewTooManyRequests("", 1), apierrors.NewInternalError(errors.New("x")), nil}, nil},
	} {
		synctest.Test(t, func(t *testing.T) {
			calls := 0
			err := insist(t.Context(), func() error { calls++; return test.answers[calls-1] })
			if !errors.Is(err, test.want) || calls != len(test.answers) {
				t.Errorf("%s: %v after %d calls", name, err, calls)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), endTimeout)
		defer cancel()
		lost, start := errors.New("connection refused"), time.Now()
		if err := insist(ctx, func() error { return lost }); !errors.Is(err, lost) || time.Since(start) != endTimeout {
			t.Errorf("gave up after %v with %v", time.Since(start), err)
		}
	})
}

func volumeOf(t *testing.T, server *fakeServer) *volume {
	t.Helper()
	p := server.process("", "true")
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "dev", Name: "me", UID: "my-uid"}}
	return &volume{
		client: server.CoreV1(), namespace: "dev", ca: []byte("caller"), writer: &projection.Writer{Dir: t.TempDir()},
		token: &TokenKeeper{Request: func(ctx context.Context) (*authenticationv1.TokenRequest, error) { return p.requestToken(ctx, pod) }},
	}
}

func shown(t *testing.T, v *volume, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(v.writer.Dir, name))
	if err != nil {
		t.Error(err)
	}
	return string(data)
}

func TestTokenInTheVolumeIsRenewedInTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := newFakeServer()
		server.life = 10 * time.Minute
		v := volumeOf(t, server)
		if err := v.sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		stop := background(t.Context(), func(ctx context.Context) { v.keep(ctx, func(err error) { t.Error(err) }) })
		defer stop()
		time.Sleep(7 * time.Minute)
		if got := shown(t, v, "token"); got != "token-1" {
			t.Errorf("after 7 minutes of 10 the volume shows %s", got)
		}
		time.Sleep(3*time.Minute - time.Second)
		if got := shown(t, v, "token"); got != "token-2" {
			t.Errorf("after 10 minutes of 10 the volume shows %s", got)
		}
	})
}

func TestFailedRenewalKeepsTheTokenAndIsReportedOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := newFakeServer()
		server.life = 10 * time.Minute
		v := volumeOf(t, server)
		if err := v.sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		server.fail("create serviceaccounts/token", errors.New("no server"))
		var reported []string
		stop := background(t.Context(), func(ctx context.Context) {
			v.keep(ctx, func(err error) { reported = append(reported, err.Error()) })
		})
		time.Sleep(20 * time.Minute)
		if got := shown(t, v, "token"); got != "token-1" {
			t.Errorf("the volume shows %s", got)
		}
		server.fail("create serviceaccounts/token", nil)
		time.Sleep(2 * volumeResync)
		stop()
		if got := shown(t, v, "token"); got != "token-2" {
			t.Errorf("after the recovery the volume shows %s", got)
		}
		if diff := cmp.Diff([]string{"renewing token: no server"}, reported); diff != "" {
			t.Error(diff)
		}
	})
}

func TestCABundleIsTheClustersWhereItCanBeRead(t *testing.T) {
	t.Parallel()
	resource := schema.GroupResource{Resource: "configmaps"}
	for name, test := range map[string]struct {
		err  error
		want string
	}{
		"readable":  {nil, fakeCA},
		"forbidden": {apierrors.NewForbidden(resource, "x", nil), "caller"},
		"missing":   {apierrors.NewNotFound(resource, "x"), "caller"},
	} {
		server := newFakeServer()
		server.fail("get configmaps", test.err)
		v := volumeOf(t, server)
		if err := v.sync(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got := shown(t, v, "ca.crt"); got != test.want {
			t.Errorf("%s: ca.crt is %q", name, got)
		}
		if got := shown(t, v, "namespace"); got != "dev" {
			t.Errorf("%s: namespace is %q", name, got)
		}
	}
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package live

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// shelf is a Source. It counts how often it is read.
type shelf struct {
	mu sync.Mutex
	// Guarded by mu.
	objects map[string]runtime.Object
	err     error
	reads   int

	// during runs within each Get, after the object was taken.
	during func()
}

func newShelf() *shelf { return &shelf{objects: map[string]runtime.Object{}} }

func placeOf(resource schema.GroupResource, namespace, name string) string {
	return resource.String() + " " + namespace + "/" + name
}

func (s *shelf) put(resource schema.GroupResource, obj runtime.Object) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := obj.(metav1.Object)
	s.objects[placeOf(resource, m.GetNamespace(), m.GetName())] = obj
}

func (s *shelf) Get(_ context.Context, resource schema.GroupResource, namespace, name string) (runtime.Object, error) {
	s.mu.Lock()
	s.reads++
	obj, ok := s.objects[placeOf(resource, namespace, name)]
	err, during := s.err, s.during
	s.mu.Unlock()
	if during != nil {
		during()
	}
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, apierrors.NewNotFound(resource, name)
	}
	return obj, nil
}

func metaAt(revision int64, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: "shop", Name: name, UID: types.UID(fmt.Sprint("uid-", revision)), ResourceVersion: strconv.FormatInt(revision, 10)}
}

func podAt(revision int64) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metaAt(revision, "cart-0"), Spec: corev1.PodSpec{ServiceAccountName: "cart", NodeName: "n1"}}
}

// reader is what View and Fresh both are.
type reader interface {
	ServiceAccount(ctx context.Context, namespace, name string) (ServiceAccount, error)
	Pod(ctx context.Context, namespace, name string) (Pod, error)
	Secret(ctx context.Context, namespace, name string) (Secret, error)
	Node(ctx context.Context, name string) (Node, error)
}

func TestAMissIsReadFromTheStoreOnce(t *testing.T) {
	t.Parallel()
	ended := metav1.NewTime(time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC))
	deleting := metaAt(7, "x")
	deleting.DeletionTimestamp = &ended
	inShop := Meta{Namespace: "shop", Name: "x", UID: "uid-7", Revision: 7, DeletedAt: ended.Time}
	inCluster, nowhere := inShop, deleting
	inCluster.Namespace, nowhere.Namespace = "", ""
	for _, test := range []struct {
		resource schema.GroupResource
		object   runtime.Object
		read     func(*View, reader) (any, error)
		want     any
	}{
		{
			serviceAccounts, &corev1.ServiceAccount{ObjectMeta: deleting, Secrets: []corev1.ObjectReference{{Name: "a"}, {Name: "b"}}},
			func(_ *View, r reader) (any, error) { return r.ServiceAccount(t.Context(), "shop", "x") },
			ServiceAccount{Meta: inShop, Secrets: []string{"a", "b"}},
		},
		{
			pods, &corev1.Pod{ObjectMeta: deleting, Spec: corev1.PodSpec{ServiceAccountName: "cart", NodeName: "n1"}},
			func(_ *View, r reader) (any, error) { return r.Pod(t.Context(), "shop", "x") },
			Pod{Meta: inShop, ServiceAccount: "cart", NodeName: "n1"},
		},
		{
			secrets, &corev1.Secret{ObjectMeta: deleting, Type: corev1.SecretTypeOpaque},
			func(_ *View, r reader) (any, error) { return r.Secret(t.Context(), "shop", "x") },
			Secret{Meta: inShop, Type: corev1.SecretTypeOpaque},
		},
		{
			nodes, &corev1.Node{ObjectMeta: nowhere},
			func(_ *View, r reader) (any, error) { return r.Node(t.Context(), "x") },
			Node{Meta: inCluster},
		},
		{
			namespaces, &corev1.Namespace{ObjectMeta: nowhere, Status: corev1.NamespaceStatus{Phase: corev1.NamespaceTerminating}},
			func(v *View, _ reader) (any, error) { return v.Namespace(t.Context(), "x") },
			Namespace{Meta: inCluster, Phase: corev1.NamespaceTerminating},
		},
	} {
		t.Run(test.resource.Resource, func(t *testing.T) {
			t.Parallel()
			source := newShelf()
			source.put(test.resource, test.object)
			view := New(source, nil)
			for _, time := range []string{"first", "second"} {
				got, err := test.read(view, view)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(test.want, got); diff != "" {
					t.Errorf("%s read (-want +got):\n%s", time, diff)
				}
			}
			if source.reads != 1 {
				t.Errorf("the store was read %d times, want once", source.reads)
			}
			if test.resource == namespaces {
				return
			}
			if _, err := test.read(view, Fresh{view}); err != nil || source.reads != 2 {
				t.Errorf("a fresh read: %v, after %d reads of the store", err, source.reads)
			}
		})
	}
}

func TestWhatIsNotThereIsNotFound(t *testing.T) {
	t.Parallel()
	source := newShelf()
	view := New(source, nil)
	for name, r := range map[string]reader{"view": view, "fresh": Fresh{view}} {
		_, account := r.ServiceAccount(t.Context(), "shop", "x")
		_, pod := r.Pod(t.Context(), "shop", "x")
		_, secret := r.Secret(t.Context(), "shop", "x")
		_, node := r.Node(t.Context(), "x")
		_, namespace := view.Namespace(t.Context(), "x")
		for i, err := range []error{account, pod, secret, node, namespace} {
			want := []string{"serviceaccounts", "pods", "secrets", "nodes", "namespaces"}[i] + ` "x" not found`
			if !apierrors.IsNotFound(err) || err.Error() != want {
				t.Errorf("%s: %v, want %s", name, err, want)
			}
		}
	}
	if source.reads != 10 {
		t.Errorf("the store was read %d times for 10 misses", source.reads)
	}
}

func TestAnErrorOfTheStoreSaysWhatWasRead(t *testing.T) {
	t.Parallel()
	source := newShelf()
	source.err = errors.New("etcd is away")
	view := New(source, nil)
	for name, r := range map[string]reader{"view": view, "fresh": Fresh{view}} {
		_, err := r.Pod(t.Context(), "shop", "cart-0")
		if !errors.Is(err, source.err) || apierrors.IsNotFound(err) || err.Error() != `reading pods "shop/cart-0": etcd is away` {
			t.Errorf("%s: %v", name, err)
		}
	}
	source.err = nil
	source.put(pods, podAt(3))
	if _, err := view.Pod(t.Context(), "shop", "cart-0"); err != nil {
		t.Errorf("after the store is back: %v", err)
	}
}

func TestAReadFailsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	source := newShelf()
	view := New(source, nil)
	source.during = func() {
		cancel()
		source.err = ctx.Err()
	}
	_, _ = view.Pod(ctx, "shop", "cart-0")
	if _, err := view.Pod(ctx, "shop", "cart-0"); !errors.Is(err, context.Canceled) {
		t.Errorf("error: %v", err)
	}
}

func TestACommitIsInForceAtOnce(t *testing.T) {
	t.Parallel()
	source := newShelf()
	view := New(source, nil)
	check := func(when string, want Pod) {
		t.Helper()
		got, err := view.Pod(t.Context(), "shop", "cart-0")
		if want.Name == "" {
			if !apierrors.IsNotFound(err) {
				t.Errorf("%s: %v, %v; want nothing", when, got, err)
			}
			return
		}
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", when, err, diff)
		}
	}
	at := func(revision int64, node string) Pod {
		return Pod{Meta: Meta{Namespace: "shop", Name: "cart-0", UID: types.UID(fmt.Sprint("uid-", revision)), Revision: revision}, ServiceAccount: "cart", NodeName: node}
	}
	view.Commit(pods, podAt(3), false)
	check("created", at(3, "n1"))
	moved := podAt(5)
	moved.Spec.NodeName = "n2"
	view.Commit(pods, moved, false)
	moved.Spec.NodeName = "changed by its owner afterwards"
	check("changed", at(5, "n2"))
	view.Commit(pods, podAt(4), false)
	check("an older write that comes late", at(5, "n2"))
	if source.reads != 0 {
		t.Errorf("the store was read %d times for what was committed", source.reads)
	}
	view.Commit(pods, podAt(8), true)
	check("deleted", Pod{})
	view.Commit(pods, podAt(7), false)
	check("a write from before the deletion", Pod{})
	view.Commit(pods, podAt(9), false)
	check("created again", at(9, "n1"))
}

func TestCommitsOfOtherThingsAreIgnored(t *testing.T) {
	t.Parallel()
	view := New(newShelf(), nil)
	view.Commit(schema.GroupResource{Resource: "configmaps"}, &corev1.ConfigMap{ObjectMeta: metaAt(1, "x")}, false)
	view.Commit(schema.GroupResource{Group: "apps", Resource: "pods"}, podAt(1), false)
	view.Commit(pods, &metav1.Status{}, false)
	if _, err := view.Pod(t.Context(), "shop", "cart-0"); !apierrors.IsNotFound(err) {
		t.Errorf("error: %v", err)
	}
}

func TestNamesAreKeptApartByNamespaceAndKind(t *testing.T) {
	t.Parallel()
	source := newShelf()
	view := New(source, nil)
	view.Commit(pods, podAt(3), false)
	if _, err := view.Pod(t.Context(), "bank", "cart-0"); !apierrors.IsNotFound(err) {
		t.Errorf("the pod of another namespace: %v", err)
	}
	if _, err := view.Pod(t.Context(), "", "cart-0"); !apierrors.IsNotFound(err) {
		t.Errorf("the pod of no namespace: %v", err)
	}
	if _, err := view.Secret(t.Context(), "shop", "cart-0"); !apierrors.IsNotFound(err) {
		t.Errorf("a secret of the pod's name: %v", err)
	}
	// A source that answers with what was not asked for is not believed.
	source.objects[placeOf(pods, "bank", "cart-0")] = podAt(3)
	if got, err := view.Pod(t.Context(), "bank", "cart-0"); !apierrors.IsNotFound(err) {
		t.Errorf("a pod of another namespace in the place of the pod: %v, %v", got, err)
	}
}

func TestFreshBringsTheViewUpToDate(t *testing.T) {
	t.Parallel()
	source := newShelf()
	view := New(source, nil)
	view.Commit(pods, podAt(3), false)
	source.put(pods, podAt(6))
	if got, _ := view.Pod(t.Context(), "shop", "cart-0"); got.UID != "uid-3" {
		t.Fatalf("the view has %s, want what it was told", got.UID)
	}
	if got, err := (Fresh{view}).Pod(t.Context(), "shop", "cart-0"); err != nil || got.UID != "uid-6" {
		t.Errorf("fresh: %s, %v", got.UID, err)
	}
	if got, _ := view.Pod(t.Context(), "shop", "cart-0"); got.UID != "uid-6" {
		t.Errorf("the view has %s afterwards", got.UID)
	}
}

// TestAReadThatADeletionOvertakesFindsNothing deletes the pod after the store
// has answered and before the view has taken the answer.
func TestAReadThatADeletionOvertakesFindsNothing(t *testing.T) {
	t.Parallel()
	for name, learn := range map[string]func(*View){
		"by a commit":               func(v *View) { v.Commit(pods, podAt(5), true) },
		"by the watch":              func(v *View) { v.feeds[pods].observeObject(podAt(5), true) },
		"by both":                   func(v *View) { v.Commit(pods, podAt(5), true); v.feeds[pods].observeObject(podAt(5), true) },
		"by a list":                 func(v *View) { v.feeds[pods].list().replace(5) },
		"and a bookmark comes next": func(v *View) { v.Commit(pods, podAt(5), true); v.feeds[pods].progress(9) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			source := newShelf()
			source.put(pods, podAt(3))
			view := New(source, nil)
			source.during = sync.OnceFunc(func() { learn(view) })
			if got, err := view.Pod(t.Context(), "shop", "cart-0"); !apierrors.IsNotFound(err) {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
}

func TestTheSubscriberHearsOfEachObjectInOrder(t *testing.T) {
	t.Parallel()
	roles := schema.GroupResource{Group: "rbac.authorization.k8s.io", Resource: "roles"}
	role := func(revision int64, verb string) *rbacv1.Role {
		return &rbacv1.Role{ObjectMeta: metaAt(revision, "r"), Rules: []rbacv1.PolicyRule{{Verbs: []string{verb}}}}
	}
	var heard []string
	view := New(newShelf(), func(obj runtime.Object, deleted bool) {
		r := obj.(*rbacv1.Role)
		heard = append(heard, fmt.Sprint(r.ResourceVersion, r.Rules[0].Verbs, deleted))
	})
	feed := view.feeds[roles]
	mine := role(3, "get")
	view.Commit(roles, mine, false)
	mine.Rules[0].Verbs[0] = "*" // its owner's business
	feed.observeObject(role(3, "get"), false)
	view.Commit(roles, role(6, "watch"), false)
	view.Commit(roles, role(5, "list"), false) // overtaken
	feed.observeObject(role(5, "list"), false)
	view.Commit(roles, role(7, "watch"), true)
	feed.observeObject(role(6, "watch"), false)
	feed.observeObject(role(7, "watch"), true)
	view.Commit(roles, role(7, "watch"), true) // of a slow request
	feed.observeObject(role(9, "patch"), false)
	feed.list().replace(12)
	feed.list().replace(13)
	kept := role(15, "get")
	view.Commit(roles, kept, false)
	kept.Rules[0].Verbs[0] = "*"
	feed.list().replace(16)
	want := []string{"3[get] false", "6[watch] false", "7[watch] true", "9[patch] false", "9[patch] true", "15[get] false", "15[get] true"}
	if diff := cmp.Diff(want, heard); diff != "" {
		t.Errorf("heard (-want +got):\n%s", diff)
	}
}

func TestTheViewSaysWhichResourcesItKeeps(t *testing.T) {
	t.Parallel()
	var got []string
	for _, resource := range New(newShelf(), nil).Resources() {
		got = append(got, resource.String())
	}
	slices.Sort(got)
	want := []string{
		"clusterrolebindings.rbac.authorization.k8s.io", "clusterroles.rbac.authorization.k8s.io", "namespaces", "nodes", "podcertificaterequests.certificates.k8s.io", "pods",
		"rolebindings.rbac.authorization.k8s.io", "roles.rbac.authorization.k8s.io", "secrets", "serviceaccounts",
		"tokenrevocations.identity.muster.id",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestARevisionThatIsNoneNeverWins(t *testing.T) {
	t.Parallel()
	view := New(newShelf(), nil)
	view.Commit(pods, podAt(3), false)
	for _, version := range []string{"", "x", "-1", "99999999999999999999"} {
		odd := podAt(9)
		odd.ResourceVersion = version
		view.Commit(pods, odd, true)
	}
	if got, err := view.Pod(t.Context(), "shop", "cart-0"); err != nil || got.Revision != 3 {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestADeletionCountsFromItsMomentOn(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		after, grace time.Duration
		want         bool
	}{
		{-1, 0, false},
		{0, 0, true},
		{1, 0, true},
		{time.Minute - 1, time.Minute, false},
		{time.Minute, time.Minute, true},
	} {
		if got := (Meta{DeletedAt: at}).Deleted(at.Add(test.after), test.grace); got != test.want {
			t.Errorf("%s after the deletion, with a grace of %s: %v", test.after, test.grace, got)
		}
		if (Meta{}).Deleted(at.Add(test.after), test.grace) {
			t.Error("what nobody deleted counts as deleted")
		}
	}
}

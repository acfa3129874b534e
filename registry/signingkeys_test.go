// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	identityv1 "github.com/muster-identity/muster/identity/v1"
	"github.com/muster-identity/muster/keyring"
	"github.com/muster-identity/muster/keyring/rotation"
)

// bunch is keys of which a test decides.
type bunch struct {
	editions rotation.Editions
	err      error
	calls    []string
}

func (b *bunch) Editions() *rotation.Editions { return &b.editions }

func (b *bunch) Rotate(_ context.Context, rehearsal bool) (string, error) {
	b.calls = append(b.calls, "rotate "+strconv.FormatBool(rehearsal))
	return b.editions.Current().Keys[0].Key.ID, b.err
}

func (b *bunch) Retire(_ context.Context, id string, rehearsal bool) error {
	b.calls = append(b.calls, "retire "+id+" "+strconv.FormatBool(rehearsal))
	return b.err
}

func newBunch(t *testing.T) (*bunch, *signingKeyStorage) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := keyring.NewKey(private.Public())
	if err != nil {
		t.Fatal(err)
	}
	key.ID = "first"
	b := &bunch{}
	b.editions.Add(10, []rotation.Status{{Key: key, State: rotation.Signing, Since: time.Unix(1800000000, 0)}})
	storage, err := signingKeys{}.Storage(Environment{Services: Services{SigningKeys: b}})
	if err != nil {
		t.Fatal(err)
	}
	return b, storage["signingkeys"].(*signingKeyStorage)
}

// with is the first key in a state, and another key of a name.
func (b *bunch) with(revision int64, state rotation.State, names ...string) {
	first := b.editions.Current().Keys[0]
	first.State = state
	all := []rotation.Status{first}
	for _, name := range names {
		other := first
		other.Key.ID, other.State = name, rotation.Published
		all = append(all, other)
	}
	b.editions.Add(revision, all)
}

func TestAWatchOfKeysGoesOnWhereAListEnded(t *testing.T) {
	t.Parallel()
	b, storage := newBunch(t)
	b.with(20, rotation.Signing, "second")
	b.with(30, rotation.Verifying, "third")
	for name, test := range map[string]struct {
		options *internalversion.ListOptions
		want    []string
	}{
		"from now":        {nil, []string{"ADDED first 30", "ADDED third 30"}},
		"any":             {&internalversion.ListOptions{ResourceVersion: "0"}, []string{"ADDED first 30", "ADDED third 30"}},
		"from a list":     {&internalversion.ListOptions{ResourceVersion: "10"}, []string{"ADDED second 20", "MODIFIED first 30", "ADDED third 30", "DELETED second 30"}},
		"between two":     {&internalversion.ListOptions{ResourceVersion: "25"}, []string{"MODIFIED first 30", "ADDED third 30", "DELETED second 30"}},
		"initial, marked": {&internalversion.ListOptions{SendInitialEvents: new(true), AllowWatchBookmarks: true}, []string{"ADDED first 30", "ADDED third 30", "BOOKMARK  30"}},
		// The list of another replica, which is ahead: what it has shown is not told again.
		"ahead": {&internalversion.ListOptions{ResourceVersion: "30"}, []string{"DELETED third 40"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, storage := b, storage
			if name == "ahead" {
				b, storage = newBunch(t)
				b.with(20, rotation.Signing)
			}
			w, err := storage.Watch(t.Context(), test.options)
			if err != nil {
				t.Fatal(err)
			}
			if name == "ahead" {
				b.with(30, rotation.Verifying, "third")
				b.with(40, rotation.Verifying)
			}
			var got []string
			for range test.want {
				event := <-w.ResultChan()
				key := event.Object.(*identityv1.SigningKey)
				got = append(got, string(event.Type)+" "+key.Name+" "+key.ResourceVersion)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
			w.Stop()
			if event, more := <-w.ResultChan(); more {
				t.Errorf("one event too many: %v", event)
			}
		})
	}
	if _, err := storage.Watch(t.Context(), &internalversion.ListOptions{ResourceVersion: "9"}); !apierrors.IsResourceExpired(err) {
		t.Errorf("too old: %v", err)
	}
	if _, err := storage.Watch(t.Context(), &internalversion.ListOptions{ResourceVersion: "new"}); !apierrors.IsBadRequest(err) {
		t.Errorf("no number: %v", err)
	}
}

func TestKeysAreMadeAndRetiredAsTheCallerMeans(t *testing.T) {
	t.Parallel()
	b, storage := newBunch(t)
	refuse := func(context.Context, runtime.Object) error {
		return apierrors.NewForbidden(identityv1.Resource("signingkeys"), "", errors.New("no"))
	}
	create := func(key runtime.Object, dryRun ...string) error {
		_, err := storage.Create(t.Context(), key, nil, &metav1.CreateOptions{DryRun: dryRun})
		return err
	}
	remove := func(name string, options *metav1.DeleteOptions) error {
		_, _, err := storage.Delete(t.Context(), name, nil, options)
		return err
	}
	named := &identityv1.SigningKey{ObjectMeta: metav1.ObjectMeta{Name: "mine"}}
	given := &identityv1.SigningKey{Spec: identityv1.SigningKeySpec{Algorithm: "none"}}
	_, refusedCreate := storage.Create(t.Context(), &identityv1.SigningKey{}, refuse, &metav1.CreateOptions{})
	_, _, refusedDelete := storage.Delete(t.Context(), "first", refuse, &metav1.DeleteOptions{})
	for name, test := range map[string]struct {
		err error
		is  func(error) bool
	}{
		"a pod":                  {create(&corev1.Pod{}), apierrors.IsBadRequest},
		"a name":                 {create(named), apierrors.IsInvalid},
		"a key of one's own":     {create(given), apierrors.IsInvalid},
		"admission, to create":   {refusedCreate, apierrors.IsForbidden},
		"admission, to delete":   {refusedDelete, apierrors.IsForbidden},
		"an unknown key":         {remove("none", &metav1.DeleteOptions{}), apierrors.IsNotFound},
		"another UID":            {remove("first", metav1.NewPreconditionDeleteOptions("other")), apierrors.IsConflict},
		"another version of all": {remove("first", metav1.NewRVDeletionPrecondition("9")), apierrors.IsConflict},
	} {
		if !test.is(test.err) {
			t.Errorf("%s: error %v", name, test.err)
		}
	}
	if len(b.calls) > 0 {
		t.Fatalf("all the same: %v", b.calls)
	}
	key, err := storage.get("first")
	if err != nil {
		t.Fatal(err)
	}
	uid, version := key.UID, key.ResourceVersion
	exact := &metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: (*types.UID)(&uid), ResourceVersion: &version}}
	for _, err := range []error{
		create(&identityv1.SigningKey{}), create(&identityv1.SigningKey{}, metav1.DryRunAll),
		remove("first", exact), remove("first", &metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}}),
	} {
		if err != nil {
			t.Error(err)
		}
	}
	want := []string{"rotate false", "rotate true", "retire first false", "retire first true"}
	if diff := cmp.Diff(want, b.calls); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
	b.err = &rotation.Refusal{Reason: "not now"}
	if err := remove("first", exact); !apierrors.IsConflict(err) {
		t.Errorf("a refusal: %v", err)
	}
	b.err = rotation.ErrUnknownKey
	if err := remove("first", exact); !apierrors.IsNotFound(err) {
		t.Errorf("a key that has just gone: %v", err)
	}
}

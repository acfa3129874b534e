// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"errors"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

func TestEveryActiveNamespaceHasItsDefaultAccount(t *testing.T) {
	t.Parallel()
	existing := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "kept", Name: "default", UID: "first"}}
	store := fakeStore(activeNS("dev"), activeNS("kept"), existing, endingNS("leaving"))
	controller := newDefaultServiceAccounts(store)
	for name, want := range map[string]bool{"dev": true, "kept": true, "leaving": false, "nowhere": false} {
		reconciled(t, controller, named(name))
		account := &corev1.ServiceAccount{}
		err := store.Get(t.Context(), client.ObjectKey{Namespace: name, Name: "default"}, account)
		if client.IgnoreNotFound(err) != nil || (err == nil) != want {
			t.Errorf("%s: has its account %v (%v), want %v", name, err == nil, err, want)
		}
		if name == "kept" && account.UID != "first" {
			t.Errorf("the account that was there became %q", account.UID)
		}
	}
}

func TestADeletedDefaultAccountIsMadeAgain(t *testing.T) {
	t.Parallel()
	store := fakeStore(activeNS("dev"))
	controller := newDefaultServiceAccounts(store)
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "dev", Name: "default"}}
	for range 2 {
		reconciled(t, controller, named("dev"))
		if err := store.Delete(t.Context(), account); err != nil {
			t.Fatalf("deleting the account: %v", err)
		}
	}
	requests := namespaceOf(t.Context(), account)
	if len(requests) != 1 || requests[0].NamespacedName != named("dev") {
		t.Errorf("the deletion asks for %v, want dev", requests)
	}
}

func TestANamespaceStarterTakesWhatIsThereForGood(t *testing.T) {
	t.Parallel()
	accounts := corev1.Resource("serviceaccounts")
	ending := apierrors.NewForbidden(accounts, "default", errors.New("it ends"))
	ending.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: corev1.NamespaceTerminatingCause}}
	trouble := errors.New("trouble")
	for name, test := range map[string]struct{ err, want error }{
		"created":               {nil, nil},
		"it exists":             {apierrors.NewAlreadyExists(accounts, "default"), nil},
		"the namespace is gone": {apierrors.NewNotFound(corev1.Resource("namespaces"), "dev"), nil},
		"the namespace ends":    {ending, nil},
		"trouble":               {trouble, trouble},
	} {
		var made *corev1.ServiceAccount
		starter := NamespaceStarter{Create: func(_ context.Context, account *corev1.ServiceAccount) error {
			made = account
			return test.err
		}}
		if err := starter.Start(t.Context(), activeNS("dev")); !errors.Is(err, test.want) {
			t.Errorf("%s: got %v, want %v", name, err, test.want)
		}
		if made.Namespace != "dev" || made.Name != "default" {
			t.Errorf("%s: made %s/%s", name, made.Namespace, made.Name)
		}
	}
}

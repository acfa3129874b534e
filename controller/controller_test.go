// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"errors"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// fakeStore is a store in memory that behaves as far as controllers look.
func fakeStore(objects ...client.Object) client.WithWatch {
	mapper, err := staticMapper(nil, nil)
	if err != nil {
		panic(err)
	}
	scheme, err := kinds()
	if err != nil {
		panic(err)
	}
	return fake.NewClientBuilder().WithScheme(scheme).WithRESTMapper(mapper).WithStatusSubresource(&corev1.Namespace{}, &admissionregistrationv1.ValidatingAdmissionPolicy{}).
		WithIndex(&corev1.Secret{}, "type", func(o client.Object) []string { return []string{string(o.(*corev1.Secret).Type)} }).
		WithObjects(objects...).Build()
}

// reconciled makes one step and returns when the next is due.
func reconciled(t *testing.T, r reconcile.Reconciler, name types.NamespacedName) time.Duration {
	t.Helper()
	result, err := r.Reconcile(t.Context(), reconcile.Request{NamespacedName: name})
	if err != nil {
		t.Fatalf("reconciling %s: %v", name, err)
	}
	return result.RequeueAfter
}

func named(name string) types.NamespacedName {
	return types.NamespacedName{Name: name}
}

func activeNS(name string) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
}

func endingNS(name string) *corev1.Namespace {
	return &corev1.Namespace{
		ObjectMeta: metav1.ObjectMeta{
			Name: name, DeletionTimestamp: &metav1.Time{Time: noon}, Finalizers: []string{"test/stays-in-the-fake-store"},
		},
		Spec: corev1.NamespaceSpec{Finalizers: []corev1.FinalizerName{corev1.FinalizerKubernetes}},
	}
}

func TestOrdinaryErrorsAreNoNews(t *testing.T) {
	t.Parallel()
	ended, end := context.WithCancel(t.Context())
	end()
	trouble := errors.New("trouble")
	conflict := apierrors.NewConflict(corev1.Resource("configmaps"), "c", trouble)
	tests := map[string]struct {
		ctx     context.Context
		err     error
		wantErr error
		after   time.Duration
	}{
		"no error":             {t.Context(), nil, nil, 0},
		"trouble":              {t.Context(), trouble, trouble, 0},
		"a conflict":           {t.Context(), conflict, nil, conflictPause},
		"the end of the whole": {ended, trouble, nil, 0},
	}
	for name, test := range tests {
		step := reconcile.Func(func(context.Context, reconcile.Request) (reconcile.Result, error) {
			return reconcile.Result{}, test.err
		})
		result, err := ordinary(step).Reconcile(test.ctx, reconcile.Request{})
		if !errors.Is(err, test.wantErr) || result.RequeueAfter != test.after {
			t.Errorf("%s: got %v after %s, want %v after %s", name, err, result.RequeueAfter, test.wantErr, test.after)
		}
	}
}

func TestTheClientsConfigIsNotChanged(t *testing.T) {
	t.Parallel()
	given := &rest.Config{Host: "https://127.0.0.1:1", QPS: 5, UserAgent: "server"}
	if got := unlimited(given); got.QPS >= 0 || got.Host != given.Host {
		t.Errorf("got %v queries per second at %q", got.QPS, got.Host)
	}
	if given.QPS != 5 || given.UserAgent != "server" {
		t.Errorf("the given config became %v", given)
	}
}

func requestFor(name string) reconcile.Request {
	return reconcile.Request{NamespacedName: named(name)}
}

func isTerminal(err error) bool {
	return errors.Is(err, reconcile.TerminalError(nil))
}

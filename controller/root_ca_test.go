// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
)

var rootCAKeyOfDev = client.ObjectKey{Namespace: "dev", Name: "kube-root-ca.crt"}

func configMap(change func(*corev1.ConfigMap)) *corev1.ConfigMap {
	made := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "dev", Name: "kube-root-ca.crt", UID: "c",
			Annotations: map[string]string{"kubernetes.io/description": rootCADescription},
		},
		Data: map[string]string{"ca.crt": "PEM"},
	}
	change(made)
	return made
}

func TestTheCABundleIsPublishedAndRestored(t *testing.T) {
	t.Parallel()
	tests := map[string]func(*corev1.ConfigMap){
		"untouched":             func(*corev1.ConfigMap) {},
		"another bundle":        func(c *corev1.ConfigMap) { c.Data["ca.crt"] = "other" },
		"a key too many":        func(c *corev1.ConfigMap) { c.Data["extra"] = "x" },
		"a binary key too many": func(c *corev1.ConfigMap) { c.BinaryData = map[string][]byte{"extra": {1}} },
		"emptied":               func(c *corev1.ConfigMap) { c.Data = nil },
		"no description":        func(c *corev1.ConfigMap) { c.Annotations = nil },
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			checkBundle(t, fakeStore(activeNS("dev"), configMap(change)))
		})
	}
	t.Run("missing", func(t *testing.T) {
		t.Parallel()
		checkBundle(t, fakeStore(activeNS("dev")))
	})
}

func checkBundle(t *testing.T, store client.WithWatch) {
	t.Helper()
	reconciled(t, newRootCA(store, "PEM", NewMetrics().rootCA), named("dev"))
	found := &corev1.ConfigMap{}
	if err := store.Get(t.Context(), rootCAKeyOfDev, found); err != nil {
		t.Fatalf("reading the config map: %v", err)
	}
	if diff := cmp.Diff(map[string]string{"ca.crt": "PEM"}, found.Data); diff != "" || found.BinaryData != nil {
		t.Errorf("binary data %v; data differ (-want +got):\n%s", found.BinaryData, diff)
	}
	if found.Annotations["kubernetes.io/description"] != rootCADescription {
		t.Errorf("annotations: %v", found.Annotations)
	}
}

func TestOneWhoDescribesTheBundleInOtherWordsIsNotOverruled(t *testing.T) {
	t.Parallel()
	store := fakeStore(activeNS("dev"), configMap(func(c *corev1.ConfigMap) {
		c.Annotations["kubernetes.io/description"] = "ours"
	}))
	reconciled(t, newRootCA(store, "PEM", NewMetrics().rootCA), named("dev"))
	found := &corev1.ConfigMap{}
	if err := store.Get(t.Context(), rootCAKeyOfDev, found); err != nil {
		t.Fatal(err)
	}
	if found.Annotations["kubernetes.io/description"] != "ours" {
		t.Errorf("annotations: %v", found.Annotations)
	}
}

func TestAnEndingNamespaceGetsNoBundle(t *testing.T) {
	t.Parallel()
	store := fakeStore(endingNS("dev"))
	reconciled(t, newRootCA(store, "PEM", NewMetrics().rootCA), named("dev"))
	if err := store.Get(t.Context(), rootCAKeyOfDev, &corev1.ConfigMap{}); !apierrors.IsNotFound(err) {
		t.Errorf("got %v, want not found", err)
	}
}

func TestAnImmutableConfigMapIsRemovedToBePublishedAnew(t *testing.T) {
	t.Parallel()
	store := fakeStore(activeNS("dev"), configMap(func(c *corev1.ConfigMap) {
		c.Data["ca.crt"], c.Immutable = "other", new(true)
	}))
	refusing := interceptor.NewClient(store, interceptor.Funcs{
		Update: func(_ context.Context, _ client.WithWatch, object client.Object, _ ...client.UpdateOption) error {
			return apierrors.NewInvalid(corev1.SchemeGroupVersion.WithKind("ConfigMap").GroupKind(), object.GetName(), nil)
		},
	})
	controller := newRootCA(refusing, "PEM", NewMetrics().rootCA)
	reconciled(t, controller, named("dev")) // removes it; its event asks again
	checkBundle(t, store)
}

func TestTheCacheHoldsOneCopyOfTheBundle(t *testing.T) {
	t.Parallel()
	bundle := string([]byte("PEM"))
	read := configMap(func(c *corev1.ConfigMap) { c.Data["ca.crt"] = string([]byte("PEM")) })
	read.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "m"}}
	if _, err := shareBundle(bundle)(read); err != nil {
		t.Fatal(err)
	}
	if unsafe.StringData(read.Data["ca.crt"]) != unsafe.StringData(bundle) || read.ManagedFields != nil {
		t.Error("the config map keeps a bundle or managed fields of its own")
	}
	other := configMap(func(c *corev1.ConfigMap) { c.Data["ca.crt"] = "other" })
	if _, err := shareBundle(bundle)(other); err != nil || other.Data["ca.crt"] != "other" {
		t.Errorf("other contents became %q (%v)", other.Data["ca.crt"], err)
	}
}

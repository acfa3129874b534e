// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"encoding/pem"
	"strings"
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

// pemOf is a certificate as far as bundles look at them.
func pemOf(text string) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte(text)}))
}

// vouched are the authorities of a server that has one.
func vouched(text string) func() ([]byte, error) {
	return func() ([]byte, error) { return []byte(pemOf(text)), nil }
}

func configMap(change func(*corev1.ConfigMap)) *corev1.ConfigMap {
	made := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "dev", Name: "kube-root-ca.crt", UID: "c",
			Annotations: map[string]string{"kubernetes.io/description": rootCADescription},
		},
		Data: map[string]string{"ca.crt": pemOf("one")},
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
	reconciled(t, newRootCA(store, newRootBundle(vouched("one")), NewMetrics().rootCA), named("dev"))
	found := &corev1.ConfigMap{}
	if err := store.Get(t.Context(), rootCAKeyOfDev, found); err != nil {
		t.Fatalf("reading the config map: %v", err)
	}
	if diff := cmp.Diff(map[string]string{"ca.crt": pemOf("one")}, found.Data); diff != "" || found.BinaryData != nil {
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
	reconciled(t, newRootCA(store, newRootBundle(vouched("one")), NewMetrics().rootCA), named("dev"))
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
	reconciled(t, newRootCA(store, newRootBundle(vouched("one")), NewMetrics().rootCA), named("dev"))
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
	controller := newRootCA(refusing, newRootBundle(vouched("one")), NewMetrics().rootCA)
	reconciled(t, controller, named("dev")) // removes it; its event asks again
	checkBundle(t, store)
}

func TestTheCacheHoldsOneCopyOfTheBundle(t *testing.T) {
	t.Parallel()
	share := shareBundle()
	read := func(bundle string) *corev1.ConfigMap {
		t.Helper()
		config := configMap(func(c *corev1.ConfigMap) { c.Data["ca.crt"] = bundle })
		config.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "m"}}
		if _, err := share(config); err != nil || config.ManagedFields != nil || config.Data["ca.crt"] != bundle {
			t.Fatalf("managed fields %v, %q (%v)", config.ManagedFields, config.Data["ca.crt"], err)
		}
		return config
	}
	for _, bundle := range []string{"one", "two"} { // it changes
		first, second := read(strings.Clone(bundle)), read(strings.Clone(bundle))
		if unsafe.StringData(first.Data["ca.crt"]) != unsafe.StringData(second.Data["ca.crt"]) {
			t.Errorf("two namespaces keep a copy of %q each", bundle)
		}
	}
}

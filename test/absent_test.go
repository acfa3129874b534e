// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package test

import (
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"

	"github.com/muster-identity/muster/mustertest"
)

// Absent kinds are lists in which nothing is and watches in which nothing happens: an informer is content with them, if its
// caller may read them. All else about them is not found, and discovery has none of it.
func TestAbsentKindsAreEmptyForThoseWhoMayReadThem(t *testing.T) {
	t.Parallel()
	server := mustertest.Start(t)
	client := server.Client()

	factory := informers.NewSharedInformerFactory(client, 0)
	claims := factory.Core().V1().PersistentVolumeClaims().Informer()
	factory.Policy().V1().PodDisruptionBudgets().Informer()
	factory.Storage().V1().CSINodes().Informer()
	factory.Resource().V1().ResourceSlices().Informer()
	factory.Start(t.Context().Done())
	t.Cleanup(factory.Shutdown)
	for kind, synced := range factory.WaitForCacheSync(t.Context().Done()) {
		if !synced {
			t.Errorf("an informer of %v waits", kind)
		}
	}
	if found := claims.GetStore().List(); len(found) != 0 {
		t.Errorf("there are claims: %v", found)
	}

	second := int64(1)
	begun := time.Now()
	watch, err := client.StorageV1().StorageClasses().Watch(t.Context(), metav1.ListOptions{TimeoutSeconds: &second})
	if err != nil {
		t.Fatal(err)
	}
	for event := range watch.ResultChan() {
		t.Errorf("a storage class is %v: %v", event.Type, event.Object)
	}
	if lasted := time.Since(begun); lasted < time.Second {
		t.Errorf("a watch for a second ended after %v", lasted)
	}

	volumes := client.CoreV1().PersistentVolumes()
	if _, err := volumes.Get(t.Context(), "one", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("getting one: %v", err)
	}
	if _, err := volumes.Create(t.Context(), &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: "one"}}, metav1.CreateOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("creating one: %v", err)
	}
	_, lists, err := client.Discovery().ServerGroupsAndResources()
	if err != nil {
		t.Fatal(err)
	}
	for _, list := range lists {
		if slices.ContainsFunc(list.APIResources, func(r metav1.APIResource) bool { return strings.HasPrefix(r.Name, "persistentvolume") }) {
			t.Errorf("discovery has %s", list.GroupVersion)
		}
	}

	nobody, err := kubernetes.NewForConfig(server.ServiceAccount("default", "nobody"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := nobody.CoreV1().PersistentVolumeClaims("default").List(t.Context(), metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("an account without roles lists claims: %v", err)
	}
}

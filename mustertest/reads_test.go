// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package mustertest_test

import (
	"regexp"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/muster-identity/muster/mustertest"
)

// storeRequests are the counters of requests to the store for what tokens depend on.
var storeRequests = regexp.MustCompile(`(?m)^etcd_requests_total\{.*resource="(?:serviceaccounts|pods|secrets|nodes|namespaces|tokenrevocations|signingkeys)"\} .*$`)

func requestsToTheStore(t *testing.T, client kubernetes.Interface) string {
	t.Helper()
	all, err := client.CoreV1().RESTClient().Get().AbsPath("/metrics").DoRaw(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(storeRequests.FindAllString(string(all), -1), "\n")
}

// It does not run beside others: the servers of a process count together.
func TestTokensAreIssuedAndCheckedWithoutReadingTheStore(t *testing.T) {
	muster := mustertest.Start(t)
	client := muster.Client()
	muster.ServiceAccount("default", "reporter")
	made := map[string]func(metav1.ObjectMeta) (metav1.Object, error){
		"Node": func(meta metav1.ObjectMeta) (metav1.Object, error) {
			return client.CoreV1().Nodes().Create(t.Context(), &corev1.Node{ObjectMeta: meta}, metav1.CreateOptions{})
		},
		"Secret": func(meta metav1.ObjectMeta) (metav1.Object, error) {
			return client.CoreV1().Secrets("default").Create(t.Context(), &corev1.Secret{ObjectMeta: meta}, metav1.CreateOptions{})
		},
		"Pod": func(meta metav1.ObjectMeta) (metav1.Object, error) {
			return client.CoreV1().Pods("default").Create(t.Context(), &corev1.Pod{ObjectMeta: meta, Spec: corev1.PodSpec{
				ServiceAccountName: "reporter", NodeName: "bound", Containers: []corev1.Container{{Name: "main", Image: "example.com/main"}},
			}}, metav1.CreateOptions{})
		},
	}
	refs := []*authenticationv1.BoundObjectReference{nil}
	for kind, create := range made {
		object, err := create(metav1.ObjectMeta{Name: "bound"})
		if err != nil {
			t.Fatal(err)
		}
		refs = append(refs, &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: kind, Name: "bound", UID: object.GetUID()})
	}
	before := requestsToTheStore(t, client)
	if !strings.Contains(before, `resource="pods"`) {
		t.Fatalf("requests to the store are not counted: %q", before)
	}
	for range 3 {
		for _, ref := range refs {
			request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{BoundObjectRef: ref}}
			issued, err := client.CoreV1().ServiceAccounts("default").CreateToken(t.Context(), "reporter", request, metav1.CreateOptions{})
			if err != nil {
				t.Fatal(err)
			}
			timedReview(t, client, issued.Status.Token)
		}
	}
	if after := requestsToTheStore(t, client); after != before {
		t.Errorf("the store was asked:\n%s\nand before:\n%s", after, before)
	}
}

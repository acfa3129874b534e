// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package node_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// randomPod is one of a few pods, somewhere, with a few of a few references.
func randomPod(r *rand.Rand) *corev1.Pod {
	some := func(kind string) string { return fmt.Sprint(kind, r.IntN(3)) }
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: fmt.Sprint("pod", r.IntN(6))},
		Spec:       corev1.PodSpec{NodeName: []string{"", "n0", "n1", "n2"}[r.IntN(4)], ServiceAccountName: some("account")},
	}
	if r.IntN(5) == 0 {
		pod.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "x"}
	}
	for range r.IntN(3) {
		pod.Spec.ImagePullSecrets = append(pod.Spec.ImagePullSecrets, corev1.LocalObjectReference{Name: some("secret")})
	}
	return pod
}

// naive looks through all pods.
func naive(pods map[string]*corev1.Pod, node, resource, name string) bool {
	for _, pod := range pods {
		_, mirror := pod.Annotations[corev1.MirrorPodAnnotationKey]
		if pod.Spec.NodeName != node || mirror {
			continue
		}
		if resource == "serviceaccounts" && pod.Spec.ServiceAccountName == name {
			return true
		}
		for _, secret := range pod.Spec.ImagePullSecrets {
			if resource == "secrets" && secret.Name == name {
				return true
			}
		}
	}
	return false
}

func TestTheGraphSaysWhatALookThroughAllPodsSays(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	w, pods := newWorld(), map[string]*corev1.Pod{}
	for step := range 400 {
		pod := randomPod(r)
		gone := r.IntN(3) == 0
		w.commit(pod, gone)
		if pods[pod.Name] = pod; gone {
			delete(pods, pod.Name)
		}
		for _, node := range []string{"n0", "n1", "n2"} {
			for i := range 3 {
				for resource, name := range map[string]string{"secrets": fmt.Sprint("secret", i), "serviceaccounts": fmt.Sprint("account", i)} {
					got, _ := w.decide(t, nodeUser(node), ask{"get", "", resource, "", name})
					if want := naive(pods, node, resource, name); got != want {
						t.Fatalf("seed %d, step %d: %s may get %s %s: %v, want %v", seed, step, node, resource, name, got, want)
					}
				}
			}
		}
	}
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"net/http"
	"strings"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// admission is what becomes of pods for the sake of their accounts
// (Kubernetes: plugin/pkg/admission/serviceaccount).
func admission() []test {
	return []test{
		{"a pod has the default account, its token and the root certificate", admittedPod},
		{"containers that mount something of their own there keep it", ownMount},
		{"a pod that wants no token gets none", noAutomount},
		{"an account that wants none for its pods is heard, unless the pod says otherwise", noAutomountOfAccount},
		{"a pod without pull secrets gets those of its account", pullSecrets},
		{"a pod that is not right is turned away", refusedPods},
	}
}

const mountPath = "/var/run/secrets/kubernetes.io/serviceaccount"

// tokenVolume is the volume that admission has added, or nil.
func tokenVolume(pod *corev1.Pod) *corev1.Volume {
	for i := range pod.Spec.Volumes {
		if strings.HasPrefix(pod.Spec.Volumes[i].Name, "kube-api-access-") {
			return &pod.Spec.Volumes[i]
		}
	}
	return nil
}

func admittedPod(e *env) {
	pod := e.pod("p", "", func(pod *corev1.Pod) {
		pod.Spec.InitContainers = []corev1.Container{{Name: "first", Image: "registry.example/init"}}
	})
	if pod.Spec.ServiceAccountName != "default" || pod.Spec.DeprecatedServiceAccount != "default" {
		e.Errorf("the pod has the accounts %q and %q, want default", pod.Spec.ServiceAccountName, pod.Spec.DeprecatedServiceAccount)
	}
	volume := tokenVolume(pod)
	if volume == nil {
		e.Fatal("the pod has no volume with a token")
	}
	want := corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
		DefaultMode: new(int32(0o644)),
		Sources: []corev1.VolumeProjection{
			{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "token", ExpirationSeconds: new(int64(3607))}},
			{ConfigMap: &corev1.ConfigMapProjection{
				LocalObjectReference: corev1.LocalObjectReference{Name: "kube-root-ca.crt"},
				Items:                []corev1.KeyToPath{{Key: "ca.crt", Path: "ca.crt"}},
			}},
			{DownwardAPI: &corev1.DownwardAPIProjection{Items: []corev1.DownwardAPIVolumeFile{{
				Path: "namespace", FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: "metadata.namespace"},
			}}}},
		},
	}}
	if diff := cmp.Diff(want, volume.VolumeSource); diff != "" {
		e.Errorf("volume (-want +got):\n%s", diff)
	}
	mounts := []corev1.VolumeMount{{Name: volume.Name, ReadOnly: true, MountPath: mountPath}}
	for _, container := range append(pod.Spec.InitContainers, pod.Spec.Containers...) {
		if diff := cmp.Diff(mounts, container.VolumeMounts); diff != "" {
			e.Errorf("mounts of %q (-want +got):\n%s", container.Name, diff)
		}
	}
}

func ownMount(e *env) {
	own := func(pod *corev1.Pod) {
		pod.Spec.Volumes = []corev1.Volume{{Name: "own", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}}
		pod.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "own", MountPath: mountPath}}
	}
	if volume := tokenVolume(e.pod("all", "", own)); volume != nil {
		e.Error("a pod whose every container has its own got a volume")
	}
	some := e.pod("some", "", own, func(pod *corev1.Pod) {
		pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{Name: "other", Image: "registry.example/other"})
	})
	volume := tokenVolume(some)
	if volume == nil {
		e.Fatal("a pod with another container got no volume")
	}
	if got := some.Spec.Containers[0].VolumeMounts; len(got) != 1 || got[0].Name != "own" {
		e.Errorf("the container with its own has the mounts %v", got)
	}
	if got := some.Spec.Containers[1].VolumeMounts; len(got) != 1 || got[0].Name != volume.Name {
		e.Errorf("the other container has the mounts %v", got)
	}
}

func noAutomount(e *env) {
	pod := e.pod("p", "", func(pod *corev1.Pod) { pod.Spec.AutomountServiceAccountToken = new(false) })
	if tokenVolume(pod) != nil || len(pod.Spec.Containers[0].VolumeMounts) > 0 {
		e.Error("the pod got a token")
	}
	if pod.Spec.ServiceAccountName != "default" {
		e.Errorf("the pod has the account %q, want default", pod.Spec.ServiceAccountName)
	}
}

func noAutomountOfAccount(e *env) {
	_, err := e.client.CoreV1().ServiceAccounts(e.ns).Create(e.Context(), &corev1.ServiceAccount{
		ObjectMeta: metav1.ObjectMeta{Name: "a"}, AutomountServiceAccountToken: new(false),
	}, metav1.CreateOptions{})
	e.check(err)
	if tokenVolume(e.pod("silent", "a")) != nil {
		e.Error("a pod that says nothing got a token")
	}
	if tokenVolume(e.pod("asking", "a", func(pod *corev1.Pod) { pod.Spec.AutomountServiceAccountToken = new(true) })) == nil {
		e.Error("a pod that asks for a token got none")
	}
}

func pullSecrets(e *env) {
	_, err := e.client.CoreV1().ServiceAccounts(e.ns).Create(e.Context(), &corev1.ServiceAccount{
		ObjectMeta: metav1.ObjectMeta{Name: "a"}, ImagePullSecrets: []corev1.LocalObjectReference{{Name: "one"}, {Name: "two"}},
	}, metav1.CreateOptions{})
	e.check(err)
	inherits := e.pod("inherits", "a")
	if diff := cmp.Diff([]corev1.LocalObjectReference{{Name: "one"}, {Name: "two"}}, inherits.Spec.ImagePullSecrets); diff != "" {
		e.Errorf("pull secrets of a pod without (-want +got):\n%s", diff)
	}
	own := e.pod("own", "a", func(pod *corev1.Pod) { pod.Spec.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "mine"}} })
	if diff := cmp.Diff([]corev1.LocalObjectReference{{Name: "mine"}}, own.Spec.ImagePullSecrets); diff != "" {
		e.Errorf("pull secrets of a pod with its own (-want +got):\n%s", diff)
	}
}

func refusedPods(e *env) {
	_, err := e.client.CoreV1().ServiceAccounts(e.ns).Create(e.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{
		Name: "strict", Annotations: map[string]string{"kubernetes.io/enforce-mountable-secrets": "true"},
	}}, metav1.CreateOptions{})
	e.check(err)
	path := "/api/v1/namespaces/" + e.ns + "/pods"
	post := func(what, account string, change func(*corev1.Pod)) refused {
		return refused{what, request{method: http.MethodPost, path: path, body: simplePod("p", account, change)}}
	}
	volume := func(source corev1.VolumeSource) func(*corev1.Pod) {
		return func(pod *corev1.Pod) { pod.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: source}} }
	}
	token := func(projection corev1.ServiceAccountTokenProjection) func(*corev1.Pod) {
		return volume(corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{{ServiceAccountToken: &projection}}}})
	}
	e.pinRefusals("refusals/pods.txt", []refused{
		post("of a missing account", "none", func(*corev1.Pod) {}),
		post("a mirror pod with an account", "default", func(pod *corev1.Pod) { pod.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "x"} }),
		post("a mirror pod with a secret", "", func(pod *corev1.Pod) {
			pod.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "x"}
			volume(corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "s"}})(pod)
		}),
		post("a secret that the account does not list", "strict", volume(corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "s"}})),
		post("a secret in the environment that the account does not list", "strict", func(pod *corev1.Pod) {
			pod.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "E", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "s"}, Key: "k"}}}}
		}),
		post("an environment from a secret that the account does not list", "strict", func(pod *corev1.Pod) {
			pod.Spec.Containers[0].EnvFrom = []corev1.EnvFromSource{{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "s"}}}}
		}),
		post("a pull secret that the account does not list", "strict", func(pod *corev1.Pod) { pod.Spec.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "s"}} }),
		post("a token for too short", "", token(corev1.ServiceAccountTokenProjection{Path: "t", ExpirationSeconds: new(int64(599))})),
		post("a token for too long", "", token(corev1.ServiceAccountTokenProjection{Path: "t", ExpirationSeconds: new(int64(1<<32 + 1))})),
		post("a token without a path", "", token(corev1.ServiceAccountTokenProjection{})),
		post("a token outside its volume", "", token(corev1.ServiceAccountTokenProjection{Path: "../t"})),
		post("a token at an absolute path", "", token(corev1.ServiceAccountTokenProjection{Path: "/t"})),
		post("no container", "", func(pod *corev1.Pod) { pod.Spec.Containers = nil }),
		post("two containers of one name", "", func(pod *corev1.Pod) { pod.Spec.Containers = append(pod.Spec.Containers, pod.Spec.Containers[0]) }),
		post("no image", "", func(pod *corev1.Pod) { pod.Spec.Containers[0].Image = "" }),
		post("a mount of no volume", "", func(pod *corev1.Pod) {
			pod.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "x", MountPath: "/x"}}
		}),
		post("an unknown restart policy", "", func(pod *corev1.Pod) { pod.Spec.RestartPolicy = "Sometimes" }),
		post("a name that no account can have", "No Such", func(*corev1.Pod) {}),
	})
}

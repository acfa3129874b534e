// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package serviceaccount

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

func TestTheTokenVolumeIsTheOneClientsKnow(t *testing.T) {
	t.Parallel()
	got := admit(t, testPlugin(account("default")), pod())
	text, err := yaml.Marshal(got.Spec)
	if err != nil {
		t.Fatal(err)
	}
	want := `containers:
- name: main
  resources: {}
  volumeMounts:
  - mountPath: /var/run/secrets/kubernetes.io/serviceaccount
    name: kube-api-access-abcde
    readOnly: true
serviceAccount: default
serviceAccountName: default
volumes:
- name: kube-api-access-abcde
  projected:
    defaultMode: 420
    sources:
    - serviceAccountToken:
        expirationSeconds: 3607
        path: token
    - configMap:
        items:
        - key: ca.crt
          path: ca.crt
        name: kube-root-ca.crt
    - downwardAPI:
        items:
        - fieldRef:
            apiVersion: v1
            fieldPath: metadata.namespace
          path: namespace
`
	if diff := cmp.Diff(want, string(text)); diff != "" {
		t.Errorf("difference (-want +got):\n%s", diff)
	}
}

// mounts are the names of the volumes at the usual path, by container.
func mounts(p *corev1.Pod) map[string][]string {
	found := map[string][]string{}
	for _, list := range [][]corev1.Container{p.Spec.InitContainers, p.Spec.Containers} {
		for _, container := range list {
			for _, mount := range container.VolumeMounts {
				if mount.MountPath == "/var/run/secrets/kubernetes.io/serviceaccount" {
					found[container.Name] = append(found[container.Name], mount.Name)
				}
			}
		}
	}
	return found
}

func TestContainersGetTheMountTheyLack(t *testing.T) {
	t.Parallel()
	own := corev1.Container{Name: "own", VolumeMounts: []corev1.VolumeMount{{Name: "mine", MountPath: mountPath}}}
	plain := corev1.Container{Name: "plain", VolumeMounts: []corev1.VolumeMount{{Name: "data", MountPath: "/data"}}}
	initial := corev1.Container{Name: "initial"}
	tests := map[string]struct {
		pod     *corev1.Pod
		want    map[string][]string
		volumes []string
	}{
		"every kind of container": {
			pod(func(p *corev1.Pod) {
				p.Spec.InitContainers = []corev1.Container{*initial.DeepCopy()}
				p.Spec.Containers = []corev1.Container{*own.DeepCopy(), *plain.DeepCopy()}
				p.Spec.EphemeralContainers = []corev1.EphemeralContainer{{}}
			}),
			map[string][]string{"initial": {"kube-api-access-abcde"}, "own": {"mine"}, "plain": {"kube-api-access-abcde"}},
			[]string{"kube-api-access-abcde"},
		},
		"no container that needs it": {
			pod(func(p *corev1.Pod) { p.Spec.Containers = []corev1.Container{*own.DeepCopy()} }),
			map[string][]string{"own": {"mine"}},
			nil,
		},
		"a volume that is there already": {
			pod(func(p *corev1.Pod) {
				p.Spec.Containers = []corev1.Container{*plain.DeepCopy()}
				p.Spec.Volumes = []corev1.Volume{{Name: "data"}, {Name: "kube-api-access-given"}}
			}),
			map[string][]string{"plain": {"kube-api-access-given"}},
			[]string{"data", "kube-api-access-given"},
		},
		"a pod that wants none": {
			pod(func(p *corev1.Pod) { p.Spec.AutomountServiceAccountToken = new(false) }),
			map[string][]string{},
			nil,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := admit(t, testPlugin(account("default")), test.pod)
			if diff := cmp.Diff(test.want, mounts(got)); diff != "" {
				t.Errorf("mounts differ (-want +got):\n%s", diff)
			}
			var volumes []string
			for _, volume := range got.Spec.Volumes {
				volumes = append(volumes, volume.Name)
			}
			if diff := cmp.Diff(test.volumes, volumes); diff != "" {
				t.Errorf("volumes differ (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAdmittingTwiceChangesNothingMore(t *testing.T) {
	t.Parallel()
	plugin := testPlugin(account("default"))
	once := admit(t, plugin, pod())
	twice := admit(t, plugin, once.DeepCopy())
	if diff := cmp.Diff(once, twice); diff != "" {
		t.Errorf("difference (-once +twice):\n%s", diff)
	}
}

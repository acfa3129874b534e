// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package serviceaccount

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

const (
	// volumePrefix begins the name of the token volume. A volume of such a name
	// in the pod is taken for it.
	volumePrefix = "kube-api-access-"
	// mountPath is where client libraries look for their identity.
	mountPath = "/var/run/secrets/kubernetes.io/serviceaccount"
	// tokenSeconds is the life of a mounted token. The odd seven seconds tell
	// the issuer that nobody asked for an hour, so that it may be extended for
	// clients that do not reload it (Kubernetes: WarnOnlyBoundTokenExpirationSeconds).
	tokenSeconds = 3607
)

// mountToken mounts the token volume in every container that has nothing at the
// mount path, and adds the volume if one needed it. Ephemeral containers never
// get it.
func mountToken(pod *corev1.Pod, generateName func(base string) string) {
	name, exists := tokenVolumeName(pod)
	if !exists {
		name = generateName(volumePrefix)
	}
	mount := corev1.VolumeMount{Name: name, ReadOnly: true, MountPath: mountPath}
	needed := mountIn(pod.Spec.InitContainers, mount)
	needed = mountIn(pod.Spec.Containers, mount) || needed
	if needed && !exists {
		pod.Spec.Volumes = append(pod.Spec.Volumes, tokenVolume(name))
	}
}

func tokenVolumeName(pod *corev1.Pod) (string, bool) {
	for i := range pod.Spec.Volumes {
		if strings.HasPrefix(pod.Spec.Volumes[i].Name, volumePrefix) {
			return pod.Spec.Volumes[i].Name, true
		}
	}
	return "", false
}

// mountIn returns whether any of the containers got the mount.
func mountIn(containers []corev1.Container, mount corev1.VolumeMount) bool {
	mounted := false
	for i := range containers {
		taken := slices.ContainsFunc(containers[i].VolumeMounts, func(m corev1.VolumeMount) bool {
			return m.MountPath == mount.MountPath
		})
		if !taken {
			containers[i].VolumeMounts = append(containers[i].VolumeMounts, mount)
			mounted = true
		}
	}
	return mounted
}

// tokenVolume is the volume as it is stored, defaults included: the pod is not
// defaulted again after admission.
func tokenVolume(name string) corev1.Volume {
	return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
		DefaultMode: new(int32(corev1.ProjectedVolumeSourceDefaultMode)),
		Sources: []corev1.VolumeProjection{
			{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{
				Path:              corev1.ServiceAccountTokenKey,
				ExpirationSeconds: new(int64(tokenSeconds)),
			}},
			{ConfigMap: &corev1.ConfigMapProjection{
				LocalObjectReference: corev1.LocalObjectReference{Name: "kube-root-ca.crt"},
				Items:                []corev1.KeyToPath{{Key: corev1.ServiceAccountRootCAKey, Path: corev1.ServiceAccountRootCAKey}},
			}},
			{DownwardAPI: &corev1.DownwardAPIProjection{Items: []corev1.DownwardAPIVolumeFile{{
				Path:     corev1.ServiceAccountNamespaceKey,
				FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: "metadata.namespace"},
			}}}},
		},
	}}}
}

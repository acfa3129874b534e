// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// usesUnserved tells whether a stored spec has fields that dropUnserved would
// drop: it comes from a cluster with other features, and keeps them.
func usesUnserved(spec *corev1.PodSpec) bool {
	without := spec.DeepCopy()
	dropUnserved(without)
	return !equality.Semantic.DeepEqual(without, spec)
}

// dropUnserved drops the fields of features that Kubernetes 1.37 has off by
// default (Kubernetes: pkg/api/pod, DropDisabledPodFields).
func dropUnserved(spec *corev1.PodSpec) {
	spec.SchedulingGroup = nil
	spec.EvictionResponders = nil
	for i := range spec.Volumes {
		dropUnservedOfVolume(&spec.Volumes[i].VolumeSource)
	}
	eachContainer(spec, nil, func(container *corev1.Container, _ *field.Path) {
		dropUnservedOfContainer(container)
	})
}

func dropUnservedOfContainer(container *corev1.Container) {
	for i := range container.VolumeMounts {
		container.VolumeMounts[i].BindMountOptions = nil
	}
	for _, probe := range probesOf(container) {
		if probe.HTTPGet != nil {
			probe.HTTPGet.Protocol = nil
		}
		if probe.GRPC != nil {
			probe.GRPC.Mode = nil
		}
	}
	for _, hook := range hooksOf(container) {
		if hook.HTTPGet != nil {
			hook.HTTPGet.Protocol = nil
		}
	}
	if lifecycle := container.Lifecycle; lifecycle != nil && lifecycle.StopSignal != nil {
		lifecycle.StopSignal = nil
		if *lifecycle == (corev1.Lifecycle{}) {
			container.Lifecycle = nil
		}
	}
}

// dropUnservedOfVolume drops the owners of files and the mode of directories.
func dropUnservedOfVolume(source *corev1.VolumeSource) {
	if source.EmptyDir != nil {
		source.EmptyDir.Mode = nil
	}
	if source.Secret != nil {
		source.Secret.DefaultUser = nil
		dropUsers(source.Secret.Items)
	}
	if source.ConfigMap != nil {
		source.ConfigMap.DefaultUser = nil
		dropUsers(source.ConfigMap.Items)
	}
	if source.DownwardAPI != nil {
		source.DownwardAPI.DefaultUser = nil
		dropFileUsers(source.DownwardAPI.Items)
	}
	if source.Projected != nil {
		source.Projected.DefaultUser = nil
		for i := range source.Projected.Sources {
			dropProjectionUsers(&source.Projected.Sources[i])
		}
	}
}

func dropProjectionUsers(source *corev1.VolumeProjection) {
	if source.Secret != nil {
		dropUsers(source.Secret.Items)
	}
	if source.ConfigMap != nil {
		dropUsers(source.ConfigMap.Items)
	}
	if source.DownwardAPI != nil {
		dropFileUsers(source.DownwardAPI.Items)
	}
	if source.ServiceAccountToken != nil {
		source.ServiceAccountToken.User = nil
	}
	if source.ClusterTrustBundle != nil {
		source.ClusterTrustBundle.User = nil
	}
	if source.PodCertificate != nil {
		source.PodCertificate.User = nil
	}
}

func dropUsers(items []corev1.KeyToPath) {
	for i := range items {
		items[i].User = nil
	}
}

func dropFileUsers(items []corev1.DownwardAPIVolumeFile) {
	for i := range items {
		items[i].User = nil
	}
}

// dropInitAnnotations drops how init containers were described before they had
// a field.
func dropInitAnnotations(annotations map[string]string) {
	for _, stage := range []string{"alpha", "beta"} {
		delete(annotations, "pod."+stage+".kubernetes.io/init-containers")
		delete(annotations, "pod."+stage+".kubernetes.io/init-container-statuses")
	}
}

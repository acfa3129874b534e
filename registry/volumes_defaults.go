// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"time"

	corev1 "k8s.io/api/core/v1"
)

// defaultVolume fills what a client left out of a volume. One without any
// source is an empty directory (Kubernetes: pkg/apis/core/v1,
// SetDefaults_Volume and what is below it).
func defaultVolume(volume *corev1.Volume) {
	source := &volume.VolumeSource
	if *source == (corev1.VolumeSource{}) {
		source.EmptyDir = &corev1.EmptyDirVolumeSource{}
	}
	defaultFileVolume(source)
	defaultDeviceVolume(source)
	if source.HostPath != nil {
		setIfNil(&source.HostPath.Type, corev1.HostPathUnset)
	}
	if source.Image != nil {
		setIfEmpty(&source.Image.PullPolicy, pullPolicy(source.Image.Reference))
	}
	if source.Ephemeral != nil && source.Ephemeral.VolumeClaimTemplate != nil {
		claim := &source.Ephemeral.VolumeClaimTemplate.Spec
		setIfNil(&claim.VolumeMode, corev1.PersistentVolumeFilesystem)
		roundUp(claim.Resources.Limits)
		roundUp(claim.Resources.Requests)
	}
}

// defaultFileVolume is for the volumes of files that the API provides.
func defaultFileVolume(source *corev1.VolumeSource) {
	if source.Secret != nil {
		setIfNil(&source.Secret.DefaultMode, corev1.SecretVolumeSourceDefaultMode)
	}
	if source.ConfigMap != nil {
		setIfNil(&source.ConfigMap.DefaultMode, corev1.ConfigMapVolumeSourceDefaultMode)
	}
	if source.DownwardAPI != nil {
		setIfNil(&source.DownwardAPI.DefaultMode, corev1.DownwardAPIVolumeSourceDefaultMode)
		defaultDownwardFiles(source.DownwardAPI.Items)
	}
	if source.Projected != nil {
		defaultProjected(source.Projected)
	}
}

func defaultProjected(volume *corev1.ProjectedVolumeSource) {
	setIfNil(&volume.DefaultMode, corev1.ProjectedVolumeSourceDefaultMode)
	for _, source := range volume.Sources {
		if source.DownwardAPI != nil {
			defaultDownwardFiles(source.DownwardAPI.Items)
		}
		if source.ServiceAccountToken != nil {
			setIfNil(&source.ServiceAccountToken.ExpirationSeconds, int64(time.Hour/time.Second))
		}
	}
}

func defaultDownwardFiles(files []corev1.DownwardAPIVolumeFile) {
	for _, file := range files {
		defaultFieldRef(file.FieldRef)
	}
}

// defaultDeviceVolume is for the kinds of storage that have defaults of their
// own.
func defaultDeviceVolume(source *corev1.VolumeSource) {
	if iscsi := source.ISCSI; iscsi != nil {
		setIfEmpty(&iscsi.ISCSIInterface, "default")
	}
	if rbd := source.RBD; rbd != nil {
		setIfEmpty(&rbd.RBDPool, "rbd")
		setIfEmpty(&rbd.RadosUser, "admin")
		setIfEmpty(&rbd.Keyring, "/etc/ceph/keyring")
	}
	if disk := source.AzureDisk; disk != nil {
		setIfNil(&disk.CachingMode, corev1.AzureDataDiskCachingReadWrite)
		setIfNil(&disk.FSType, "ext4")
		setIfNil(&disk.ReadOnly, false)
		setIfNil(&disk.Kind, corev1.AzureSharedBlobDisk)
	}
	if io := source.ScaleIO; io != nil {
		setIfEmpty(&io.StorageMode, "ThinProvisioned")
		setIfEmpty(&io.FSType, "xfs")
	}
}

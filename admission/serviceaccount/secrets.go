// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package serviceaccount

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// refersToSecrets tells whether a pod names a secret anywhere.
func refersToSecrets(pod *corev1.Pod) bool {
	return slices.ContainsFunc(secretNames(pod), func(name string) bool { return name != "" })
}

// secretNames are the secrets that a pod names; a place may be left empty.
func secretNames(pod *corev1.Pod) []string {
	var found []string
	for ref := range podReferences(pod) {
		found = append(found, ref.secret)
	}
	for ref := range ephemeralReferences(pod) {
		found = append(found, ref.secret)
	}
	return found
}

// volumeSecrets are the secrets of volumes other than secret volumes: projected
// ones, and the credentials of storage drivers.
func volumeSecrets(source *corev1.VolumeSource) []string {
	if source.Projected != nil {
		return projectedSecrets(source.Projected)
	}
	if source.AzureFile != nil {
		return []string{source.AzureFile.SecretName}
	}
	if ref := driverSecret(source); ref != nil {
		return []string{ref.Name}
	}
	return nil
}

func projectedSecrets(projected *corev1.ProjectedVolumeSource) []string {
	var found []string
	for _, source := range projected.Sources {
		if source.Secret != nil {
			found = append(found, source.Secret.Name)
		}
	}
	return found
}

// driverSecret is the reference by which a storage driver finds its credentials.
func driverSecret(source *corev1.VolumeSource) *corev1.LocalObjectReference {
	switch {
	case source.CephFS != nil:
		return source.CephFS.SecretRef
	case source.Cinder != nil:
		return source.Cinder.SecretRef
	case source.FlexVolume != nil:
		return source.FlexVolume.SecretRef
	case source.RBD != nil:
		return source.RBD.SecretRef
	case source.ScaleIO != nil:
		return source.ScaleIO.SecretRef
	case source.ISCSI != nil:
		return source.ISCSI.SecretRef
	case source.StorageOS != nil:
		return source.StorageOS.SecretRef
	case source.CSI != nil:
		return source.CSI.NodePublishSecretRef
	}
	return nil
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import corev1 "k8s.io/api/core/v1"

// secretsOfPod are the names of all Secrets that a pod uses, in whatever way
// (Kubernetes: pkg/api/v1/pod, VisitPodSecretNames).
func secretsOfPod(spec *corev1.PodSpec) []string {
	var names []string
	for _, ref := range spec.ImagePullSecrets {
		names = append(names, ref.Name)
	}
	for i := range spec.InitContainers {
		names = append(names, secretsOfEnvironment(spec.InitContainers[i].EnvFrom, spec.InitContainers[i].Env)...)
	}
	for i := range spec.Containers {
		names = append(names, secretsOfEnvironment(spec.Containers[i].EnvFrom, spec.Containers[i].Env)...)
	}
	for i := range spec.EphemeralContainers {
		names = append(names, secretsOfEnvironment(spec.EphemeralContainers[i].EnvFrom, spec.EphemeralContainers[i].Env)...)
	}
	for i := range spec.Volumes {
		names = append(names, secretsOfVolume(&spec.Volumes[i].VolumeSource)...)
	}
	return names
}

func secretsOfEnvironment(sources []corev1.EnvFromSource, variables []corev1.EnvVar) []string {
	var names []string
	for _, source := range sources {
		if source.SecretRef != nil {
			names = append(names, source.SecretRef.Name)
		}
	}
	for _, variable := range variables {
		if variable.ValueFrom != nil && variable.ValueFrom.SecretKeyRef != nil {
			names = append(names, variable.ValueFrom.SecretKeyRef.Name)
		}
	}
	return names
}

func secretsOfVolume(v *corev1.VolumeSource) []string {
	var names []string
	local := func(ref *corev1.LocalObjectReference) {
		if ref != nil {
			names = append(names, ref.Name)
		}
	}
	switch {
	case v.Secret != nil:
		names = append(names, v.Secret.SecretName)
	case v.Projected != nil:
		for i := range v.Projected.Sources {
			if secret := v.Projected.Sources[i].Secret; secret != nil {
				names = append(names, secret.Name)
			}
		}
	case v.AzureFile != nil:
		names = append(names, v.AzureFile.SecretName)
	case v.CephFS != nil:
		local(v.CephFS.SecretRef)
	case v.Cinder != nil:
		local(v.Cinder.SecretRef)
	case v.FlexVolume != nil:
		local(v.FlexVolume.SecretRef)
	case v.RBD != nil:
		local(v.RBD.SecretRef)
	case v.ScaleIO != nil:
		local(v.ScaleIO.SecretRef)
	case v.ISCSI != nil:
		local(v.ISCSI.SecretRef)
	case v.StorageOS != nil:
		local(v.StorageOS.SecretRef)
	case v.CSI != nil:
		local(v.CSI.NodePublishSecretRef)
	}
	return names
}

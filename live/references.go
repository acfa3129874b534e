// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package live

import (
	"slices"
	"unique"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/component-helpers/storage/ephemeral"
)

// Reference is something that a pod names.
type Reference struct {
	Kind ReferenceKind
	Name string
}

// ReferenceKind is what a Reference names.
type ReferenceKind uint8

// The objects of its namespace that a pod refers to, and what it wants tokens and
// certificates from.
const (
	SecretReference ReferenceKind = iota
	ConfigMapReference
	// ClaimReference is a PersistentVolumeClaim.
	ClaimReference
	ResourceClaimReference
	// AudienceReference is the audience of a projected token; empty for that of
	// the API.
	AudienceReference
	// SignerReference is the signer of a projected certificate.
	SignerReference
)

// Refers tells whether the pod names something.
func (p *Pod) Refers(kind ReferenceKind, name string) bool {
	return slices.Contains(p.References, Reference{kind, name})
}

// RefersToAny tells whether the pod names anything of a kind.
func (p *Pod) RefersToAny(kind ReferenceKind) bool {
	return slices.ContainsFunc(p.References, func(r Reference) bool { return r.Kind == kind })
}

// ReferencesOf is what a pod names in its containers, volumes and claims
// (Kubernetes: pkg/api/v1/pod/util.go, VisitPodSecretNames and its like; the
// node authorizer's graph).
func ReferencesOf(pod *corev1.Pod) []Reference {
	var r references
	for _, secret := range pod.Spec.ImagePullSecrets {
		r.add(SecretReference, secret.Name)
	}
	r.addContainers(&pod.Spec)
	for i := range pod.Spec.Volumes {
		volume := &pod.Spec.Volumes[i]
		if volume.Ephemeral != nil {
			r.add(ClaimReference, ephemeral.VolumeClaimName(pod, volume))
		}
		r.addVolume(&volume.VolumeSource)
	}
	r.addResourceClaims(pod)
	return slices.Clip(r)
}

// references grows by what is not in it yet.
type references []Reference

func (r *references) add(kind ReferenceKind, name string) {
	// Pods name the same few things over and over: one copy is kept of each.
	ref := Reference{kind, unique.Make(name).Value()}
	if (name != "" || kind == AudienceReference) && !slices.Contains(*r, ref) {
		*r = append(*r, ref)
	}
}

func (r *references) addContainers(spec *corev1.PodSpec) {
	for i := range spec.InitContainers {
		r.addEnvironment(spec.InitContainers[i].EnvFrom, spec.InitContainers[i].Env)
	}
	for i := range spec.Containers {
		r.addEnvironment(spec.Containers[i].EnvFrom, spec.Containers[i].Env)
	}
	for i := range spec.EphemeralContainers {
		r.addEnvironment(spec.EphemeralContainers[i].EnvFrom, spec.EphemeralContainers[i].Env)
	}
}

func (r *references) addEnvironment(from []corev1.EnvFromSource, env []corev1.EnvVar) {
	for _, source := range from {
		if source.SecretRef != nil {
			r.add(SecretReference, source.SecretRef.Name)
		}
		if source.ConfigMapRef != nil {
			r.add(ConfigMapReference, source.ConfigMapRef.Name)
		}
	}
	for _, variable := range env {
		if variable.ValueFrom == nil {
			continue
		}
		if ref := variable.ValueFrom.SecretKeyRef; ref != nil {
			r.add(SecretReference, ref.Name)
		}
		if ref := variable.ValueFrom.ConfigMapKeyRef; ref != nil {
			r.add(ConfigMapReference, ref.Name)
		}
	}
}

func (r *references) addVolume(source *corev1.VolumeSource) {
	switch {
	case source.Secret != nil:
		r.add(SecretReference, source.Secret.SecretName)
	case source.ConfigMap != nil:
		r.add(ConfigMapReference, source.ConfigMap.Name)
	case source.PersistentVolumeClaim != nil:
		r.add(ClaimReference, source.PersistentVolumeClaim.ClaimName)
	case source.Projected != nil:
		for i := range source.Projected.Sources {
			r.addProjection(&source.Projected.Sources[i])
		}
	case source.AzureFile != nil:
		r.add(SecretReference, source.AzureFile.SecretName)
	default:
		r.addDriverSecret(source)
	}
}

func (r *references) addProjection(source *corev1.VolumeProjection) {
	if source.Secret != nil {
		r.add(SecretReference, source.Secret.Name)
	}
	if source.ConfigMap != nil {
		r.add(ConfigMapReference, source.ConfigMap.Name)
	}
	if source.ServiceAccountToken != nil {
		r.add(AudienceReference, source.ServiceAccountToken.Audience)
	}
	if source.PodCertificate != nil {
		r.add(SignerReference, source.PodCertificate.SignerName)
	}
}

// addDriverSecret adds the secret that the driver of a volume gets.
func (r *references) addDriverSecret(source *corev1.VolumeSource) {
	var ref *corev1.LocalObjectReference
	switch {
	case source.CephFS != nil:
		ref = source.CephFS.SecretRef
	case source.Cinder != nil:
		ref = source.Cinder.SecretRef
	case source.CSI != nil:
		ref = source.CSI.NodePublishSecretRef
	case source.FlexVolume != nil:
		ref = source.FlexVolume.SecretRef
	case source.ISCSI != nil:
		ref = source.ISCSI.SecretRef
	case source.RBD != nil:
		ref = source.RBD.SecretRef
	case source.ScaleIO != nil:
		ref = source.ScaleIO.SecretRef
	case source.StorageOS != nil:
		ref = source.StorageOS.SecretRef
	}
	if ref != nil {
		r.add(SecretReference, ref.Name)
	}
}

// addResourceClaims adds the claims that exist for a pod: those that it names,
// and those that were made for it, as its status says.
func (r *references) addResourceClaims(pod *corev1.Pod) {
	for _, claim := range pod.Spec.ResourceClaims {
		if claim.ResourceClaimName != nil {
			r.add(ResourceClaimReference, *claim.ResourceClaimName)
			continue
		}
		for _, made := range pod.Status.ResourceClaimStatuses {
			if made.Name == claim.Name && made.ResourceClaimName != nil {
				r.add(ResourceClaimReference, *made.ResourceClaimName)
			}
		}
	}
	if extended := pod.Status.ExtendedResourceClaimStatus; extended != nil {
		r.add(ResourceClaimReference, extended.ResourceClaimName)
	}
}

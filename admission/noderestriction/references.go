// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package noderestriction

import (
	"fmt"
	"reflect"

	corev1 "k8s.io/api/core/v1"

	"github.com/muster-identity/muster/live"
)

// refersTo names a kind of objects of the API that a pod refers to; empty for none.
// Sources of volumes that it does not know are an error (Kubernetes: pkg/api/pod,
// HasAPIObjectReference).
func refersTo(pod *corev1.Pod) (string, error) {
	if pod.Spec.ServiceAccountName != "" {
		return "serviceaccounts", nil
	}
	references := live.Pod{References: live.ReferencesOf(pod)}
	for _, kind := range []struct {
		reference live.ReferenceKind
		name      string
	}{
		{live.SecretReference, "secrets"},
		{live.ConfigMapReference, "configmaps"},
	} {
		if references.RefersToAny(kind.reference) {
			return kind.name, nil
		}
	}
	if len(pod.Spec.ResourceClaims) > 0 {
		return "resourceclaims", nil
	}
	for i := range pod.Spec.Volumes {
		if name, err := volumeRefersTo(&pod.Spec.Volumes[i]); name != "" || err != nil {
			return name, err
		}
	}
	return "", nil
}

func volumeRefersTo(v *corev1.Volume) (string, error) {
	switch {
	case v.ConfigMap != nil:
		return "configmaps (via configmap volumes)", nil
	case v.Secret != nil:
		return "secrets (via secret volumes)", nil
	case v.CSI != nil:
		return "csidrivers (via CSI volumes)", nil
	case v.Glusterfs != nil:
		return "endpoints (via glusterFS volumes)", nil
	case v.PersistentVolumeClaim != nil:
		return "persistentvolumeclaims", nil
	case v.Ephemeral != nil:
		return "persistentvolumeclaims (via ephemeral volumes)", nil
	case v.AzureFile != nil:
		return "secrets (via azureFile volumes)", nil
	case v.Projected != nil:
		return projectionsReferTo(v)
	case !knownVolume(&v.VolumeSource):
		return "", fmt.Errorf("unknown volume type for volume  %q", v.Name)
	}
	return "", nil
}

// knownVolume tells whether the one source that is set is known to need nothing of
// the API.
func knownVolume(v *corev1.VolumeSource) bool {
	for _, source := range []any{
		v.AWSElasticBlockStore, v.AzureDisk, v.CephFS, v.Cinder, v.DownwardAPI, v.EmptyDir, v.FC, v.FlexVolume, v.Flocker,
		v.GCEPersistentDisk, v.GitRepo, v.HostPath, v.Image, v.ISCSI, v.NFS, v.PhotonPersistentDisk, v.PortworxVolume,
		v.Quobyte, v.RBD, v.ScaleIO, v.StorageOS, v.VsphereVolume,
	} {
		if !reflect.ValueOf(source).IsNil() {
			return true
		}
	}
	return false
}

func projectionsReferTo(v *corev1.Volume) (string, error) {
	for _, source := range v.Projected.Sources {
		switch {
		case source.ConfigMap != nil:
			return "configmaps (via projected volumes)", nil
		case source.Secret != nil:
			return "secrets (via projected volumes)", nil
		case source.ServiceAccountToken != nil:
			return "serviceaccounts (via projected volumes)", nil
		case source.ClusterTrustBundle != nil:
			return "clustertrustbundles", nil
		case source.PodCertificate != nil:
			return "podcertificates", nil
		case source.DownwardAPI == nil:
			return "", fmt.Errorf("unknown source for projected volume %q", v.Name)
		}
	}
	return "", nil
}

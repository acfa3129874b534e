// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package live

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestAPodsReferencesAreFoundWhereverTheyStand(t *testing.T) {
	t.Parallel()
	local := func(name string) corev1.LocalObjectReference { return corev1.LocalObjectReference{Name: name} }
	env := func(n string) ([]corev1.EnvFromSource, []corev1.EnvVar) {
		return []corev1.EnvFromSource{{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: local("s-from-" + n)}}, {ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: local("c-from-" + n)}}},
			[]corev1.EnvVar{
				{Name: "PLAIN", Value: "x"},
				{ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: local("s-env-" + n)}}},
				{ValueFrom: &corev1.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{LocalObjectReference: local("c-env-" + n)}}},
			}
	}
	container := func(n string) corev1.Container {
		from, vars := env(n)
		return corev1.Container{EnvFrom: from, Env: vars}
	}
	from, vars := env("3")
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p"}, Spec: corev1.PodSpec{
		ImagePullSecrets:    []corev1.LocalObjectReference{local("pull"), local("pull"), local("")},
		InitContainers:      []corev1.Container{container("1")},
		Containers:          []corev1.Container{container("2")},
		EphemeralContainers: []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{EnvFrom: from, Env: vars}}},
		ResourceClaims:      []corev1.PodResourceClaim{{Name: "a", ResourceClaimName: new("named")}, {Name: "b", ResourceClaimTemplateName: new("t")}, {Name: "c", ResourceClaimTemplateName: new("t")}},
	}}
	for _, source := range []corev1.VolumeSource{
		{Secret: &corev1.SecretVolumeSource{SecretName: "s-volume"}},
		{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: local("c-volume")}},
		{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "claim"}},
		{AzureFile: &corev1.AzureFileVolumeSource{SecretName: "azure"}},
		{CephFS: &corev1.CephFSVolumeSource{SecretRef: new(local("ceph"))}},
		{Cinder: &corev1.CinderVolumeSource{SecretRef: new(local("cinder"))}},
		{CSI: &corev1.CSIVolumeSource{NodePublishSecretRef: new(local("csi"))}},
		{FlexVolume: &corev1.FlexVolumeSource{SecretRef: new(local("flex"))}},
		{ISCSI: &corev1.ISCSIVolumeSource{SecretRef: new(local("iscsi"))}},
		{RBD: &corev1.RBDVolumeSource{SecretRef: new(local("rbd"))}},
		{ScaleIO: &corev1.ScaleIOVolumeSource{SecretRef: new(local("scale"))}},
		{StorageOS: &corev1.StorageOSVolumeSource{SecretRef: new(local("storageos"))}},
		{EmptyDir: &corev1.EmptyDirVolumeSource{}},
		{Ephemeral: &corev1.EphemeralVolumeSource{}},
		{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
			{Secret: &corev1.SecretProjection{LocalObjectReference: local("s-projected")}},
			{ConfigMap: &corev1.ConfigMapProjection{LocalObjectReference: local("c-projected")}},
			{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{}},
			{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Audience: "vault"}},
			{PodCertificate: &corev1.PodCertificateProjection{SignerName: "example.com/own"}},
		}}},
	} {
		pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: "scratch", VolumeSource: source})
	}
	pod.Status.ResourceClaimStatuses = []corev1.PodResourceClaimStatus{{Name: "b", ResourceClaimName: new("made")}, {Name: "c"}}
	pod.Status.ExtendedResourceClaimStatus = &corev1.PodExtendedResourceClaimStatus{ResourceClaimName: "extended"}

	want := map[ReferenceKind][]string{
		SecretReference: {
			"pull", "s-from-1", "s-env-1", "s-from-2", "s-env-2", "s-from-3", "s-env-3", "s-volume", "azure",
			"ceph", "cinder", "csi", "flex", "iscsi", "rbd", "scale", "storageos", "s-projected",
		},
		ConfigMapReference:     {"c-from-1", "c-env-1", "c-from-2", "c-env-2", "c-from-3", "c-env-3", "c-volume", "c-projected"},
		ClaimReference:         {"claim", "p-scratch"},
		ResourceClaimReference: {"named", "made", "extended"},
		AudienceReference:      {"", "vault"},
		SignerReference:        {"example.com/own"},
	}
	got := map[ReferenceKind][]string{}
	for _, ref := range ReferencesOf(pod) {
		got[ref.Kind] = append(got[ref.Kind], ref.Name)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("references (-want +got):\n%s", diff)
	}
}

func TestWhoFollowsPodsHearsWhatTheyWereAndAre(t *testing.T) {
	t.Parallel()
	view := New(nil, nil)
	var heard []string
	view.FollowPods(func(was, is *Pod) {
		describe := func(p *Pod) string {
			if p == nil {
				return "nothing"
			}
			return p.NodeName
		}
		heard = append(heard, describe(was)+" to "+describe(is))
	})
	at := func(revision int64, node string) *corev1.Pod {
		return &corev1.Pod{ObjectMeta: metaAt(revision, "cart-0"), Spec: corev1.PodSpec{NodeName: node}}
	}
	view.Commit(pods, at(2, "n1"), false)
	view.Commit(pods, at(4, "n2"), false)
	view.Commit(pods, at(3, "late"), false)
	if got := view.NodeOf("shop", "cart-0"); got != "n2" {
		t.Errorf("the pod is on %q", got)
	}
	view.Commit(pods, at(5, "n2"), true)
	view.Commit(pods, at(7, "n3"), false)
	feed := view.feeds[pods]
	feed.list().replace(9) // a list without it
	want := []string{"nothing to n1", "n1 to n2", "n2 to nothing", "nothing to n3", "n3 to nothing"}
	if diff := cmp.Diff(want, heard); diff != "" {
		t.Errorf("heard (-want +got):\n%s", diff)
	}
	if got := view.NodeOf("shop", "cart-0") + view.NodeOf("shop", "never"); got != "" {
		t.Errorf("a pod that is gone is on %q", got)
	}
}

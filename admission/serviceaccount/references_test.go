// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package serviceaccount

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apiserver/pkg/admission"
)

func strict(a *corev1.ServiceAccount) {
	a.Annotations = map[string]string{"kubernetes.io/enforce-mountable-secrets": "true"}
	a.Secrets = []corev1.ObjectReference{{Name: "allowed"}}
	a.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "pull"}}
}

func envOf(secret string) []corev1.EnvVar {
	return []corev1.EnvVar{{Name: "PLAIN", Value: "x"}, {Name: "E", ValueFrom: &corev1.EnvVarSource{
		SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: secret}},
	}}}
}

func envFromOf(secret string) []corev1.EnvFromSource {
	return []corev1.EnvFromSource{
		{ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "c"}}},
		{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: secret}}},
	}
}

func secretVolume(secret string) corev1.Volume {
	return corev1.Volume{Name: "v", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: secret}}}
}

func TestAStrictAccountLimitsTheSecretsOfItsPods(t *testing.T) {
	t.Parallel()
	const tail = " is not allowed because service account default does not reference that "
	tests := map[string]struct {
		change func(p *corev1.Pod, secret string)
		want   string
	}{
		"a volume": {
			func(p *corev1.Pod, secret string) { p.Spec.Volumes = []corev1.Volume{secretVolume(secret)} },
			`volume with secret.secretName="other"` + tail + "secret",
		},
		"a variable": {
			func(p *corev1.Pod, secret string) { p.Spec.Containers[0].Env = envOf(secret) },
			`container main with envVar E referencing secret.secretName="other"` + tail + "secret",
		},
		"all variables": {
			func(p *corev1.Pod, secret string) { p.Spec.Containers[0].EnvFrom = envFromOf(secret) },
			`container main with envFrom referencing secret.secretName="other"` + tail + "secret",
		},
		"a variable of an init container": {
			func(p *corev1.Pod, secret string) {
				p.Spec.InitContainers = []corev1.Container{{Name: "first", Env: envOf(secret)}}
			},
			`init container first with envVar E referencing secret.secretName="other"` + tail + "secret",
		},
		"all variables of an init container": {
			func(p *corev1.Pod, secret string) {
				p.Spec.InitContainers = []corev1.Container{{Name: "first", EnvFrom: envFromOf(secret)}}
			},
			`init container first with envFrom referencing secret.secretName="other"` + tail + "secret",
		},
		"an image pull secret": {
			func(p *corev1.Pod, secret string) {
				if secret == "allowed" {
					secret = "pull"
				}
				p.Spec.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "pull"}, {Name: secret}}
			},
			`imagePullSecrets[1].name="other"` + tail + "imagePullSecret",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			refused := pod(func(p *corev1.Pod) { test.change(p, "other") })
			err := testPlugin(account("default", strict)).Admit(t.Context(), creation(refused.DeepCopy()), nil)
			if want := `pods "p" is forbidden: ` + test.want; err == nil || err.Error() != want {
				t.Errorf("got %v, want %s", err, want)
			}
			admit(t, testPlugin(account("default")), refused)
			admit(t, testPlugin(account("default", strict)), pod(func(p *corev1.Pod) { test.change(p, "allowed") }))
		})
	}
}

func TestAnOpeningMadeAfterAdmissionIsRefusedByValidation(t *testing.T) {
	t.Parallel()
	plugin := testPlugin(account("default", strict))
	changed := admit(t, plugin, pod())
	changed.Spec.Volumes = append(changed.Spec.Volumes, secretVolume("other"))
	if err := plugin.Validate(t.Context(), creation(changed), nil); err == nil {
		t.Error("a secret that a later plugin added was let through")
	}
}

func TestProjectedSecretsAreNotLimited(t *testing.T) {
	t.Parallel()
	admit(t, testPlugin(account("default", strict)), pod(func(p *corev1.Pod) {
		p.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
			Sources: []corev1.VolumeProjection{{Secret: &corev1.SecretProjection{LocalObjectReference: corev1.LocalObjectReference{Name: "other"}}}},
		}}}}
	}))
}

func TestEphemeralContainersAreLimitedWhenTheyAreAdded(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		container corev1.EphemeralContainerCommon
		want      string
	}{
		"an allowed variable": {corev1.EphemeralContainerCommon{Name: "debug", Env: envOf("allowed")}, ""},
		"a variable": {
			corev1.EphemeralContainerCommon{Name: "debug", Env: envOf("other")},
			`pods "p" is forbidden: ephemeral container debug with envVar E referencing secret.secretName="other" is not allowed because service account default does not reference that secret`,
		},
		"all variables": {
			corev1.EphemeralContainerCommon{Name: "debug", EnvFrom: envFromOf("other")},
			`pods "p" is forbidden: ephemeral container debug with envFrom referencing secret.secretName="other" is not allowed because service account default does not reference that secret`,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			changed := pod(func(p *corev1.Pod) {
				p.Spec.ServiceAccountName = "default"
				// What the pod had from the start was checked then.
				p.Spec.Volumes = []corev1.Volume{secretVolume("other")}
				p.Spec.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: test.container}}
			})
			a := attributes(changed, admission.Update, "ephemeralcontainers")
			err := testPlugin(account("default", strict)).Validate(t.Context(), a, nil)
			message := ""
			if err != nil {
				message = err.Error()
			}
			if message != test.want {
				t.Errorf("got %q, want %q", message, test.want)
			}
		})
	}
}

func TestEverySecretOfAPodIsSeen(t *testing.T) {
	t.Parallel()
	ref := &corev1.LocalObjectReference{Name: "s"}
	volumes := map[string]corev1.VolumeSource{
		"secret":    secretVolume("s").VolumeSource,
		"azureFile": {AzureFile: &corev1.AzureFileVolumeSource{SecretName: "s"}},
		"cephFS":    {CephFS: &corev1.CephFSVolumeSource{SecretRef: ref}},
		"cinder":    {Cinder: &corev1.CinderVolumeSource{SecretRef: ref}},
		"flex":      {FlexVolume: &corev1.FlexVolumeSource{SecretRef: ref}},
		"rbd":       {RBD: &corev1.RBDVolumeSource{SecretRef: ref}},
		"scaleIO":   {ScaleIO: &corev1.ScaleIOVolumeSource{SecretRef: ref}},
		"iscsi":     {ISCSI: &corev1.ISCSIVolumeSource{SecretRef: ref}},
		"storageOS": {StorageOS: &corev1.StorageOSVolumeSource{SecretRef: ref}},
		"csi":       {CSI: &corev1.CSIVolumeSource{NodePublishSecretRef: ref}},
		"projected": {Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{{Secret: &corev1.SecretProjection{LocalObjectReference: *ref}}}}},
	}
	for name, source := range volumes {
		if !refersToSecrets(pod(func(p *corev1.Pod) { p.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: source}} })) {
			t.Errorf("the secret of a volume of kind %s is not seen", name)
		}
	}
	if !refersToSecrets(pod(func(p *corev1.Pod) { p.Spec.ImagePullSecrets = []corev1.LocalObjectReference{*ref} })) {
		t.Error("an image pull secret is not seen")
	}
	unnamed := corev1.VolumeSource{CSI: &corev1.CSIVolumeSource{}, RBD: nil}
	if refersToSecrets(pod(func(p *corev1.Pod) { p.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: unnamed}} })) {
		t.Error("a secret is seen where none is named")
	}
}

func TestAStrictServerChecksEveryPlaceThatNamesASecret(t *testing.T) {
	t.Parallel()
	ref := &corev1.LocalObjectReference{Name: "s"}
	volumes := map[string]corev1.VolumeSource{
		"projected": {Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
			{Secret: &corev1.SecretProjection{LocalObjectReference: *ref}},
		}}},
		"azureFile":  {AzureFile: &corev1.AzureFileVolumeSource{SecretName: "s"}},
		"cephfs":     {CephFS: &corev1.CephFSVolumeSource{SecretRef: ref}},
		"cinder":     {Cinder: &corev1.CinderVolumeSource{SecretRef: ref}},
		"flexVolume": {FlexVolume: &corev1.FlexVolumeSource{SecretRef: ref}},
		"iscsi":      {ISCSI: &corev1.ISCSIVolumeSource{SecretRef: ref}},
		"rbd":        {RBD: &corev1.RBDVolumeSource{SecretRef: ref}},
		"scaleIO":    {ScaleIO: &corev1.ScaleIOVolumeSource{SecretRef: ref}},
		"storageos":  {StorageOS: &corev1.StorageOSVolumeSource{SecretRef: ref}},
		"csi":        {CSI: &corev1.CSIVolumeSource{NodePublishSecretRef: ref}},
	}
	changes := map[string]func(*corev1.Pod){}
	for name, source := range volumes {
		changes[`volume `+name+` referencing secret.secretName="s"`] = func(p *corev1.Pod) {
			p.Spec.Volumes = []corev1.Volume{{Name: name, VolumeSource: source}}
		}
	}
	// The account's own list of image pull secrets does not help.
	changes[`imagePullSecrets[0].name="s"`] = func(p *corev1.Pod) { p.Spec.ImagePullSecrets = []corev1.LocalObjectReference{*ref} }
	for what, change := range changes {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			enforcing := account("default", func(a *corev1.ServiceAccount) {
				a.Annotations = map[string]string{"kubernetes.io/enforce-mountable-secrets": "true"}
				a.ImagePullSecrets = []corev1.LocalObjectReference{*ref}
			})
			admit(t, testPlugin(enforcing), pod(change)) // as in Kubernetes
			strict := testPlugin(enforcing)
			strict.Strict = true
			want := `pods "p" is forbidden: ` + what + ` is not allowed because service account default does not reference that secret`
			if err := strict.Validate(t.Context(), creation(pod(change, func(p *corev1.Pod) { p.Spec.ServiceAccountName = "default" })), nil); err == nil || err.Error() != want {
				t.Errorf("got %v, want %s", err, want)
			}
			enforcing.Secrets = []corev1.ObjectReference{{Name: "s"}}
			admit(t, strict, pod(change))
		})
	}
}

func TestAnAnnotationThatIsNoBooleanIsTrueToAStrictServer(t *testing.T) {
	t.Parallel()
	odd := account("a", func(a *corev1.ServiceAccount) {
		a.Annotations = map[string]string{"kubernetes.io/enforce-mountable-secrets": "yes"}
	})
	if enforcesMountableSecrets(odd, false) || !enforcesMountableSecrets(odd, true) || enforcesMountableSecrets(account("a"), true) {
		t.Error("want no as in Kubernetes, yes if strict, and no for an account that does not say")
	}
}

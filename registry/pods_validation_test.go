// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"
)

// podExpect compares errors with their texts; "" wants none. A text that ends in
// "…" is only a beginning.
func podExpect(t *testing.T, name string, errs field.ErrorList, want ...string) {
	t.Helper()
	var got []string
	for _, err := range errs {
		got = append(got, err.Error())
	}
	ok := len(got) == len(want)
	for i := 0; ok && i < len(got); i++ {
		beginning, open := strings.CutSuffix(want[i], "…")
		ok = got[i] == want[i] || open && strings.HasPrefix(got[i], beginning)
	}
	if !ok {
		t.Errorf("%s:\n got %q\nwant %q", name, got, want)
	}
}

func podMain(change func(container *corev1.Container)) func(pod *corev1.Pod) {
	return func(pod *corev1.Pod) { change(&pod.Spec.Containers[0]) }
}

func podProjecting(sources ...corev1.VolumeProjection) func(pod *corev1.Pod) {
	return func(pod *corev1.Pod) {
		pod.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: sources}}}}
	}
}

func TestAPodThatMisleadsIsRefused(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(pod *corev1.Pod)
		want   []string
	}{
		"a plain pod":     {change: func(*corev1.Pod) {}},
		"no containers":   {func(pod *corev1.Pod) { pod.Spec.Containers = nil }, []string{"spec.containers: Required value"}},
		"no image":        {podMain(func(c *corev1.Container) { c.Image = "" }), []string{"spec.containers[0].image: Required value"}},
		"image in spaces": {podMain(func(c *corev1.Container) { c.Image = " app" }), []string{`spec.containers[0].image: Invalid value: " app": must not have leading or trailing whitespace`}},
		"account name": {func(pod *corev1.Pod) { pod.Spec.ServiceAccountName = "Bad_Name" }, []string{
			`spec.serviceAccountName: Invalid value: "Bad_Name": a lowercase RFC 1123 subdomain…`,
		}},
		"same name twice": {func(pod *corev1.Pod) {
			pod.Spec.InitContainers = []corev1.Container{{Name: "main", Image: "i"}}
		}, []string{`spec.initContainers[0].name: Duplicate value: "main"`}},
		"mount of nothing": {podMain(func(c *corev1.Container) {
			c.VolumeMounts = []corev1.VolumeMount{{Name: "v", MountPath: "/x"}}
		}), []string{`spec.containers[0].volumeMounts[0].name: Not found: "v"`}},
		"two mounts at a path": {func(pod *corev1.Pod) {
			pod.Spec.Volumes = []corev1.Volume{{Name: "v"}}
			pod.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "v", MountPath: "/x"}, {Name: "v", MountPath: "/x"}}
		}, []string{`spec.containers[0].volumeMounts[1].mountPath: Invalid value: "/x": must be unique`}},
		"volume twice": {func(pod *corev1.Pod) {
			pod.Spec.Volumes = []corev1.Volume{{Name: "v"}, {Name: "v"}}
		}, []string{`spec.volumes[1].name: Duplicate value: "v"`}},
		"two sources": {func(pod *corev1.Pod) {
			pod.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}, Secret: &corev1.SecretVolumeSource{SecretName: "s"}}}}
		}, []string{"spec.volumes[0].secret: Forbidden: may not specify more than 1 volume type"}},
		"policies": {func(pod *corev1.Pod) {
			pod.Spec.RestartPolicy, pod.Spec.DNSPolicy = "Sometimes", "Maybe"
		}, []string{
			`spec.restartPolicy: Unsupported value: "Sometimes": supported values: "Always", "OnFailure", "Never"`,
			`spec.dnsPolicy: Unsupported value: "Maybe": supported values: "ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"`,
		}},
		"value and source": {podMain(func(c *corev1.Container) {
			c.Env = []corev1.EnvVar{{Name: "E", Value: "v", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "s"}, Key: "k"}}}}
		}), []string{"spec.containers[0].env[0].valueFrom: Invalid value: \"\": may not be specified when `value` is not empty"}},
		"unknown field": {podMain(func(c *corev1.Container) {
			c.Env = []corev1.EnvVar{{Name: "E", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "spec.secret"}}}}
		}), []string{`spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: Invalid value: "spec.secret": error converting fieldPath: field label not supported: spec.secret`}},
		"more than the limit": {podMain(func(c *corev1.Container) {
			c.Resources = corev1.ResourceRequirements{Limits: corev1.ResourceList{"cpu": resource.MustParse("1")}, Requests: corev1.ResourceList{"cpu": resource.MustParse("2")}}
		}), []string{`spec.containers[0].resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1`}},
		"less than nothing": {podMain(func(c *corev1.Container) {
			c.Resources.Limits = corev1.ResourceList{"memory": resource.MustParse("-1")}
		}), []string{
			`spec.containers[0].resources.limits[memory]: Invalid value: "-1": must be greater than or equal to 0`,
			`spec.containers[0].resources.requests[memory]: Invalid value: "-1": must be greater than or equal to 0`,
		}},
		"port out of range": {podMain(func(c *corev1.Container) {
			c.Ports = []corev1.ContainerPort{{ContainerPort: 70000}}
		}), []string{"spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive"}},
		"hostname":   {func(pod *corev1.Pod) { pod.Spec.Hostname = "a.b" }, []string{`spec.hostname: Invalid value: "a.b"…`}},
		"node name":  {func(pod *corev1.Pod) { pod.Spec.NodeName = "A" }, []string{`spec.nodeName: Invalid value: "A"…`}},
		"a deadline": {func(pod *corev1.Pod) { pod.Spec.ActiveDeadlineSeconds = ptr.To[int64](0) }, []string{"spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive"}},
		"a mirror nowhere": {func(pod *corev1.Pod) {
			pod.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "x"}
		}, []string{`metadata.annotations[kubernetes.io/config.mirror]: Invalid value: "x": must set spec.nodeName if mirror pod annotation is set`}},
		"init container with a probe": {func(pod *corev1.Pod) {
			pod.Spec.InitContainers = []corev1.Container{{Name: "i", Image: "i", LivenessProbe: &corev1.Probe{}}}
		}, []string{"spec.initContainers[0].livenessProbe: Forbidden: may not be set for init containers without restartPolicy=Always"}},
		"affinity without a key": {func(pod *corev1.Pod) {
			pod.Spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{{}}}}
		}, []string{
			"spec.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].topologyKey: Required value: can not be empty",
			"spec.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].topologyKey: Invalid value: \"\"…",
			"spec.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].topologyKey: Invalid value: \"\"…",
		}},
	} {
		podExpect(t, name, validatePod(podMinimal(test.change)), test.want...)
	}
}

func TestProjectedVolumesAreCheckedAsInKubernetes(t *testing.T) {
	t.Parallel()
	token := func(path string, seconds int64) corev1.VolumeProjection {
		return corev1.VolumeProjection{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: path, ExpirationSeconds: &seconds}}
	}
	bundle := func(change func(bundle *corev1.ClusterTrustBundleProjection)) corev1.VolumeProjection {
		made := &corev1.ClusterTrustBundleProjection{Path: "roots"}
		change(made)
		return corev1.VolumeProjection{ClusterTrustBundle: made}
	}
	certificate := func(change func(certificate *corev1.PodCertificateProjection)) corev1.VolumeProjection {
		made := &corev1.PodCertificateProjection{SignerName: "example.com/spiffe", KeyType: "ED25519", KeyPath: "key"}
		change(made)
		return corev1.VolumeProjection{PodCertificate: made}
	}
	secret := func(path string) corev1.VolumeProjection {
		return corev1.VolumeProjection{Secret: &corev1.SecretProjection{
			LocalObjectReference: corev1.LocalObjectReference{Name: "s"}, Items: []corev1.KeyToPath{{Key: "k", Path: path}},
		}}
	}
	const volume = "spec.volumes[0].projected"
	for name, test := range map[string]struct {
		sources []corev1.VolumeProjection
		want    []string
	}{
		"a token":          {sources: []corev1.VolumeProjection{token("token", 600)}},
		"a long token":     {sources: []corev1.VolumeProjection{token("token", 1<<32)}},
		"too short":        {[]corev1.VolumeProjection{token("token", 599)}, []string{volume + ".sources[0].serviceAccountToken.expirationSeconds: Invalid value: 599: may not specify a duration less than 10 minutes"}},
		"too long":         {[]corev1.VolumeProjection{token("token", 1<<32+1)}, []string{volume + ".sources[0].serviceAccountToken.expirationSeconds: Invalid value: 4294967297: may not specify a duration larger than 2^32 seconds"}},
		"no path":          {[]corev1.VolumeProjection{token("", 600)}, []string{volume + ".path: Required value"}},
		"absolute path":    {[]corev1.VolumeProjection{token("/token", 600)}, []string{volume + `.path: Invalid value: "/token": must be a relative path`}},
		"path out of it":   {[]corev1.VolumeProjection{token("a/../../b", 600)}, []string{volume + `.path: Invalid value: "a/../../b": must not contain '..'`}},
		"reserved path":    {[]corev1.VolumeProjection{token("..data", 600)}, []string{volume + `.path: Invalid value: "..data": must not start with '..'`}},
		"conflict":         {[]corev1.VolumeProjection{secret("a"), secret("a")}, []string{volume + `: Invalid value: "s": conflicting duplicate paths`}},
		"token over other": {sources: []corev1.VolumeProjection{secret("token"), token("token", 600)}},
		"two kinds": {[]corev1.VolumeProjection{{Secret: secret("a").Secret, ServiceAccountToken: token("b", 600).ServiceAccountToken}}, []string{
			volume + ".sources[0]: Forbidden: may not specify more than 1 volume type per source",
		}},
		"mode": {[]corev1.VolumeProjection{{ConfigMap: &corev1.ConfigMapProjection{
			LocalObjectReference: corev1.LocalObjectReference{Name: "c"}, Items: []corev1.KeyToPath{{Key: "k", Path: "p", Mode: ptr.To[int32](0o1000)}},
		}}}, []string{volume + ".sources[0].configMap.items[0].mode: Invalid value: 512: must be a number between 0 and 0777 (octal), both inclusive"}},
		"downward label": {sources: []corev1.VolumeProjection{{DownwardAPI: &corev1.DownwardAPIProjection{Items: []corev1.DownwardAPIVolumeFile{
			{Path: "l", FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.labels['a/b']"}},
		}}}}},
		"downward of the node": {[]corev1.VolumeProjection{{DownwardAPI: &corev1.DownwardAPIProjection{Items: []corev1.DownwardAPIVolumeFile{
			{Path: "n", FieldRef: &corev1.ObjectFieldSelector{FieldPath: "spec.nodeName"}},
		}}}}, []string{volume + `.sources[0].downwardAPI.fieldRef.fieldPath: Unsupported value: "spec.nodeName": supported values: "metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"`}},
		"bundle of a name":   {sources: []corev1.VolumeProjection{bundle(func(b *corev1.ClusterTrustBundleProjection) { b.Name = ptr.To("example.com:s:roots") })}},
		"bundle of a signer": {sources: []corev1.VolumeProjection{bundle(func(b *corev1.ClusterTrustBundleProjection) { b.SignerName = ptr.To("example.com/s") })}},
		"bundle of nothing":  {[]corev1.VolumeProjection{bundle(func(*corev1.ClusterTrustBundleProjection) {})}, []string{volume + ".sources[0].clusterTrustBundle: Required value: either name or signerName must be specified"}},
		"bundle of both": {[]corev1.VolumeProjection{bundle(func(b *corev1.ClusterTrustBundleProjection) {
			b.Name, b.SignerName = ptr.To("n"), ptr.To("example.com/s")
		})}, []string{volume + ".sources[0].clusterTrustBundle: Invalid value: {…"}},
		"bundle of a name by labels": {[]corev1.VolumeProjection{bundle(func(b *corev1.ClusterTrustBundleProjection) {
			b.Name, b.LabelSelector = ptr.To("n"), &metav1.LabelSelector{}
		})}, []string{volume + ".sources[0].clusterTrustBundle.labelSelector: Invalid value: {}: labelSelector must be unset if name is specified"}},
		"a certificate": {sources: []corev1.VolumeProjection{certificate(func(*corev1.PodCertificateProjection) {})}},
		"key type": {[]corev1.VolumeProjection{certificate(func(c *corev1.PodCertificateProjection) { c.KeyType = "RSA1024" })}, []string{
			volume + `.sources[0].podCertificate.keyType: Unsupported value: "RSA1024": supported values: "RSA3072", "RSA4096", "ECDSAP256", "ECDSAP384", "ECDSAP521", "ED25519"`,
		}},
		"signer": {[]corev1.VolumeProjection{certificate(func(c *corev1.PodCertificateProjection) { c.SignerName = "spiffe" })}, []string{
			volume + `.sources[0].podCertificate.signerName: Invalid value: "spiffe": must be a fully qualified domain and path of the form 'example.com/signer-name'`,
		}},
		"short certificate": {[]corev1.VolumeProjection{certificate(func(c *corev1.PodCertificateProjection) { c.MaxExpirationSeconds = ptr.To[int32](3599) })}, []string{
			volume + ".sources[0].podCertificate.maxExpirationSeconds: Invalid value: 3599: if provided, maxExpirationSeconds must be >= 3600",
		}},
		"long certificate": {[]corev1.VolumeProjection{certificate(func(c *corev1.PodCertificateProjection) { c.MaxExpirationSeconds = ptr.To[int32](7862401) })}, []string{
			volume + ".sources[0].podCertificate.maxExpirationSeconds: Invalid value: 7862401: if provided, maxExpirationSeconds must be <= 7862400",
		}},
		"long certificate of Kubernetes": {[]corev1.VolumeProjection{certificate(func(c *corev1.PodCertificateProjection) {
			c.SignerName, c.MaxExpirationSeconds = "kubernetes.io/kube-apiserver-client-pod", ptr.To[int32](86401)
		})}, []string{volume + ".sources[0].podCertificate.maxExpirationSeconds: Invalid value: 86401: if provided, maxExpirationSeconds must be <= 86400"}},
		"certificate without a file": {[]corev1.VolumeProjection{certificate(func(c *corev1.PodCertificateProjection) { c.KeyPath = "" })}, []string{
			volume + ".sources[0].podCertificate: Required value: specify at least one of credentialBundlePath, keyPath, and certificateChainPath",
		}},
		"key over its certificate": {[]corev1.VolumeProjection{certificate(func(c *corev1.PodCertificateProjection) { c.CertificateChainPath = "key" })}, []string{
			volume + `: Invalid value: "key": conflicting duplicate paths`,
		}},
	} {
		podExpect(t, name, validatePod(podMinimal(podProjecting(test.sources...))), test.want...)
	}
}

func TestAPodWithoutAnAccountHasNoTokens(t *testing.T) {
	t.Parallel()
	pod := podMinimal(podProjecting(corev1.VolumeProjection{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "token"}}))
	pod.Spec.ServiceAccountName, pod.Spec.DeprecatedServiceAccount = "", ""
	podExpect(t, "token", validatePod(pod), "spec.volumes[0].projected.sources[0].serviceAccountToken: Forbidden: must not be specified when serviceAccountName is not set")
}

func TestTheSpecOfAPodStaysButForAFewFields(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		before, change func(pod *corev1.Pod)
		want           []string
	}{
		"image":             {change: podMain(func(c *corev1.Container) { c.Image = "other" })},
		"labels":            {change: func(pod *corev1.Pod) { pod.Labels = map[string]string{"a": "b"} }},
		"a nearer deadline": {func(pod *corev1.Pod) { pod.Spec.ActiveDeadlineSeconds = ptr.To[int64](9) }, func(pod *corev1.Pod) { pod.Spec.ActiveDeadlineSeconds = ptr.To[int64](8) }, nil},
		"a later deadline":  {func(pod *corev1.Pod) { pod.Spec.ActiveDeadlineSeconds = ptr.To[int64](9) }, func(pod *corev1.Pod) { pod.Spec.ActiveDeadlineSeconds = ptr.To[int64](10) }, []string{"spec.activeDeadlineSeconds: Invalid value: 10: must be less than or equal to previous value"}},
		"one more toleration": {change: func(pod *corev1.Pod) {
			pod.Spec.Tolerations = []corev1.Toleration{{Operator: corev1.TolerationOpExists}}
		}},
		"one toleration less": {func(pod *corev1.Pod) {
			pod.Spec.Tolerations = []corev1.Toleration{{Operator: corev1.TolerationOpExists}}
		}, func(pod *corev1.Pod) { pod.Spec.Tolerations = nil }, []string{"spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds"}},
		"the account": {change: func(pod *corev1.Pod) {
			pod.Spec.ServiceAccountName, pod.Spec.DeprecatedServiceAccount = "other", "other"
		}, want: []string{"spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)\n…"}},
		"the node":           {change: func(pod *corev1.Pod) { pod.Spec.NodeName = "n" }, want: []string{"spec: Forbidden: pod updates may not change fields other than …"}},
		"one more container": {change: func(pod *corev1.Pod) { pod.Spec.Containers = append(pod.Spec.Containers, pod.Spec.Containers[0]) }, want: []string{"spec.containers: Forbidden: pod updates may not add or remove containers"}},
		"a gate opened":      {func(pod *corev1.Pod) { pod.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "g"}} }, func(pod *corev1.Pod) { pod.Spec.SchedulingGates = nil }, nil},
		"a gate closed":      {change: func(pod *corev1.Pod) { pod.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "g"}} }, want: []string{"spec.schedulingGates[0].name: Forbidden: only deletion is allowed, but found new scheduling gate 'g'"}},
		"nodes of a gated pod narrowed": {func(pod *corev1.Pod) { pod.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "g"}} }, func(pod *corev1.Pod) {
			pod.Spec.NodeSelector = map[string]string{"a": "b"}
			pod.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{}}
		}, nil},
		"a mirror by update": {change: func(pod *corev1.Pod) { pod.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "x"} }, want: []string{"metadata.annotations[kubernetes.io/config.mirror]: Forbidden: may not add mirror pod annotation"}},
	} {
		var before []func(*corev1.Pod)
		if test.before != nil {
			before = append(before, test.before)
		}
		old := podMinimal(before...)
		pod := old.DeepCopy()
		test.change(pod)
		podExpect(t, name, validatePodUpdate(pod, old), test.want...)
	}
}

func TestEphemeralContainersAreOnlyAdded(t *testing.T) {
	t.Parallel()
	debug := func(name string, change func(container *corev1.EphemeralContainer)) corev1.EphemeralContainer {
		container := corev1.EphemeralContainer{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: name, Image: "tools"}}
		change(&container)
		return container
	}
	plain := func(*corev1.EphemeralContainer) {}
	for name, test := range map[string]struct {
		before, after []corev1.EphemeralContainer
		want          []string
	}{
		"one more":   {after: []corev1.EphemeralContainer{debug("d", plain)}},
		"one less":   {before: []corev1.EphemeralContainer{debug("d", plain)}, want: []string{"spec.ephemeralContainers: Forbidden: existing ephemeral containers \"d\" may not be removed\n"}},
		"other name": {after: []corev1.EphemeralContainer{debug("main", plain)}, want: []string{`spec.ephemeralContainers[0].name: Duplicate value: "main"`}},
		"changed": {
			before: []corev1.EphemeralContainer{debug("d", plain)},
			after:  []corev1.EphemeralContainer{debug("d", func(c *corev1.EphemeralContainer) { c.Image = "other" })},
			want:   []string{"spec.ephemeralContainers: Forbidden: existing ephemeral containers \"d\" may not be changed\n…"},
		},
		"with a port": {
			after: []corev1.EphemeralContainer{debug("d", func(c *corev1.EphemeralContainer) { c.Ports = []corev1.ContainerPort{{ContainerPort: 1}} })},
			want:  []string{"spec.ephemeralContainers[0].ports: Forbidden: cannot be set for an Ephemeral Container"},
		},
		"beside nothing": {
			after: []corev1.EphemeralContainer{debug("d", func(c *corev1.EphemeralContainer) { c.TargetContainerName = "x" })},
			want:  []string{`spec.ephemeralContainers[0].targetContainerName: Not found: "x"`},
		},
	} {
		old := podMinimal(func(pod *corev1.Pod) { pod.Spec.EphemeralContainers = test.before })
		pod := podMinimal(func(pod *corev1.Pod) { pod.Spec.EphemeralContainers = test.after })
		podExpect(t, name, validateEphemeralUpdate(pod, old), test.want...)
	}
	podExpect(t, "at creation", validateNewPod(podMinimal(func(pod *corev1.Pod) {
		pod.Spec.EphemeralContainers = []corev1.EphemeralContainer{debug("d", plain)}
	})), "spec.ephemeralContainers: Forbidden: cannot be set on create")
}

func TestANodeReportsTheStatusAndNothingElse(t *testing.T) {
	t.Parallel()
	old := podMinimal(func(pod *corev1.Pod) {
		pod.Spec.RestartPolicy = corev1.RestartPolicyOnFailure
		pod.Status = corev1.PodStatus{QOSClass: corev1.PodQOSBestEffort, ContainerStatuses: []corev1.ContainerStatus{
			{Name: "main", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 0}}},
		}}
		pod.OwnerReferences = []metav1.OwnerReference{{Name: "o"}}
	})
	report := old.DeepCopy()
	report.Spec.NodeName, report.OwnerReferences = "elsewhere", nil
	report.Status.QOSClass = ""
	preparePodStatus(t.Context(), report, old)
	if report.Spec.NodeName != "" || len(report.OwnerReferences) != 1 || report.Status.QOSClass != corev1.PodQOSBestEffort {
		t.Errorf("the report changed node %q, owners %v, class %q", report.Spec.NodeName, report.OwnerReferences, report.Status.QOSClass)
	}
	podExpect(t, "same", validatePodStatus(report, old))

	report.Status.QOSClass = corev1.PodQOSGuaranteed
	podExpect(t, "class", validatePodStatus(report, old), `status.qosClass: Invalid value: "Guaranteed": field is immutable`)

	report.Status.QOSClass = corev1.PodQOSBestEffort
	report.Status.ContainerStatuses[0].State = corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
	podExpect(t, "resurrection", validatePodStatus(report, old), "status.containerStatuses[0].state: Forbidden: may not be transitioned to non-terminated state")
	old.Status.ContainerStatuses[0].State.Terminated.ExitCode = 1
	podExpect(t, "restart after a failure", validatePodStatus(report, old))

	report.Status.PodIP, report.Status.PodIPs = "10.0.0.1", []corev1.PodIP{{IP: "10.0.0.1"}, {IP: "10.0.0.2"}}
	podExpect(t, "addresses", validatePodStatus(report, old), `status.podIPs: Invalid value: ["10.0.0.1","10.0.0.2"]: may specify no more than one IP for each IP family`)
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
)

// podMinimal is what a client has to write, with the defaults of the server.
func podMinimal(change ...func(pod *corev1.Pod)) *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "dev", UID: "u", ResourceVersion: "1"},
		Spec: corev1.PodSpec{
			ServiceAccountName: "builder",
			Containers:         []corev1.Container{{Name: "main", Image: "registry.example/app"}},
		},
	}
	for _, apply := range change {
		apply(pod)
	}
	defaultPod(pod)
	return pod
}

func TestAPodGetsTheDefaultsOfKubernetes(t *testing.T) {
	t.Parallel()
	pod := podMinimal(func(pod *corev1.Pod) {
		pod.Spec.ServiceAccountName, pod.Spec.DeprecatedServiceAccount = "", "old"
		pod.Spec.HostNetwork = true
		pod.Spec.TerminationGracePeriodSeconds = ptr.To[int64](-5)
		container := &pod.Spec.Containers[0]
		container.Ports = []corev1.ContainerPort{{ContainerPort: 80}}
		container.Resources.Limits = corev1.ResourceList{"cpu": resource.MustParse("1500u")}
		container.Env = []corev1.EnvVar{{Name: "N", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.name"}}}}
		container.LivenessProbe = &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Port: intstr.FromInt32(80)}}}
		pod.Spec.Volumes = []corev1.Volume{
			{Name: "empty"},
			{Name: "token", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
				{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "token"}},
			}}}},
			{Name: "secret", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "s"}}},
		}
		pod.Status.PodIP = "10.0.0.7"
	})
	want := corev1.PodSpec{
		ServiceAccountName: "old", DeprecatedServiceAccount: "old",
		HostNetwork:                   true,
		TerminationGracePeriodSeconds: ptr.To[int64](1),
		EnableServiceLinks:            ptr.To(true),
		RestartPolicy:                 corev1.RestartPolicyAlways,
		DNSPolicy:                     corev1.DNSClusterFirst,
		SchedulerName:                 "default-scheduler",
		SecurityContext:               &corev1.PodSecurityContext{},
		Containers: []corev1.Container{{
			Name: "main", Image: "registry.example/app", ImagePullPolicy: corev1.PullAlways,
			TerminationMessagePath: "/dev/termination-log", TerminationMessagePolicy: corev1.TerminationMessageReadFile,
			Ports: []corev1.ContainerPort{{ContainerPort: 80, HostPort: 80, Protocol: corev1.ProtocolTCP}},
			Resources: corev1.ResourceRequirements{
				Limits:   corev1.ResourceList{"cpu": resource.MustParse("2m")},
				Requests: corev1.ResourceList{"cpu": resource.MustParse("2m")},
			},
			Env: []corev1.EnvVar{{Name: "N", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: "metadata.name"}}}},
			LivenessProbe: &corev1.Probe{
				ProbeHandler:   corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Port: intstr.FromInt32(80), Path: "/", Scheme: corev1.URISchemeHTTP}},
				TimeoutSeconds: 1, PeriodSeconds: 10, SuccessThreshold: 1, FailureThreshold: 3,
			},
		}},
		Volumes: []corev1.Volume{
			{Name: "empty", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
			{Name: "token", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{DefaultMode: ptr.To[int32](420), Sources: []corev1.VolumeProjection{
				{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "token", ExpirationSeconds: ptr.To[int64](3600)}},
			}}}},
			{Name: "secret", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "s", DefaultMode: ptr.To[int32](420)}}},
		},
	}
	if diff := cmp.Diff(want, pod.Spec); diff != "" {
		t.Errorf("spec (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]corev1.PodIP{{IP: "10.0.0.7"}}, pod.Status.PodIPs); diff != "" {
		t.Errorf("status.podIPs (-want +got):\n%s", diff)
	}
}

func TestTheTwoNamesOfAServiceAccountAreOne(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, deprecated, want string }{
		{"a", "", "a"}, {"", "b", "b"}, {"a", "b", "a"}, {"", "", ""},
	} {
		spec := corev1.PodSpec{ServiceAccountName: test.name, DeprecatedServiceAccount: test.deprecated}
		defaultPodSpec(&spec)
		if spec.ServiceAccountName != test.want || spec.DeprecatedServiceAccount != test.want {
			t.Errorf("%q and %q became %q and %q, want %q", test.name, test.deprecated, spec.ServiceAccountName, spec.DeprecatedServiceAccount, test.want)
		}
	}
}

func TestOnlyTheLatestImageIsAlwaysPulled(t *testing.T) {
	t.Parallel()
	digest := "@sha256:0123456789012345678901234567890123456789012345678901234567890123"
	for image, want := range map[string]corev1.PullPolicy{
		"app": corev1.PullAlways, "app:latest": corev1.PullAlways, "host:5000/app": corev1.PullAlways,
		"app:v1": corev1.PullIfNotPresent, "app" + digest: corev1.PullIfNotPresent, "not an image": corev1.PullIfNotPresent,
		"app:latest" + digest: corev1.PullAlways,
	} {
		if got := pullPolicy(image); got != want {
			t.Errorf("pull policy of %q is %s, want %s", image, got, want)
		}
	}
}

func TestACreatedPodIsPendingWhateverItsCreatorSays(t *testing.T) {
	t.Parallel()
	now := metav1.NewTime(time.Unix(1000, 0))
	pod := podMinimal(func(pod *corev1.Pod) {
		pod.Generation = 7
		pod.Status = corev1.PodStatus{Phase: corev1.PodRunning, QOSClass: corev1.PodQOSGuaranteed}
		pod.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "example.com/wait"}}
		pod.Spec.Containers[0].Resources.Requests = corev1.ResourceList{"cpu": resource.MustParse("1")}
		pod.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "x", BindMountOptions: []string{"noexec"}}}
	})
	resetPodStatus(pod, nil)
	preparePod(pod, now)
	want := corev1.PodStatus{
		Phase: corev1.PodPending, QOSClass: corev1.PodQOSBurstable,
		Conditions: []corev1.PodCondition{{
			Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "SchedulingGated",
			Message: "Scheduling is blocked due to non-empty scheduling gates", LastTransitionTime: now,
		}},
	}
	if diff := cmp.Diff(want, pod.Status); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
	if pod.Generation != 1 || pod.Spec.Containers[0].VolumeMounts[0].BindMountOptions != nil {
		t.Errorf("generation %d, alpha field %v", pod.Generation, pod.Spec.Containers[0].VolumeMounts[0].BindMountOptions)
	}
}

func TestADeletedPodGetsTheTimeToEnd(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		node  string
		phase corev1.PodPhase
		asked *int64
		want  int64
	}{
		"its own time":            {node: "n", want: 30},
		"the time of the request": {node: "n", asked: ptr.To[int64](5), want: 5},
		"none on request":         {node: "n", asked: ptr.To[int64](0), want: 0},
		"never less than none":    {node: "n", asked: ptr.To[int64](-1), want: 1},
		"none without a node":     {asked: ptr.To[int64](5), want: 0},
		"none after its end":      {node: "n", phase: corev1.PodSucceeded, want: 0},
		"none after its failure":  {node: "n", phase: corev1.PodFailed, want: 0},
	} {
		pod := podMinimal()
		pod.Spec.NodeName, pod.Status.Phase = test.node, test.phase
		options := &metav1.DeleteOptions{GracePeriodSeconds: test.asked}
		if !gracefulPodDelete(t.Context(), pod, options) || *options.GracePeriodSeconds != test.want {
			t.Errorf("%s: got %d s, want %d", name, *options.GracePeriodSeconds, test.want)
		}
	}
	if gracefulPodDelete(t.Context(), podMinimal(), nil) {
		t.Error("a deletion without options is graceful")
	}
}

func TestAWholePodsResourcesAreCompletedFromItsContainers(t *testing.T) {
	t.Parallel()
	quantity := func(text string) corev1.ResourceList { return corev1.ResourceList{"cpu": resource.MustParse(text)} }
	for name, test := range map[string]struct{ whole, container, want corev1.ResourceRequirements }{
		"requests are the sum of the containers'": {
			whole:     corev1.ResourceRequirements{Limits: quantity("4")},
			container: corev1.ResourceRequirements{Requests: quantity("1")},
			want:      corev1.ResourceRequirements{Limits: quantity("4"), Requests: quantity("1")},
		},
		"or else the limit": {
			whole: corev1.ResourceRequirements{Limits: quantity("4")},
			want:  corev1.ResourceRequirements{Limits: quantity("4"), Requests: quantity("4")},
		},
		"limits are never below the request": {
			whole:     corev1.ResourceRequirements{Requests: quantity("3")},
			container: corev1.ResourceRequirements{Requests: quantity("1"), Limits: quantity("2")},
			want:      corev1.ResourceRequirements{Requests: quantity("3"), Limits: quantity("3")},
		},
	} {
		pod := podMinimal()
		pod.Spec.Resources, pod.Spec.Containers[0].Resources = &test.whole, test.container
		defaultPodResources(pod)
		if diff := cmp.Diff(&test.want, pod.Spec.Resources); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestAChangeOfAPodIsCounted(t *testing.T) {
	t.Parallel()
	old := podMinimal()
	same, changed := old.DeepCopy(), old.DeepCopy()
	changed.Spec.Containers[0].Image = "other"
	changed.Spec.EvictionResponders = []corev1.EvictionResponder{{Name: "example.com/r"}}
	preparePodUpdate(same, old)
	preparePodUpdate(changed, old)
	if same.Generation != old.Generation || changed.Generation != old.Generation+1 {
		t.Errorf("generations %d and %d after %d", same.Generation, changed.Generation, old.Generation)
	}
	if changed.Spec.EvictionResponders != nil {
		t.Error("a field of a feature that is off was kept")
	}
	// What another cluster has stored stays, and can be updated.
	old.Spec.EvictionResponders = []corev1.EvictionResponder{{Name: "example.com/r"}}
	kept := old.DeepCopy()
	kept.Spec.Containers[0].Image = "other"
	preparePodUpdate(kept, old)
	if errs := validatePodUpdate(kept, old); len(errs) > 0 || kept.Spec.EvictionResponders == nil {
		t.Errorf("updating a pod of another cluster: %v, responders %v", errs, kept.Spec.EvictionResponders)
	}
}

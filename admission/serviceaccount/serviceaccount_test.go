// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package serviceaccount

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/admission"
)

// roll is the accounts of the namespace "dev" in these tests.
type roll []*corev1.ServiceAccount

func (r roll) Get(_ context.Context, namespace, name string) (*corev1.ServiceAccount, error) {
	if name == "broken" {
		return nil, errors.New("the store is away")
	}
	for _, account := range r {
		if namespace == "dev" && account.Name == name {
			return account, nil
		}
	}
	return nil, apierrors.NewNotFound(corev1.Resource("serviceaccounts"), name)
}

func account(name string, change ...func(*corev1.ServiceAccount)) *corev1.ServiceAccount {
	made := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "dev", Name: name}}
	for _, f := range change {
		f(made)
	}
	return made
}

func pod(change ...func(*corev1.Pod)) *corev1.Pod {
	made := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "dev", Name: "p"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "main"}}},
	}
	for _, f := range change {
		f(made)
	}
	return made
}

// testPlugin names the token volume kube-api-access-abcde.
func testPlugin(accounts ...*corev1.ServiceAccount) *Plugin {
	plugin := New(roll(accounts))
	plugin.generateName = func(base string) string { return base + "abcde" }
	return plugin
}

func creation(pod *corev1.Pod) admission.Attributes {
	return attributes(pod, admission.Create, "")
}

func attributes(object runtime.Object, operation admission.Operation, subresource string) admission.Attributes {
	return admission.NewAttributesRecord(object, nil, corev1.SchemeGroupVersion.WithKind("Pod"), "dev", "p",
		corev1.SchemeGroupVersion.WithResource("pods"), subresource, operation, nil, false, nil)
}

func admit(t *testing.T, plugin *Plugin, pod *corev1.Pod) *corev1.Pod {
	t.Helper()
	if err := plugin.Admit(t.Context(), creation(pod), nil); err != nil {
		t.Fatalf("admitting: %v", err)
	}
	if err := plugin.Validate(t.Context(), creation(pod), nil); err != nil {
		t.Fatalf("validating: %v", err)
	}
	return pod
}

func TestAPodWithoutAnAccountGetsTheDefaultOne(t *testing.T) {
	t.Parallel()
	got := admit(t, testPlugin(account("default")), pod())
	if got.Spec.ServiceAccountName != "default" || got.Spec.DeprecatedServiceAccount != "default" {
		t.Errorf("got %q and %q, want default for both", got.Spec.ServiceAccountName, got.Spec.DeprecatedServiceAccount)
	}
}

func TestAPodKeepsTheAccountItNames(t *testing.T) {
	t.Parallel()
	named := pod(func(p *corev1.Pod) { p.Spec.ServiceAccountName = "robot" })
	got := admit(t, testPlugin(account("default"), account("robot")), named)
	if got.Spec.ServiceAccountName != "robot" {
		t.Errorf("got %q, want robot", got.Spec.ServiceAccountName)
	}
}

func TestPullSecretsComeFromTheAccountUnlessThePodListsAny(t *testing.T) {
	t.Parallel()
	pulls := func(names ...string) []corev1.LocalObjectReference {
		var list []corev1.LocalObjectReference
		for _, name := range names {
			list = append(list, corev1.LocalObjectReference{Name: name})
		}
		return list
	}
	tests := map[string]struct{ account, pod, want []corev1.LocalObjectReference }{
		"none anywhere":     {nil, nil, nil},
		"of the account":    {pulls("a", "b"), nil, pulls("a", "b")},
		"of the pod":        {nil, pulls("p"), pulls("p")},
		"the pod overrides": {pulls("a"), pulls("p"), pulls("p")},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			plugin := testPlugin(account("default", func(a *corev1.ServiceAccount) { a.ImagePullSecrets = test.account }))
			got := admit(t, plugin, pod(func(p *corev1.Pod) { p.Spec.ImagePullSecrets = test.pod }))
			if diff := cmp.Diff(test.want, got.Spec.ImagePullSecrets); diff != "" {
				t.Errorf("difference (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTheAccountIsNotSharedWithThePod(t *testing.T) {
	t.Parallel()
	owner := account("default", func(a *corev1.ServiceAccount) {
		a.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "a"}}
	})
	got := admit(t, testPlugin(owner), pod())
	got.Spec.ImagePullSecrets[0].Name = "changed"
	if owner.ImagePullSecrets[0].Name != "a" {
		t.Error("a change of the pod reached the account")
	}
}

func TestRefusalsSayWhy(t *testing.T) {
	t.Parallel()
	using := func(name string) func(*corev1.Pod) {
		return func(p *corev1.Pod) { p.Spec.ServiceAccountName = name }
	}
	mirror := func(p *corev1.Pod) { p.Annotations = map[string]string{"kubernetes.io/config.mirror": "x"} }
	volume := func(source corev1.VolumeSource) func(*corev1.Pod) {
		return func(p *corev1.Pod) { p.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: source}} }
	}
	tests := map[string]struct {
		pod  *corev1.Pod
		want string
	}{
		"an account that is missing": {
			pod(using("ghost")),
			`pods "p" is forbidden: error looking up service account dev/ghost: serviceaccount "ghost" not found`,
		},
		"an account that cannot be read": {
			pod(using("broken")),
			`pods "p" is forbidden: error looking up service account dev/broken: the store is away`,
		},
		"a mirror pod with an account": {
			pod(mirror, using("default")), `pods "p" is forbidden: a mirror pod may not reference service accounts`,
		},
		"a mirror pod with a secret volume": {
			pod(mirror, volume(corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "s"}})),
			`pods "p" is forbidden: a mirror pod may not reference secrets`,
		},
		"a mirror pod with a token": {
			pod(mirror, volume(corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
				Sources: []corev1.VolumeProjection{{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "token"}}},
			}})),
			`pods "p" is forbidden: a mirror pod may not use ServiceAccountToken volume projections`,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			plugin := testPlugin(account("default"))
			for stage, err := range map[string]error{
				"admit":    plugin.Admit(t.Context(), creation(test.pod.DeepCopy()), nil),
				"validate": plugin.Validate(t.Context(), creation(test.pod.DeepCopy()), nil),
			} {
				if !apierrors.IsForbidden(err) || err.Error() != test.want {
					t.Errorf("%s: got %v, want %s", stage, err, test.want)
				}
			}
		})
	}
}

func TestAMirrorPodIsLeftAsItIs(t *testing.T) {
	t.Parallel()
	want := pod(func(p *corev1.Pod) { p.Annotations = map[string]string{"kubernetes.io/config.mirror": ""} })
	got := admit(t, testPlugin(), want.DeepCopy())
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("difference (-want +got):\n%s", diff)
	}
}

func TestAPodThatLostItsAccountIsRefused(t *testing.T) {
	t.Parallel()
	for operation, subresource := range map[admission.Operation]string{admission.Create: "", admission.Update: "ephemeralcontainers"} {
		err := testPlugin().Validate(t.Context(), attributes(pod(), operation, subresource), nil)
		want := `pods "p" is forbidden: no service account specified for pod dev/p`
		if err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", operation, err, want)
		}
	}
}

func TestWhatIsNotAboutAPodsIdentityIsIgnored(t *testing.T) {
	t.Parallel()
	other := admission.NewAttributesRecord(&corev1.ConfigMap{}, nil, corev1.SchemeGroupVersion.WithKind("ConfigMap"), "dev", "c",
		corev1.SchemeGroupVersion.WithResource("configmaps"), "", admission.Create, nil, false, nil)
	for name, a := range map[string]admission.Attributes{
		"another resource":     other,
		"a binding":            attributes(&corev1.Binding{}, admission.Create, "binding"),
		"a status update":      attributes(pod(), admission.Update, "status"),
		"an update":            attributes(pod(), admission.Update, ""),
		"a pod without object": attributes(nil, admission.Create, ""),
	} {
		plugin := testPlugin()
		if err := errors.Join(plugin.Admit(t.Context(), a, nil), plugin.Validate(t.Context(), a, nil)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package podsecurity

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/warning"
)

// labelled is a namespace with labels of pod security, and no pods; "away" cannot
// be read.
type labelled map[string]string

func (l labelled) GetNamespace(_ context.Context, name string) (*corev1.Namespace, error) {
	if name == "away" {
		return nil, errors.New("the store is away")
	}
	labels := map[string]string{}
	for mode, level := range l {
		labels["pod-security.kubernetes.io/"+mode] = level
	}
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}, nil
}

func (labelled) ListPods(context.Context, string) ([]*corev1.Pod, error) { return nil, nil }

// warnings are those that a request gets.
type warnings []string

func (w *warnings) AddWarning(_, text string) { *w = append(*w, text) }

// judge creates a pod without any security settings.
func judge(t *testing.T, config io.Reader, labels labelled, namespace string) (warnings, error) {
	t.Helper()
	plugin, err := New(config, labels, labels)
	if err != nil {
		t.Fatal(err)
	}
	pod := &corev1.Pod{Spec: corev1.PodSpec{HostNetwork: true, Containers: []corev1.Container{{Name: "main"}}}}
	attributes := admission.NewAttributesRecord(pod, nil, corev1.SchemeGroupVersion.WithKind("Pod"), namespace, "p",
		corev1.SchemeGroupVersion.WithResource("pods"), "", admission.Create, nil, false, &user.DefaultInfo{Name: "jane"})
	var got warnings
	err = plugin.Validate(warning.WithWarningRecorder(t.Context(), &got), attributes, nil)
	return got, err
}

func TestPodsAreHeldToTheLabelsOfTheirNamespace(t *testing.T) {
	t.Parallel()
	const violation = `violates PodSecurity "baseline:latest": host namespaces (hostNetwork=true)`
	const exempting = "apiVersion: pod-security.admission.config.k8s.io/v1\nkind: PodSecurityConfiguration\nexemptions: {usernames: [jane]}\n"
	tests := map[string]struct {
		labels  labelled
		config  string
		refused string
		warned  string
	}{
		"no label":       {},
		"enforced":       {labels: labelled{"enforce": "baseline"}, refused: `pods "p" is forbidden: ` + violation},
		"warned of":      {labels: labelled{"warn": "baseline"}, warned: `would violate PodSecurity "baseline:latest": host namespaces (hostNetwork=true)`},
		"an exempt user": {labels: labelled{"enforce": "baseline"}, config: exempting},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			warned, err := judge(t, strings.NewReader(test.config), test.labels, "dev")
			refused := ""
			if err != nil {
				refused = err.Error()
			}
			if refused != test.refused || apierrors.IsForbidden(err) != (test.refused != "") {
				t.Errorf("got %q, want %q", refused, test.refused)
			}
			if got := strings.Join(warned, "\n"); got != test.warned {
				t.Errorf("warned of %q, want %q", got, test.warned)
			}
		})
	}
}

func TestAPodWhoseNamespaceCannotBeReadIsRefused(t *testing.T) {
	t.Parallel()
	_, err := judge(t, nil, nil, "away")
	if !apierrors.IsForbidden(err) && !apierrors.IsInternalError(err) {
		t.Errorf("got %v, want a refusal", err)
	}
}

func TestOtherResourcesAreNobodysBusiness(t *testing.T) {
	plugin, err := New(nil, labelled{"enforce": "restricted"}, labelled{})
	if err != nil {
		t.Fatal(err)
	}
	secrets := schema.GroupVersionResource{Version: "v1", Resource: "secrets"}
	attributes := admission.NewAttributesRecord(&corev1.Secret{}, nil, schema.GroupVersionKind{Version: "v1", Kind: "Secret"}, "dev", "s", secrets, "", admission.Create, nil, false, nil)
	if n := testing.AllocsPerRun(10, func() { err = plugin.Validate(t.Context(), attributes, nil) }); err != nil || n > 0 {
		t.Errorf("error %v, %v allocations", err, n)
	}
}

func TestABadConfigurationIsAnError(t *testing.T) {
	t.Parallel()
	const odd = "apiVersion: pod-security.admission.config.k8s.io/v1\nkind: PodSecurityConfiguration\ndefaults: {enforce: odd}\n"
	if _, err := New(strings.NewReader(odd), labelled{}, labelled{}); err == nil || !strings.Contains(err.Error(), "defaults.enforce") {
		t.Errorf("got %v, want an error that names defaults.enforce", err)
	}
}

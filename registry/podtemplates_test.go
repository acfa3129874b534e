// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func podTemplateOf(image string) *corev1.PodTemplate {
	template := &corev1.PodTemplate{
		ObjectMeta: metav1.ObjectMeta{Name: "t", Namespace: "dev"},
		Template: corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "t"}},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: image}}},
		},
	}
	podTemplates().(*Definition[*corev1.PodTemplate]).Default(template)
	return template
}

func TestPodTemplatesCountTheChangesOfWhatTheySay(t *testing.T) {
	t.Parallel()
	definition := podTemplates().(*Definition[*corev1.PodTemplate])
	old := podTemplateOf("a")
	definition.PrepareCreate(t.Context(), old)
	renamed := old.DeepCopy()
	renamed.Labels = map[string]string{"a": "b"}
	definition.PrepareUpdate(t.Context(), renamed, old)
	changed := old.DeepCopy()
	changed.Template.Spec.Containers[0].Image = "b"
	definition.PrepareUpdate(t.Context(), changed, old)
	got := []int64{old.Generation, renamed.Generation, changed.Generation}
	if diff := cmp.Diff([]int64{1, 1, 2}, got); diff != "" {
		t.Errorf("generations of the new, the labelled and the changed one (-want +got):\n%s", diff)
	}
}

func TestPodTemplatesAreDefaultedAndCheckedAsPods(t *testing.T) {
	t.Parallel()
	definition := podTemplates().(*Definition[*corev1.PodTemplate])
	template := podTemplateOf("a")
	if got := template.Template.Spec.RestartPolicy; got != corev1.RestartPolicyAlways {
		t.Errorf("the restart policy is %q", got)
	}
	if errs := definition.Validate(template); len(errs) > 0 {
		t.Errorf("a good one is refused: %v", errs)
	}
	template.Template.Spec.Containers[0].Name = ""
	want := []string{"template.spec.containers[0].name: Required value"}
	if diff := cmp.Diff(want, secretErrors(definition.Validate(template))); diff != "" {
		t.Errorf("errors (-want +got):\n%s", diff)
	}
	row := definition.Row(podTemplateOf("a"))
	if diff := cmp.Diff([]any{"t", "c", "a", "app=t"}, row); diff != "" {
		t.Errorf("row (-want +got):\n%s", diff)
	}
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"testing"
	"testing/synctest"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/admission"
)

// asked counts how often it is.
type asked struct {
	*admission.Handler
	times int
}

func (a *asked) Admit(context.Context, admission.Attributes, admission.ObjectInterfaces) error {
	a.times++
	return nil
}

func creationOfPod() admission.Attributes {
	return admission.NewAttributesRecord(&corev1.Pod{}, nil, corev1.SchemeGroupVersion.WithKind("Pod"), "dev", "p",
		corev1.SchemeGroupVersion.WithResource("pods"), "", admission.Create, nil, false, nil)
}

// It does not run beside others, whose allocations would count.
func TestPluginsRestWhileThereIsNothingToDecideBy(t *testing.T) {
	plugin := &asked{Handler: admission.NewHandler(admission.Create)}
	r := &resting{Interface: plugin, standing: newStanding(nil)}
	r.standing.ready.Store(true)
	for count, want := range []int{0, 1} {
		r.standing.count.Store(int64(count))
		if err := r.Admit(t.Context(), creationOfPod(), nil); err != nil || plugin.times != want {
			t.Errorf("with %d objects: asked %d times, error %v; want %d", count, plugin.times, err, want)
		}
	}
	if err := r.Validate(t.Context(), creationOfPod(), nil); err != nil || plugin.times != 1 {
		t.Errorf("a plugin that only changes was asked for its judgement: %d times, error %v", plugin.times, err)
	}
	attributes := creationOfPod()
	r.standing.count.Store(0)
	if n := testing.AllocsPerRun(100, func() { _ = r.Admit(t.Context(), attributes, nil) }); n > 0 {
		t.Errorf("a resting plugin costs %v allocations, want none", n)
	}
}

func TestNothingIsAdmittedBeforeItIsKnownWhatDecides(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &resting{Interface: &asked{Handler: admission.NewHandler(admission.Create)}, standing: newStanding(nil)}
		err := r.Admit(t.Context(), creationOfPod(), nil)
		const want = `pods "p" is forbidden: not yet ready to handle request`
		if !apierrors.IsForbidden(err) || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	})
}

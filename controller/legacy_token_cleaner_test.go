// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const year = 365 * 24 * time.Hour

func oldSecret(labels map[string]string) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "dev", Name: "auto", UID: "1", Labels: labels, CreationTimestamp: metav1.NewTime(noon.Add(-3 * year)),
			Annotations: map[string]string{corev1.ServiceAccountNameKey: "robot"},
		},
		Type: corev1.SecretTypeServiceAccountToken,
	}
}

func TestTokensOfSecretsGoInTwoStages(t *testing.T) {
	t.Parallel()
	day := func(ago time.Duration) string { return noon.Add(-ago).Format(time.DateOnly) }
	opaque, young, ending := oldSecret(nil), oldSecret(nil), oldSecret(nil)
	opaque.Type = corev1.SecretTypeOpaque
	young.CreationTimestamp = metav1.NewTime(noon.Add(-year + time.Hour))
	ending.DeletionTimestamp = &metav1.Time{Time: noon}
	for name, test := range map[string]struct {
		secret *corev1.Secret
		want   cleaningStage
	}{
		"never used":                   {oldSecret(nil), stageInvalid},
		"used long ago":                {oldSecret(map[string]string{lastUsedLabel: day(year + 24*time.Hour)}), stageInvalid},
		"used a year ago":              {oldSecret(map[string]string{lastUsedLabel: day(year)}), stageNone},
		"used at an odd time":          {oldSecret(map[string]string{lastUsedLabel: "tomorrow"}), stageNone},
		"marked lately":                {oldSecret(map[string]string{invalidSinceLabel: day(year)}), stageNone},
		"marked with what is no day":   {oldSecret(map[string]string{invalidSinceLabel: "yes"}), stageInvalid},
		"marked long ago":              {oldSecret(map[string]string{invalidSinceLabel: day(year + 24*time.Hour)}), stageDelete},
		"marked long ago and used now": {oldSecret(map[string]string{invalidSinceLabel: day(2 * year), lastUsedLabel: day(0)}), stageNone},
		"of another type":              {opaque, stageNone},
		"young":                        {young, stageNone},
		"about to end":                 {ending, stageNone},
	} {
		if got := stageOf(test.secret, noon, year); got != test.want {
			t.Errorf("%s: stage %d, want %d", name, got, test.want)
		}
	}
}

// One secret on its way, with the clock moved on by hand.
func TestASecretThatNobodyUsesIsMarkedAndThenDeleted(t *testing.T) {
	t.Parallel()
	now := noon
	store := fakeStore(oldSecret(nil), trackingOf(map[string]string{"since": noon.Format(time.DateOnly)}),
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "dev", Name: "robot"}, Secrets: []corev1.ObjectReference{{Name: "auto"}}})
	l := newLegacyTokenCleaner(store, year, func() time.Time { return now })
	look := func() (label string, there bool) {
		t.Helper()
		if err := l.clean(t.Context()); err != nil {
			t.Fatal(err)
		}
		got := &corev1.Secret{}
		err := store.Get(t.Context(), client.ObjectKeyFromObject(oldSecret(nil)), got)
		if client.IgnoreNotFound(err) != nil {
			t.Fatal(err)
		}
		return got.Labels[invalidSinceLabel], !apierrors.IsNotFound(err)
	}
	for _, test := range []struct {
		after time.Duration
		label string
		there bool
	}{
		{year, "", true}, // uses have been noted for a year, less half a day
		{24 * time.Hour, noon.Add(year + 24*time.Hour).Format(time.DateOnly), true},
		{year, noon.Add(year + 24*time.Hour).Format(time.DateOnly), true},
		{24 * time.Hour, "", false},
	} {
		now = now.Add(test.after)
		if label, there := look(); label != test.label || there != test.there {
			t.Errorf("at %s: marked %q and there: %t, want %q and %t", now, label, there, test.label, test.there)
		}
	}
}

func TestASecretIsKeptThatIsNotListedOrThatAPodUses(t *testing.T) {
	t.Parallel()
	account := func(secrets ...corev1.ObjectReference) *corev1.ServiceAccount {
		return &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "dev", Name: "robot", UID: "this"}, Secrets: secrets}
	}
	annotated := oldSecret(nil)
	annotated.Annotations[corev1.ServiceAccountUIDKey] = "another"
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "dev", Name: "p"}, Spec: corev1.PodSpec{
		Volumes: []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "auto"}}}},
	}}
	listed := corev1.ObjectReference{Name: "auto"}
	for name, objects := range map[string][]client.Object{
		"of no account":          {oldSecret(nil)},
		"not listed":             {oldSecret(nil), account()},
		"of an account of old":   {annotated, account(listed)},
		"mounted":                {oldSecret(nil), account(listed), pod},
		"not tracked for a year": {oldSecret(nil), account(listed), trackingOf(map[string]string{"since": noon.Add(-year).Format(time.DateOnly)})},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := fakeStore(objects...)
			_ = store.Create(t.Context(), trackingOf(map[string]string{"since": "2020-01-01"})) // unless it is there
			l := newLegacyTokenCleaner(store, year, func() time.Time { return noon })
			if err := l.clean(t.Context()); err != nil {
				t.Fatal(err)
			}
			got := &corev1.Secret{}
			if err := store.Get(t.Context(), client.ObjectKeyFromObject(oldSecret(nil)), got); err != nil || got.Labels[invalidSinceLabel] != "" {
				t.Errorf("the secret is marked %q, error %v", got.Labels[invalidSinceLabel], err)
			}
		})
	}
}

func TestWhatIsDueDailyIsDoneWhenTheClockSaysSo(t *testing.T) {
	t.Parallel()
	var moved atomic.Bool
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	steps := 0
	every(ctx, func() time.Time {
		if moved.Swap(true) {
			return noon.Add(25 * time.Hour)
		}
		return noon
	}, 24*time.Hour, func() {
		if steps++; steps == 2 {
			stop()
		}
	})
	if steps != 2 {
		t.Errorf("%d steps on two days", steps)
	}
}

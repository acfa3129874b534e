// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

func TestConfigMapsAreChecked(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		config corev1.ConfigMap
		want   []string
	}{
		"both halves may be used": {config: corev1.ConfigMap{
			Data: map[string]string{"a": "1"}, BinaryData: map[string][]byte{"b": {0}},
		}},
		"a key is in one half only": {
			config: corev1.ConfigMap{Data: map[string]string{"a": "1"}, BinaryData: map[string][]byte{"a": {0}}},
			want:   []string{`data[a]: Invalid value: "a": duplicate of key present in binaryData`},
		},
		"a key must be a file name": {
			config: corev1.ConfigMap{BinaryData: map[string][]byte{"..": {0}}},
			want:   []string{`binaryData[..]: Invalid value: "..": must not be '..'`},
		},
		"both halves count": {
			config: corev1.ConfigMap{
				Data: map[string]string{"a": strings.Repeat("x", 1<<19)}, BinaryData: map[string][]byte{"b": make([]byte, 1<<19+1)},
			},
			want: []string{"[]: Too long: may not be more than 1048576 bytes"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, secretErrors(validateConfigMap(&test.config))); diff != "" {
				t.Errorf("errors (-want +got):\n%s", diff)
			}
		})
	}
}

func TestConfigMapUpdatesKeepWhatIsImmutable(t *testing.T) {
	t.Parallel()
	old := &corev1.ConfigMap{Data: map[string]string{"a": "1"}}
	changed := &corev1.ConfigMap{Data: map[string]string{"a": "2"}, BinaryData: map[string][]byte{"b": {0}}}
	if errs := validateConfigMapUpdate(changed, old); len(errs) > 0 {
		t.Errorf("what is not immutable may change: %v", errs)
	}
	old.Immutable = ptr.To(true)
	want := []string{
		"immutable: Forbidden: field is immutable when `immutable` is set",
		"data: Forbidden: field is immutable when `immutable` is set",
		"binaryData: Forbidden: field is immutable when `immutable` is set",
	}
	if diff := cmp.Diff(want, secretErrors(validateConfigMapUpdate(changed, old))); diff != "" {
		t.Errorf("errors (-want +got):\n%s", diff)
	}
	// A body without data and a stored map without it are the same.
	empty, sent := &corev1.ConfigMap{Immutable: ptr.To(true)}, &corev1.ConfigMap{Immutable: ptr.To(true), Data: map[string]string{}}
	defaultConfigMap(empty)
	if errs := validateConfigMapUpdate(sent, empty); len(errs) > 0 {
		t.Errorf("no data and empty data differ: %v", errs)
	}
}

func TestConfigMapRowCountsTheKeysOfBothHalves(t *testing.T) {
	t.Parallel()
	config := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "c"}, Data: map[string]string{"a": ""}, BinaryData: map[string][]byte{"b": nil}}
	got := configMaps().(*Definition[*corev1.ConfigMap]).Row(config)
	if diff := cmp.Diff([]any{"c", int64(2), "<unknown>"}, got); diff != "" {
		t.Errorf("row (-want +got):\n%s", diff)
	}
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
)

func TestAWrongFieldSelectorIsRefusedInTheWordsOfItsKind(t *testing.T) {
	t.Parallel()
	scheme, err := NewScheme([]Resource{configMaps(), pods()})
	if err != nil {
		t.Fatal(err)
	}
	for kind, want := range map[string]string{
		"ConfigMap": `"data" is not a known field selector: only "metadata.name", "metadata.namespace"`,
		"Pod":       "field label not supported: data",
	} {
		_, _, err := scheme.ConvertFieldLabel(corev1.SchemeGroupVersion.WithKind(kind), "data", "x")
		if err == nil {
			t.Errorf("%s can be selected by data", kind)
			continue
		}
		if diff := cmp.Diff(want, err.Error()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", kind, diff)
		}
	}
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package openapi_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/muster-identity/muster/openapi"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/validation/spec"
)

// generated are the files that scripts/generate writes, by their paths from the root.
var generated = []string{
	"identity/v1/zz_generated.deepcopy.go",
	"identity/v1/zz_generated.model_name.go",
	"openapi/zz_generated.openapi.go",
}

func TestGeneratedFilesAreFresh(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("runs the generator over all served packages, which takes several seconds")
	}
	generator, err := exec.LookPath("../scripts/generate")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	out, err := exec.CommandContext(t.Context(), generator, dir).CombinedOutput()
	if err != nil {
		t.Fatalf("generating: %v\n%s", err, out)
	}
	for _, path := range generated {
		want, err := os.ReadFile(filepath.Join(dir, path))
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(filepath.Join("..", path))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is not what the generator makes of the pinned packages: run `make generate`", path)
		}
	}
}

func TestDefinitionsReferToNothingMissing(t *testing.T) {
	t.Parallel()
	definitions := definitions()
	for name, definition := range definitions {
		for _, dependency := range definition.Dependencies {
			if _, ok := definitions[dependency]; !ok {
				t.Errorf("%s refers to %s, which has no definition: add its package to scripts/generate", name, dependency)
			}
		}
	}
}

func TestDefinitionsAreNamedAfterTheirGroups(t *testing.T) {
	t.Parallel()
	definitions := definitions()
	for name := range definitions {
		if !strings.HasPrefix(name, "io.k8s.api.") && !strings.HasPrefix(name, "io.k8s.apimachinery.pkg.") && !strings.HasPrefix(name, "id.muster.identity.") {
			t.Errorf("definition %q is neither named as kube-apiserver names it nor after Muster's own group", name)
		}
	}
	for _, name := range []string{
		corev1.Pod{}.OpenAPIModelName(),
		corev1.ServiceAccount{}.OpenAPIModelName(),
		rbacv1.RoleBinding{}.OpenAPIModelName(),
		"io.k8s.api.core.v1.Pod",
		"io.k8s.api.authentication.v1.TokenRequest",
		"io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta",
		"io.k8s.apimachinery.pkg.api.resource.Quantity",
		"io.k8s.apimachinery.pkg.version.Info",
		"id.muster.identity.v1.TokenRevocation",
	} {
		if _, ok := definitions[name]; !ok {
			t.Errorf("no definition is named %q", name)
		}
	}
}

func definitions() map[string]common.OpenAPIDefinition {
	return openapi.GetOpenAPIDefinitions(func(path string) spec.Ref { return spec.MustCreateRef(path) })
}

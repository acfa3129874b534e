// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package binaries_test

import (
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/muster-identity/muster/test/binaries"
)

func TestBuildsAtTheSameTimeGiveOneProgramThatRuns(t *testing.T) {
	t.Parallel()
	var builds sync.WaitGroup
	var paths [3]string
	for i := range paths {
		builds.Go(func() {
			path, err := binaries.Build("kubectl")
			if err != nil {
				t.Error(err)
			}
			paths[i] = path
		})
	}
	builds.Wait()
	if t.Failed() {
		return
	}
	if paths[1] != paths[0] || paths[2] != paths[0] {
		t.Errorf("one program was built in several places: %q", paths)
	}
	out, err := exec.CommandContext(t.Context(), paths[0], "version", "--client").CombinedOutput()
	if err != nil {
		t.Fatalf("running %q: %v\n%s", paths[0], err, out)
	}
	if !strings.Contains(string(out), "Client Version: v1.") {
		t.Errorf("kubectl does not state the version of Kubernetes it is from:\n%s", out)
	}
}

func TestBuildSaysWhyAProgramCannotBeBuilt(t *testing.T) {
	t.Parallel()
	path, err := binaries.Build("frobnicate")
	if err == nil {
		t.Fatalf("Build made %q of nothing", path)
	}
	if !strings.Contains(err.Error(), `building "frobnicate"`) || !strings.Contains(err.Error(), "No rule to make target") {
		t.Errorf("the error does not say what failed and why: %v", err)
	}
}

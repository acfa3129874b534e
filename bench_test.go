// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package muster_test

import (
	"os"
	"regexp"
	"testing"
)

var (
	required = regexp.MustCompile(`(?m)^\t(k8s\.io/\S+) (v0\.\d+\.\d+)$`) // not what others ask for: "// indirect"
	replaced = regexp.MustCompile(`(?m)^\t(k8s\.io/\S+) => \S+ (v0\.\S+)$`)
)

// A replacement wins over what is required: if the two modules drifted apart, the benchmark would say nothing.
func TestMusterIsMeasuredBesideTheKubernetesItIsBuiltFrom(t *testing.T) {
	t.Parallel()
	ours, peers := versions(t, "go.mod", required), versions(t, "bench/go.mod", replaced)
	if len(ours) == 0 {
		t.Fatal("go.mod requires nothing of Kubernetes")
	}
	for path, want := range ours {
		if got := peers[path]; got != want {
			t.Errorf("go.mod has %s %s, bench/go.mod %q", path, want, got)
		}
	}
}

// versions are those that a go.mod names, by module.
func versions(t *testing.T, path string, line *regexp.Regexp) map[string]string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, match := range line.FindAllStringSubmatch(string(content), -1) {
		found[match[1]] = match[2]
	}
	return found
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestTheDemoTellsTheWholeStory(t *testing.T) {
	t.Parallel()
	temporary := t.TempDir()
	demo := exec.CommandContext(t.Context(), "../scripts/demo")
	demo.Env = append(os.Environ(), "TMPDIR="+temporary, "KUBECONFIG=")
	var stderr bytes.Buffer
	demo.Stderr = &stderr
	out, err := demo.Output()
	story := string(out)
	if err != nil {
		t.Fatalf("the demo failed: %v\n%s\n%s", err, withoutTokens(story), withoutTokens(stderr.String()))
	}
	told := story
	for _, line := range []string{
		"$ muster run -n dev --serviceaccount reporter -- kubectl get jobs -n maintenance\n",
		"Error from server (Forbidden): jobs.batch is forbidden: User \"system:serviceaccount:dev:reporter\" cannot list",
		"$ kubectl create role job-reader -n maintenance",
		"$ kubectl create rolebinding reporter-reads-jobs -n maintenance",
		"$ muster run -n dev --serviceaccount reporter -- kubectl get jobs -n maintenance\n",
		"\nnightly-backup ",
		"$ kubectl create -f review.yaml",
		"\ntrue system:serviceaccount:dev:reporter\n",
		"$ kill $!; wait $!\n",
		"$ kubectl create -f review.yaml",
		"\n [invalid bearer token, service account token has been invalidated]; ✓ signature; ✓ issuer; ✓ expiry; ✓ service account; ✗ pod: wanted ",
	} {
		_, after, found := strings.Cut(told, line)
		if !found {
			t.Fatalf("the demo does not tell, after what comes before it:\n%s\nIt tells:\n%s", line, withoutTokens(story))
		}
		told = after
	}
	if story != withoutTokens(story) || stderr.String() != withoutTokens(stderr.String()) {
		t.Error("the demo prints a token")
	}
	if strings.Contains(story, "\x1b") {
		t.Error("the demo uses colours where there is no terminal")
	}
	left, err := os.ReadDir(temporary)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range left {
		t.Errorf("the demo leaves %q behind", entry.Name())
	}
}

// The demo is no film: on a server that answers otherwise it stops with an error.
func TestTheDemoFailsWhereAnAnswerIsNotAsTold(t *testing.T) {
	t.Parallel()
	for name, kubectl := range map[string]string{
		"what should work fails":       "exit 1",
		"what should be refused works": "echo created system:serviceaccount:dev:reporter",
		"an answer is missing":         "exit 0",
		"a refusal has another reason": `case "$*" in *"get jobs"*) echo no; exit 1;; *) echo created system:serviceaccount:dev:reporter;; esac`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bin := t.TempDir()
			for program, script := range map[string]string{
				"kubectl": kubectl,
				"muster":  `while [ "$1" != -- ]; do shift; done; shift; exec "$@"`,
			} {
				if err := os.WriteFile(filepath.Join(bin, program), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			story := exec.CommandContext(t.Context(), "../scripts/demo-story")
			story.Env = append(os.Environ(), "TMPDIR="+t.TempDir(), "PATH="+bin+":"+os.Getenv("PATH"))
			out, err := story.CombinedOutput()
			if err == nil {
				t.Errorf("the demo takes it for success:\n%s", out)
			}
			if !strings.Contains(string(out), "\ndemo: ") {
				t.Errorf("the demo does not say what is wrong:\n%s", out)
			}
		})
	}
}

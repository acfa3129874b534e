// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package test

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/muster-identity/muster/controller"
	"github.com/muster-identity/muster/node"
)

// readToken keeps the token in a file in an environment variable, so that none
// is in the output of a test:
//
//	readtoken NAME FILE
func readToken(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: readtoken NAME FILE")
	}
	ts.Setenv(args[0], strings.TrimSpace(ts.ReadFile(args[1])))
}

// condition knows what a machine may not allow:
//
//	[namespaces] user and mount namespaces, to show a command files of its own
//	[softhsm]    SoftHSM, and a C compiler for a program that uses it
func condition(name string) (bool, error) {
	switch name {
	case "namespaces":
		return hasNamespaces(), nil
	case "softhsm":
		return hasSoftHSM(), nil
	}
	return false, fmt.Errorf("unknown condition %q", name)
}

func hasNamespaces() bool {
	return exec.Command("unshare", "--user", "--map-root-user", "--mount", "true").Run() == nil
}

// The server and what runs commands meet in these names alone, and neither may
// import the other.
func TestRunsAreMarkedAsTheServerExpects(t *testing.T) {
	t.Parallel()
	marks := [][2]string{
		{node.RunLabel, controller.RunLabel},
		{node.RunLabelValue, controller.RunLabelValue},
		{node.LeaseAnnotation, controller.LeaseAnnotation},
	}
	for _, mark := range marks {
		if mark[0] != mark[1] {
			t.Errorf("node says %q, controller %q", mark[0], mark[1])
		}
	}
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package test

import (
	"flag"
	"testing"

	"github.com/muster-identity/muster/mustertest"
	"github.com/muster-identity/muster/test/conformance"
)

var update = flag.Bool("update", false, "rewrite the pinned answers in conformance/testdata")

func TestMusterIsAServerOfTheKubernetesAPIForIdentities(t *testing.T) {
	t.Parallel()
	target := conformance.Target{
		Admin:                   mustertest.Start(t).Admin(),
		ImmediateRevocation:     true,
		ImmediateRBAC:           true,
		ImmediateDefaultAccount: true,
		ExactExpiry:             true,
	}
	if *update {
		target.Rewrite = "conformance/testdata"
	}
	conformance.Run(t, target)
}

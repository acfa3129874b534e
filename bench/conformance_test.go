// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"flag"
	"testing"

	"github.com/muster-identity/muster/bench/system"
	"github.com/muster-identity/muster/test/conformance"
)

var (
	binaries = flag.String("kubernetes", "", "folder of kube-apiserver, kube-controller-manager and etcd")
	rewrite  = flag.String("answers", "", "folder into which the pinned answers are written as Kubernetes gives them, instead of being compared")
)

// The suite to which Muster is held says what Kubernetes does: Kubernetes must pass.
func TestKubernetesIsAServerOfTheKubernetesAPIForIdentities(t *testing.T) {
	if *binaries == "" {
		t.Skip("-kubernetes does not say where the programs are: `make conformance-kubernetes` builds and names them")
	}
	dir := t.TempDir()
	kubernetes, err := system.StartKubernetes(t.Context(), system.Binaries(*binaries), dir, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(kubernetes.Stop)
	if err := kubernetes.AddControllers(system.Binaries(*binaries), dir); err != nil {
		t.Fatal(err)
	}
	conformance.Run(t, conformance.Target{Admin: kubernetes.Admin, Rewrite: *rewrite})
}

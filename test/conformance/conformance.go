// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

// Package conformance is what a server of the Kubernetes API for identities
// does, as functions over a client: whoever passes may be talked to as such a
// server. It owns the behaviour tests that need no more than a client, and
// knows nothing of how the server under test was made; its callers start one
// and say by a Target what it promises beyond Kubernetes.
//
// Every test has a namespace of its own and removes what it made. Answers that
// must not change are pinned in testdata.
package conformance

import (
	"testing"

	"k8s.io/client-go/rest"
)

// Target is a server under test. A promise that Kubernetes does not make is a
// field: where it is false the tests wait for what Kubernetes does a while
// later, or ask for what Kubernetes does instead.
type Target struct {
	// Admin is the client configuration of a member of system:masters. Tests
	// copy it.
	Admin *rest.Config

	// ImmediateRevocation: no check that starts after a deletion was answered
	// finds a token good that was bound to what was deleted. Kubernetes keeps a
	// verdict for ten seconds.
	ImmediateRevocation bool
	// ImmediateRBAC: roles and bindings are in force when their change is
	// answered.
	ImmediateRBAC bool
	// ImmediateDefaultAccount: a namespace has its default account when its
	// creation is answered.
	ImmediateDefaultAccount bool
	// ExactExpiry: the default token of a pod lives as long as its request
	// says. Kubernetes gives it a year.
	ExactExpiry bool

	// Rewrite is a folder into which pinned answers are written anew. Empty:
	// they are compared.
	Rewrite string
}

// test is one behaviour, told by its name.
type test struct {
	name string
	run  func(e *env)
}

// Run holds the target to everything in this package.
func Run(t *testing.T, target Target) {
	t.Helper()
	for _, area := range []struct {
		name  string
		tests []test
	}{
		{"authentication", authentication()},
		{"tokens", tokens()},
		{"revocation", revocation()},
		{"token reviews", tokenReviews()},
		{"access reviews", accessReviews()},
		{"rbac", rbac()},
		{"escalation", escalation()},
		{"service accounts", serviceAccounts()},
		{"admission", admission()},
		{"namespaces", namespaces()},
		{"discovery", discovery()},
		{"openid", openID()},
		{"lists", lists()},
		{"watches", watches()},
		{"writes", writes()},
		{"patches", patches()},
		{"field validation", fieldValidation()},
		{"forms", forms()},
		{"kinds", kinds()},
		{"refusals", refusals()},
	} {
		t.Run(area.name, func(t *testing.T) {
			t.Parallel()
			for _, test := range area.tests {
				t.Run(test.name, func(t *testing.T) {
					t.Parallel()
					test.run(newEnv(t, target))
				})
			}
		})
	}
}

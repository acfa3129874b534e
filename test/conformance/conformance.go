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

// area is tests that belong together.
type area struct {
	name string
	// frequent marks what an identity server does all day: a server may have
	// more than one way to do it.
	frequent bool
	tests    []test
}

func areas() []area {
	return []area{
		{"authentication", true, authentication()},
		{"tokens", true, tokens()},
		{"revocation", true, revocation()},
		{"token reviews", true, tokenReviews()},
		{"access reviews", true, accessReviews()},
		{"rbac", false, rbac()},
		{"escalation", false, escalation()},
		{"service accounts", false, serviceAccounts()},
		{"admission", false, admission()},
		{"namespaces", false, namespaces()},
		{"discovery", false, discovery()},
		{"openid", true, openID()},
		{"lists", false, lists()},
		{"watches", false, watches()},
		{"writes", false, writes()},
		{"patches", false, patches()},
		{"field validation", false, fieldValidation()},
		{"forms", false, forms()},
		{"kinds", false, kinds()},
		{"refusals", false, refusals()},
	}
}

// Run holds the target to everything in this package.
func Run(t *testing.T, target Target) {
	t.Helper()
	run(t, target, func(area) bool { return true })
}

// RunFrequent holds the target to what an identity server does all day: tokens,
// reviews, and the documents of discovery.
func RunFrequent(t *testing.T, target Target) {
	t.Helper()
	run(t, target, func(a area) bool { return a.frequent })
}

func run(t *testing.T, target Target, chosen func(area) bool) {
	t.Helper()
	for _, area := range areas() {
		if !chosen(area) {
			continue
		}
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

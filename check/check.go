// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

// Package check finds in a running server what its administrator should know of:
// tokens that last too long, that are used wrongly or not at all, and namespaces
// that do not end.
//
// Findings are functions of the objects that are there (State) and of what an
// audit log shows (Uses). Read gets the objects, with a client of any server of
// the Kubernetes API.
package check

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A Finding is something that an administrator should know of.
type Finding struct {
	// Check is what was looked for, the same for all findings of its kind.
	Check  string `json:"check"`
	Object Object `json:"object"`
	// Since is when it began, as far as that can be told.
	Since *metav1.Time `json:"since,omitempty"`
	// Says is what is the case, Mend what to do.
	Says string `json:"finding"`
	Mend string `json:"mend"`
}

// Object is what a finding is about.
type Object struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
}

// String is the object as kubectl takes it: "pod/worker -n dev".
func (o Object) String() string {
	text := o.Kind + "/" + o.Name
	if o.Namespace != "" {
		text += " -n " + o.Namespace
	}
	return text
}

// An Omission is a check that was not made, or not in full.
type Omission struct {
	Check string `json:"check"`
	Why   string `json:"why"`
}

// A Report is all that was found, check by check.
type Report struct {
	Findings  []Finding  `json:"findings"`
	Omissions []Omission `json:"notChecked"`
}

// The checks, in the order in which a report has them.
const (
	LegacyToken      = "legacy-token"
	MountableSecrets = "mountable-secrets"
	UnusedToken      = "unused-token"
	StaleToken       = "stale-token"
	StuckNamespace   = "stuck-namespace"
)

// Run makes all checks. Without an audit log uses is nil, and what takes one is
// an omission.
func Run(state *State, uses *Uses, now time.Time) *Report {
	report := &Report{Findings: []Finding{}, Omissions: append([]Omission{}, state.Omissions...)}
	add := func(findings []Finding) { report.Findings = append(report.Findings, findings...) }
	add(legacyTokens(state, uses))
	add(mountableSecrets(state))
	if uses == nil {
		report.Omissions = append(report.Omissions, Omission{UnusedToken, "it takes an audit log to tell: --audit-log FILE"})
	} else {
		add(unusedTokens(state, uses))
	}
	add(staleTokens(state, uses, now))
	add(stuckNamespaces(state, now))
	return report
}

func since(t time.Time) *metav1.Time {
	if t.IsZero() {
		return nil
	}
	// A second is what the API tells, too.
	return &metav1.Time{Time: t.UTC().Truncate(time.Second)}
}

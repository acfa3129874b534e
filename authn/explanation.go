// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package authn

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/muster-identity/muster/token"
)

// Step is what one step of a check found.
type Step struct {
	// Check says what was checked: "signature", "expiry", "pod" and so on.
	Check string `json:"check"`
	// Wanted and Got say what a good token has and what this one has. Both are
	// for people, and empty if the step was not taken.
	Wanted string `json:"wanted,omitempty"`
	Got    string `json:"got,omitempty"`
	Result Result `json:"result"`
	// Error is why the step failed, in Kubernetes' words.
	Error string `json:"error,omitempty"`
}

// Result is how a step ended.
type Result string

// The results of a step. A step is NotChecked if what it would look at is not
// known to be true, as with everything that an unsigned token says.
const (
	Passed     Result = "passed"
	Failed     Result = "failed"
	NotChecked Result = "not checked"
)

// Mark is the result as one character.
func (r Result) Mark() string {
	switch r {
	case Passed:
		return "✓"
	case Failed:
		return "✗"
	}
	return "-"
}

// Explanation is what the check of one token found, step by step, in the order
// in which the documentation of service accounts tells of them.
type Explanation struct {
	// CredentialID names the token as audit logs do: JTI=<id>. It is empty if
	// nobody vouches for what the token says.
	CredentialID string `json:"credentialID,omitempty"`
	Steps        []Step `json:"steps"`
}

// String is the explanation in one line: a mark and the name of each step, and
// of one that failed what was wanted and what was found. It has nothing of the
// token's text.
func (e Explanation) String() string {
	parts := make([]string, 0, len(e.Steps))
	for _, s := range e.Steps {
		part := s.Result.Mark() + " " + s.Check
		if s.Result == Failed {
			part += ": wanted " + s.Wanted + ", got " + s.Got
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, "; ")
}

// Explain runs all steps of the check of a token, whatever each of them finds.
// It is not ok if the token is none of ours. The verdict of AuthenticateToken
// comes of the same steps, and costs nothing of this.
func (s *ServiceAccounts) Explain(ctx context.Context, compact string) (Explanation, bool) {
	claims, ours, err := s.verify(compact)
	if !ours {
		return Explanation{}, false
	}
	_, keyID, _ := token.Peek(compact)
	signature := stepOf("signature", "one of "+strconv.Itoa(len(s.Keys.Current().Keys()))+" keys", "key "+quote(keyID), err)
	if err != nil {
		return Explanation{Steps: append([]Step{signature}, unchecked()...)}, true
	}
	c := s.check(ctx, claims)
	return Explanation{CredentialID: claims.CredentialID(), Steps: append([]Step{signature}, c.explain(ctx)...)}, true
}

// unchecked are the steps that every token goes through, not taken.
func unchecked() []Step {
	return []Step{
		{Check: "issuer", Result: NotChecked},
		{Check: "expiry", Result: NotChecked},
		{Check: "service account", Result: NotChecked},
		{Check: "not before", Result: NotChecked},
		{Check: "audience", Result: NotChecked},
	}
}

func stepOf(name, wanted, got string, err error) Step {
	if err == nil {
		return Step{Check: name, Wanted: wanted, Got: got, Result: Passed}
	}
	var known *refusal
	if errors.As(err, &known) {
		got = known.got
	}
	return Step{Check: name, Wanted: wanted, Got: got, Result: Failed, Error: err.Error()}
}

// refusal is an error in Kubernetes' words that knows more than it says.
type refusal struct {
	error
	// got is what was found instead of what was wanted.
	got string
}

// Unwrap is what Kubernetes says.
func (r *refusal) Unwrap() error { return r.error }

// quote makes text that comes from a token safe to print.
func quote(s string) string { return strconv.Quote(s) }

func quoted(list []string) string { return fmt.Sprintf("%q", list) }

func second(unix int64) string { return moment(time.Unix(unix, 0)) }

func moment(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func leeway() string { return " (give or take " + token.Leeway.String() + ")" }

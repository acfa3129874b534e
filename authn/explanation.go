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

	"k8s.io/apiserver/pkg/authentication/authenticator"

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
// The wanted audiences are those that ctx names, or else the API's. It is not ok
// if the token is none of ours. The verdict of AuthenticateToken comes of the
// same steps, and costs nothing of this.
func (s *ServiceAccounts) Explain(ctx context.Context, compact string) (Explanation, bool) {
	known, ours, err := s.verify(ctx, compact)
	if !ours {
		return Explanation{}, false
	}
	if err != nil {
		return s.explainUnsigned(compact, err), true
	}
	wanted, ok := authenticator.AudiencesFrom(ctx)
	if !ok {
		wanted = s.APIAudiences
	}
	return s.check(known, wanted).explanation(ctx), true
}

// explainUnsigned explains a token whose signature is refused with err. It
// believes nothing of what the token says.
func (s *ServiceAccounts) explainUnsigned(compact string, err error) Explanation {
	peeked, _ := token.Peek(compact)
	keyID := peeked.KeyID
	got := "none for the key id " + quote(keyID)
	if keyID == "" {
		got = "no key id, and none that fits"
	}
	result := []Step{stepOf("signature", s.wantedKeys(), got, err)}
	for _, name := range []string{"issuer", "expiry", "service account", "not before", "audience"} {
		result = append(result, Step{Check: name, Result: NotChecked})
	}
	return Explanation{Steps: result}
}

func (s *ServiceAccounts) wantedKeys() string {
	var ids []string
	for _, key := range s.Keys.Current().Keys() {
		ids = append(ids, key.ID)
	}
	return "that of one of the keys " + quoted(ids)
}

func (c check) explanation(ctx context.Context) Explanation {
	signature := stepOf("signature", c.wantedKeys(), "one of them", nil)
	return Explanation{CredentialID: c.seen.credential, Steps: append([]Step{signature}, c.explain(ctx)...)}
}

func stepOf(name, wanted, got string, err error) Step {
	if err == nil {
		return Step{Check: name, Wanted: wanted, Got: got, Result: Passed}
	}
	return Step{Check: name, Wanted: wanted, Got: foundBy(err, got), Result: Failed, Error: err.Error()}
}

// Refusal is why a token that we signed is not good. Its text is Kubernetes',
// and fit for everyone; the rest is for those who may know.
type Refusal struct {
	err   error
	step  *step
	check check
}

// Error is what Kubernetes says.
func (r *Refusal) Error() string { return r.err.Error() }

// Unwrap is the error of the step that failed.
func (r *Refusal) Unwrap() error { return r.err }

// CredentialID names the token as audit logs do, or is empty.
func (r *Refusal) CredentialID() string { return r.check.seen.credential }

// Detail tells what was wanted and what was found.
func (r *Refusal) Detail() string {
	wanted, got := r.step.show(r.check)
	return r.step.name + ": wanted " + wanted + ", got " + foundBy(r.err, got)
}

// found is an error in Kubernetes' words that knows more than it says.
type found struct {
	error
	// got is what was found instead of what was wanted.
	got string
}

// Unwrap is what Kubernetes says.
func (f *found) Unwrap() error { return f.error }

// foundBy is what a step found that failed with err.
func foundBy(err error, otherwise string) string {
	var known *found
	if errors.As(err, &known) {
		return known.got
	}
	return otherwise
}

// quote makes text that comes from a token safe to print.
func quote(s string) string { return strconv.Quote(s) }

func quoted(list []string) string { return fmt.Sprintf("%q", list) }

func second(unix int64) string { return moment(time.Unix(unix, 0)) }

func moment(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func leeway() string { return " (give or take " + token.Leeway.String() + ")" }

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestASeedIsAlwaysTheSamePolicyAndQuestions(t *testing.T) {
	t.Parallel()
	asked := func(seed uint64) (policy []object, questions []question) {
		c := newChance(seed, 3)
		policy = c.policy()
		for range 50 {
			questions = append(questions, c.question(policy))
		}
		return policy, questions
	}
	policy, questions := asked(1)
	again, questionsAgain := asked(1)
	if diff := cmp.Diff(policy, again) + cmp.Diff(questions, questionsAgain); diff != "" {
		t.Errorf("another time (-want +got):\n%s", diff)
	}
	if other, _ := asked(2); cmp.Equal(policy, other) {
		t.Error("another seed makes the same policy")
	}
	names := map[string]bool{}
	for _, obj := range policy {
		path := pathOf(obj, true)
		if names[path] {
			t.Errorf("there are two %s", path)
		}
		names[path] = true
		if sent, err := encode(obj); err != nil || len(sent) == 0 {
			t.Errorf("%s: encoded as %q, error %v", path, sent, err)
		}
	}
}

func TestAnAnswerIsReadWithoutWhatDependsOnChance(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		sort   sort
		status int
		body   string
		want   answer
	}{
		{
			name: "missing roles are sorted, and what stands between them stays", sort: writes, status: http.StatusForbidden,
			body: `{"reason":"Forbidden","message":"no: RBAC: [role.rbac \"z\" not found, clusterrole.rbac \"a\" not found]"}`,
			want: answer{Code: 403, Reason: "Forbidden", Message: `no: RBAC: [clusterrole.rbac "a" not found, role.rbac "z" not found]`},
		},
		{
			name: "a decision", sort: access, status: http.StatusCreated,
			body: `{"status":{"allowed":true,"reason":"RBAC: allowed by [x]"}}`,
			want: answer{Code: 201, Allowed: true, Reason: "RBAC: allowed by [x]"},
		},
		{
			name: "rules are sorted", sort: rules, status: http.StatusCreated,
			body: `{"status":{"resourceRules":[{"verbs":["list"]},{"verbs":["get","a"]}],"incomplete":true,"evaluationError":"e"}}`,
			want: answer{Code: 201, Message: "e", Content: []string{"incomplete: true", `{"verbs":["get","a"]}`, `{"verbs":["list"]}`}},
		},
		{
			name: "times and versions are no content", sort: writes, status: http.StatusOK,
			body: `{"metadata":{"uid":"u"},"rules":[],"kind":"Role"}`,
			want: answer{Code: 200, Content: []string{`{"kind":"Role","rules":[]}`}},
		},
	} {
		got, err := read(test.sort, test.status, []byte(test.body))
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
		if diff := cmp.Diff(test.want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
		other := test.want
		other.Code++
		if !got.equal(test.want) || got.equal(other) {
			t.Errorf("%s: equal to itself %t, to another %t", test.name, got.equal(test.want), got.equal(other))
		}
	}
}

func TestOptionsThatMakeNoSenseAreTurnedAway(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"-policies", "0"}, "-policies 0, -questions 100: both must be at least 1"},
		{[]string{"-o", "yaml"}, `-o "yaml": want text or json`},
		{[]string{"more"}, `unexpected argument "more"`},
	} {
		if _, err := parse(test.args, io.Discard); err == nil || err.Error() != test.want {
			t.Errorf("%q: got error %v, want %q", test.args, err, test.want)
		}
	}
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	identityv1 "github.com/muster-identity/muster/identity/v1"
)

func revocationFrom(t testing.TB, spec string) *identityv1.TokenRevocation {
	t.Helper()
	revocation := &identityv1.TokenRevocation{}
	if err := json.Unmarshal([]byte(spec), &revocation.Spec); err != nil {
		t.Fatal(err)
	}
	return revocation
}

func errorTexts(errs field.ErrorList) []string {
	var texts []string
	for _, err := range errs {
		texts = append(texts, err.Error())
	}
	return texts
}

func TestARevocationSaysInOneWayWhichTokensAreVoid(t *testing.T) {
	t.Parallel()
	const account = `{"serviceAccount": {"namespace": "dev", "name": "reporter", `
	tests := map[string][]string{
		`{"token": {"issuer": "https://muster.example", "jti": "1"}}`:                         nil,
		account + `"uid": "u", "issuedBefore": "2026-11-01T12:00:00Z"}, "reason": "lost, ✓"}`: nil,
		`{"key": {"id": "k"}, "expirationTimestamp": "2027-01-01T00:00:00Z"}`:                 nil,
		`{"node": {"name": "n1.example", "uid": "u"}}`:                                        nil,

		`{}`: {`spec: Required value: one of token, serviceAccount, key and node must say which tokens are void`},
		`{"key": {"id": "k"}, "node": {"name": "n"}}`: {
			`spec: Invalid value: "key, node": only one of token, serviceAccount, key and node may be set: make a revocation for each`,
		},
		`{"token": {}}`:          {"spec.token.issuer: Required value", "spec.token.jti: Required value"},
		`{"serviceAccount": {}}`: {"spec.serviceAccount.namespace: Required value", "spec.serviceAccount.name: Required value"},
		`{"key": {}}`:            {"spec.key.id: Required value"},
		`{"node": {}}`:           {"spec.node.name: Required value"},
		`{"token": {"issuer": "i", "jti": "JTI=1"}}`: {
			`spec.token.jti: Invalid value: "JTI=1": must be the claim jti alone, without "JTI="`,
		},
		`{"token": {"issuer": "i", "jti": "eyJhbGciOiJFUzI1NiJ9.e30.c2ln"}}`: {
			`spec.token.jti: Invalid value: "<a token>": must be the claim jti of the token, not the token`,
		},
		`{"key": {"id": "k\n"}}`:                       {`spec.key.id: Invalid value: "k\n": must be one line of printable characters`},
		`{"key": {"id": "k"}, "reason": "\u001b[31m"}`: {`spec.reason: Invalid value: "\x1b[31m": must be one line of printable characters`},
		account + `"issuedBefore": "1969-12-31T23:59:59Z"}}`: {
			`spec.serviceAccount.issuedBefore: Invalid value: "1969-12-31T23:59:59Z": must be later than 1970 and no later than the year 9999`,
		},
		`{"key": {"id": "` + strings.Repeat("k", 1025) + `"}}`: {`spec.key.id: Too long: may not be more than 1024 bytes`},
	}
	for spec, want := range tests {
		got := errorTexts(validateTokenRevocation(revocationFrom(t, spec)))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%.80s: errors (-want +got):\n%s", spec, diff)
		}
	}
	for _, spec := range []string{`{"serviceAccount": {"namespace": "A B", "name": "reporter"}}`, `{"serviceAccount": {"namespace": "dev", "name": "A B"}}`, `{"node": {"name": "A B"}}`} {
		if errs := validateTokenRevocation(revocationFrom(t, spec)); len(errs) != 1 || errs[0].Type != field.ErrorTypeInvalid {
			t.Errorf("%s: errors %v, want one of an invalid value", spec, errs)
		}
	}
}

func TestTheServerReckonsWhenTheLastTokenHasExpired(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 1, 12, 0, 0, 500_000_000, time.UTC)
	const longest = time.Hour
	tests := []struct{ name, given, want string }{
		{"a token", `{"token": {"issuer": "i", "jti": "1"}}`, `{"token": {"issuer": "i", "jti": "1"}, "expirationTimestamp": "2026-11-01T13:00:01Z"}`},
		{"a token whose end is known", `{"token": {"issuer": "i", "jti": "1"}, "expirationTimestamp": "2026-11-01T12:30:00Z"}`, `{"token": {"issuer": "i", "jti": "1"}, "expirationTimestamp": "2026-11-01T12:30:00Z"}`},
		{"an account", `{"serviceAccount": {"namespace": "dev", "name": "r"}}`, `{"serviceAccount": {"namespace": "dev", "name": "r", "issuedBefore": "2026-11-01T12:00:01Z"}, "expirationTimestamp": "2026-11-01T13:00:01Z"}`},
		{"an account, up to a time", `{"serviceAccount": {"namespace": "dev", "name": "r", "issuedBefore": "2026-11-01T10:00:00.2Z"}}`, `{"serviceAccount": {"namespace": "dev", "name": "r", "issuedBefore": "2026-11-01T10:00:01Z"}, "expirationTimestamp": "2026-11-01T11:00:01Z"}`},
		{"an account, for ever", `{"serviceAccount": {"namespace": "dev", "name": "r", "issuedBefore": "9999-12-31T23:59:59Z"}}`, `{"serviceAccount": {"namespace": "dev", "name": "r", "issuedBefore": "9999-12-31T23:59:59Z"}, "expirationTimestamp": "9999-12-31T23:59:59Z"}`},
		{"a key", `{"key": {"id": "k"}}`, `{"key": {"id": "k"}}`},
		{"a node", `{"node": {"name": "n"}}`, `{"node": {"name": "n"}}`},
		{"a node, for a while", `{"node": {"name": "n"}, "expirationTimestamp": "2026-11-02T00:00:00Z"}`, `{"node": {"name": "n"}, "expirationTimestamp": "2026-11-02T00:00:00Z"}`},
		{"nothing", `{}`, `{}`},
	}
	for _, test := range tests {
		got, want := revocationFrom(t, test.given), revocationFrom(t, test.want)
		reckonTimes(&got.Spec, now, longest)
		if diff := cmp.Diff(want.Spec, got.Spec); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}

func TestARevocationLastsForWhatWasSignedAndForWhatIsIssuedYet(t *testing.T) {
	t.Parallel()
	const (
		token   = `{"token": {"issuer": "i", "jti": "1"}}`
		account = `{"serviceAccount": {"namespace": "dev", "name": "r"}}`
	)
	for _, test := range []struct {
		spec           string
		signed, issued time.Duration
		want           time.Duration // -1: the end is not reckoned
	}{
		{token, 24 * time.Hour, time.Hour, 24 * time.Hour},
		{token, time.Hour, 24 * time.Hour, time.Hour},
		{account, 24 * time.Hour, time.Hour, 24 * time.Hour},
		{account, time.Hour, 24 * time.Hour, 24 * time.Hour},
		{`{"key": {"id": "k"}}`, time.Hour, time.Hour, -1},
		{`{"node": {"name": "n"}}`, time.Hour, time.Hour, -1},
		{`{"token": {"issuer": "i", "jti": "1"}, "expirationTimestamp": "2026-11-02T00:00:00Z"}`, time.Hour, time.Hour, -1},
	} {
		asked := false
		strategy := timedRevocations{lives: TokenLives{
			Signed: func(context.Context) time.Duration { asked = true; return test.signed },
			Issued: test.issued,
		}}
		got := strategy.longest(t.Context(), &revocationFrom(t, test.spec).Spec)
		if asked != (test.want >= 0) || asked && got != test.want {
			t.Errorf("%s, signed for %s and issued for %s: lasts for %s (reckoned: %v), want %s", test.spec, test.signed, test.issued, got, asked, test.want)
		}
	}
}

func TestARevocationIsNotChangedIntoAnother(t *testing.T) {
	t.Parallel()
	definition := tokenRevocations().(*Definition[*identityv1.TokenRevocation])
	old := revocationFrom(t, `{"serviceAccount": {"namespace": "dev", "name": "r"}}`)
	reckonTimes(&old.Spec, time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC), time.Hour)
	tests := map[string]bool{ // by the new spec: whether it is taken
		`{"serviceAccount": {"namespace": "dev", "name": "r"}}`:                                                true,
		`{"serviceAccount": {"namespace": "dev", "name": "r", "issuedBefore": "2026-11-01T12:00:00Z"}}`:        true,
		`{"serviceAccount": {"namespace": "dev", "name": "r", "issuedBefore": "2026-11-01T12:00:01Z"}}`:        false,
		`{"serviceAccount": {"namespace": "dev", "name": "r"}, "reason": "another"}`:                           false,
		`{"serviceAccount": {"namespace": "dev", "name": "r"}, "expirationTimestamp": "2030-01-01T00:00:00Z"}`: false,
		`{"node": {"name": "r"}}`: false,
		`{}`:                      false,
	}
	for spec, taken := range tests {
		changed := revocationFrom(t, spec)
		definition.PrepareUpdate(t.Context(), changed, old)
		errs := definition.ValidateUpdate(changed, old)
		if (len(errs) == 0) != taken || !taken && errs[0].Detail != "field is immutable" {
			t.Errorf("%s: errors %v, want it taken: %v", spec, errs, taken)
		}
	}
}

func TestARevocationIsPrintedInAFewWords(t *testing.T) {
	t.Parallel()
	for spec, want := range map[string]string{
		`{"token": {"issuer": "https://muster.example", "jti": "1"}}`:                                   "token 1 of https://muster.example",
		`{"serviceAccount": {"namespace": "dev", "name": "r", "issuedBefore": "2026-11-01T12:00:00Z"}}`: "serviceaccount dev/r before 2026-11-01T12:00:00Z",
		`{"serviceAccount": {"namespace": "dev", "name": "r", "uid": "u"}}`:                             "serviceaccount dev/r (u)",
		`{"key": {"id": "k"}}`:                "key k",
		`{"node": {"name": "n", "uid": "u"}}`: "node n (u)",
		`{}`:                                  "",
	} {
		if got := revokedTokens(&revocationFrom(t, spec).Spec); got != want {
			t.Errorf("%s: %q, want %q", spec, got, want)
		}
	}
	now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	for want, at := range map[string]*metav1.Time{
		"<never>": nil, "0s": {Time: now}, "90m": {Time: now.Add(90 * time.Minute)},
	} {
		if got := revocationEnd(at, now); got != want {
			t.Errorf("the end at %v: %q, want %q", at, got, want)
		}
	}
}

// What is accepted can be kept: it comes back from the store as it was, and
// covers tokens in one way.
func FuzzWhatARevocationAcceptsItKeeps(f *testing.F) {
	for _, seed := range []string{
		`{"token": {"issuer": "https://muster.example", "jti": "1"}, "reason": "lost"}`,
		`{"serviceAccount": {"namespace": "dev", "name": "r", "issuedBefore": "2026-11-01T12:00:00.7Z"}}`,
		`{"serviceAccount": {"namespace": "dev", "name": "r", "issuedBefore": "9999-12-31T23:59:59.9Z"}}`,
		`{"key": {"id": "k"}, "expirationTimestamp": "0001-01-01T00:00:00Z"}`,
		`{"node": {"name": "n", "uid": "u"}, "token": {}}`,
		`{}`,
	} {
		f.Add(seed)
	}
	now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, spec string) {
		revocation := &identityv1.TokenRevocation{}
		if json.Unmarshal([]byte(spec), &revocation.Spec) != nil {
			t.Skip()
		}
		reckonTimes(&revocation.Spec, now, time.Hour)
		if len(validateTokenRevocation(revocation)) > 0 {
			return
		}
		if revokedTokens(&revocation.Spec) == "" {
			t.Errorf("%q is accepted and says nothing", spec)
		}
		stored, err := json.Marshal(revocation)
		if err != nil {
			t.Fatal(err)
		}
		kept := &identityv1.TokenRevocation{}
		if err := json.Unmarshal(stored, kept); err != nil {
			t.Fatalf("%q is accepted and cannot be read again: %v", spec, err)
		}
		if diff := cmp.Diff(revocation, kept); diff != "" {
			t.Errorf("%q comes back as another (-before +after):\n%s", spec, diff)
		}
	})
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package authn_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apiserver/pkg/authentication/authenticator"

	"github.com/muster-identity/muster/authn"
	"github.com/muster-identity/muster/live"
	"github.com/muster-identity/muster/token"
)

const jti = "JTI=6b3d2f7a-52d1-4c5e-9d0a-6f6d3c1c0b52"

func TestEveryStepIsExplainedInTheOrderOfThePage(t *testing.T) {
	t.Parallel()
	expired := func(c *token.Claims) {
		c.IssuedAt, c.NotBefore, c.Expiry = now.Unix()-7200, now.Unix()-7200, now.Unix()-3600
	}
	for name, test := range map[string]struct {
		kind       string
		change     func(*token.Claims)
		world      func(*world)
		audiences  authenticator.Audiences
		want       string
		credential string
	}{
		"good": {kind: "pods", want: "✓ signature; ✓ issuer; ✓ expiry; ✓ service account; ✓ pod; ✓ not before; ✓ issued at; ✓ audience", credential: jti},
		"good, bound to nothing": {
			want: "✓ signature; ✓ issuer; ✓ expiry; ✓ service account; ✓ not before; ✓ issued at; ✓ audience", credential: jti,
		},
		"expired": {
			kind: "nodes", change: expired, credential: jti,
			want: "✓ signature; ✓ issuer; ✗ expiry: wanted a time until 2026-11-01T11:00:00Z (give or take 1m0s), got 2026-11-01T12:00:00Z; ✓ service account; ✓ node; ✓ not before; ✓ issued at; ✓ audience",
		},
		"the pod is gone": {
			kind: "pods", world: func(w *world) { w.remove("pods") }, credential: jti,
			want: `✓ signature; ✓ issuer; ✓ expiry; ✓ service account; ✗ pod: wanted "cart-0" in namespace "shop" with UID "pod-uid", got no such pod; ✓ not before; ✓ issued at; ✓ audience`,
		},
		"the secret is another one": {
			kind: "secrets", world: func(w *world) { w.change("secrets", func(m *live.Meta) { m.UID = "new" }) }, credential: jti,
			want: `✓ signature; ✓ issuer; ✓ expiry; ✓ service account; ✗ secret: wanted "seal" in namespace "shop" with UID "seal-uid", got another one: UID new; ✓ not before; ✓ issued at; ✓ audience`,
		},
		"everything is wrong": {
			kind: "pods", change: func(c *token.Claims) {
				expired(c)
				c.NotBefore, c.IssuedAt = now.Unix()+7200, now.Unix()+7200
			},
			world: func(w *world) {
				w.remove("serviceaccounts")
				w.change("pods", func(m *live.Meta) { m.DeletedAt = now.Add(-time.Hour) })
			},
			audiences: authenticator.Audiences{"vault"}, credential: jti,
			want: `✓ signature; ✓ issuer; ✗ expiry: wanted a time until 2026-11-01T11:00:00Z (give or take 1m0s), got 2026-11-01T12:00:00Z; ` +
				`✗ service account: wanted "cart" in namespace "shop" with UID "cart-uid", got no such account; ` +
				`✗ pod: wanted "cart-0" in namespace "shop" with UID "pod-uid", got one deleted at 2026-11-01T11:00:00Z; ` +
				`✗ not before: wanted a time from 2026-11-01T14:00:00Z (give or take 1m0s), got 2026-11-01T12:00:00Z; ` +
				`✗ issued at: wanted a time from 2026-11-01T14:00:00Z (give or take 1m0s), got 2026-11-01T12:00:00Z; ` +
				`✗ audience: wanted one of ["vault"], got ["https://muster.example"]`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t)
			for _, w := range []*world{d.memory, d.store} {
				if test.world != nil {
					test.world(w)
				}
			}
			change := test.change
			if change == nil {
				change = func(*token.Claims) {}
			}
			ctx := t.Context()
			if test.audiences != nil {
				ctx = authenticator.WithAudiences(ctx, test.audiences)
			}
			compact := d.sign(t, claimsOf(test.kind), change)
			explanation, ok := d.Explain(ctx, compact)
			if !ok {
				t.Fatal("not explained")
			}
			if diff := cmp.Diff(test.want, explanation.String()); diff != "" {
				t.Error(diff)
			}
			if explanation.CredentialID != test.credential {
				t.Errorf("credential %q, want %q", explanation.CredentialID, test.credential)
			}
			if (d.verdict(ctx, compact) == "") != !strings.Contains(explanation.String(), "✗") {
				t.Errorf("verdict %q", d.verdict(ctx, compact))
			}
		})
	}
}

// TestTheVerdictIsThatOfAStep holds verdict and explanation of all tokens that
// fail in one way to each other.
func TestTheVerdictIsThatOfAStep(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*token.Claims){
		"expiry":          func(c *token.Claims) { c.Expiry = 1 },
		"not before":      func(c *token.Claims) { c.NotBefore += 3600 },
		"issued at":       func(c *token.Claims) { c.IssuedAt += 3600 },
		"audience":        func(c *token.Claims) { c.Audience = []string{"vault"} },
		"service account": func(c *token.Claims) { c.Kubernetes.ServiceAccount.UID = "x" },
		"pod":             func(c *token.Claims) { c.Kubernetes.Pod.Name = "x" },
		"webhook":         func(c *token.Claims) { c.Kubernetes.ValidatingWebhookConfiguration = &token.Ref{} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t)
			compact := d.sign(t, claimsOf("pods"), change)
			explanation, _ := d.Explain(t.Context(), compact)
			var failed []authn.Step
			for _, step := range explanation.Steps {
				if step.Result == authn.Failed {
					failed = append(failed, step)
				}
			}
			if len(failed) != 1 || failed[0].Check != name || failed[0].Error != d.verdict(t.Context(), compact) {
				t.Errorf("failed steps %+v, verdict %q", failed, d.verdict(t.Context(), compact))
			}
		})
	}
}

func TestNothingIsBelievedOfAnUnsignedToken(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	other := newDesk(t)
	explanation, ok := d.Explain(t.Context(), other.sign(t, claimsOf("pods")))
	want := `✗ signature: wanted that of one of the keys ["` + d.signer.key.ID + `"], got none for the key id "` + other.signer.key.ID + `"; - issuer; - expiry; - service account; - not before; - audience`
	if !ok || explanation.String() != want || explanation.CredentialID != "" {
		t.Errorf("ok %v, credential %q, explanation\n%s, want\n%s", ok, explanation.CredentialID, explanation, want)
	}
	if d.memory.asked()+d.store.asked() != 0 {
		t.Error("objects were looked up")
	}
	for _, compact := range []string{"", "word", d.sign(t, grant().Claims(), func(c *token.Claims) { c.Issuer = "https://elsewhere" })} {
		if _, ok := d.Explain(t.Context(), compact); ok {
			t.Error("a token of somebody else is explained")
		}
	}
}

func TestARequestIsRefusedWithTheCauseForTheLogAndAudit(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		compact           func(d *desk) string
		err, steps, named string
	}{
		"signed": {
			func(d *desk) string {
				return d.sign(t, claimsOf("pods"), func(c *token.Claims) { c.Kubernetes.Pod.UID = "old" })
			},
			"pod UID (pod-uid) does not match service account pod ref claim (old) (pod: wanted \"cart-0\" in namespace \"shop\" with UID \"old\", got another one: UID pod-uid; " + jti + ")",
			"✗ pod: wanted", jti,
		},
		"not signed": {func(*desk) string { return newDesk(t).sign(t, claimsOf("pods")) }, noKeys, "✗ signature", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t)
			compact := test.compact(d)
			for _, listens := range []bool{true, false} {
				tokens := d.ForRequests(func(context.Context) bool { return listens })
				annotations := audited(t, func(ctx context.Context) {
					if _, ok, err := tokens.AuthenticateToken(ctx, compact); ok || err == nil || err.Error() != test.err {
						t.Errorf("error %v, want %s", err, test.err)
					}
				})
				if got := annotations[authn.StepsAnnotation]; strings.Contains(got, test.steps) != listens || (got == "") != !listens {
					t.Errorf("audit listens: %v, steps %q", listens, got)
				}
				if got := annotations[authn.CredentialAnnotation]; listens && got != test.named || !listens && got != "" {
					t.Errorf("audit listens: %v, credential %q", listens, got)
				}
			}
		})
	}
	d := newDesk(t)
	tokens := d.ForRequests(func(context.Context) bool { t.Error("asked for a good token"); return true })
	if _, ok, err := tokens.AuthenticateToken(t.Context(), d.sign(t, claimsOf("pods"))); !ok || err != nil {
		t.Error(err)
	}
	if _, ok, err := tokens.AuthenticateToken(t.Context(), "word"); ok || err != nil {
		t.Error("a token of others is not left to others")
	}
}

func BenchmarkExplanation(b *testing.B) {
	d := newDesk(b)
	compact := d.sign(b, claimsOf("pods"))
	b.ReportAllocs()
	for b.Loop() {
		explanation, _ := d.Explain(b.Context(), compact)
		_ = explanation.String()
	}
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package authn_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/warning"
	"k8s.io/component-base/metrics"

	"github.com/muster-identity/muster/authn"
	"github.com/muster-identity/muster/live"
	"github.com/muster-identity/muster/token"
)

// vault is a world with one Secret that keeps a token, and what its account says
// of it.
type vault struct {
	*world
	secret  live.Secret
	secrets []string // of the account
}

func (v *vault) Secret(ctx context.Context, namespace, name string) (live.Secret, error) {
	meta, err := v.world.Secret(ctx, namespace, name)
	v.mu.Lock()
	defer v.mu.Unlock()
	secret := v.secret
	secret.Meta = meta.Meta
	return secret, err
}

func (v *vault) ServiceAccount(ctx context.Context, namespace, name string) (live.ServiceAccount, error) {
	account, err := v.world.ServiceAccount(ctx, namespace, name)
	account.Secrets = v.secrets
	return account, err
}

// legacyDesk is a desk, its vault, and the token in it.
type legacyDesk struct {
	*desk
	memory, store *vault
	compact       string
	uses          []authn.LegacyUse
	counted       metrics.KubeRegistry
}

func legacyClaims() token.Claims {
	return token.Claims{
		Issuer: "kubernetes/serviceaccount", Subject: "system:serviceaccount:shop:cart",
		Kubernetes: token.Kubernetes{
			Namespace: "shop", ServiceAccount: token.Ref{Name: "cart", UID: "cart-uid"}, Secret: &token.Ref{Name: "seal"},
		},
	}
}

func (d *desk) signLegacy(t testing.TB, claims token.Claims, change ...func(*token.Claims)) string {
	t.Helper()
	for _, f := range change {
		f(&claims)
	}
	payload, err := claims.EncodeLegacy()
	if err != nil {
		t.Fatal(err)
	}
	compact, err := d.signer.Sign(t.Context(), payload)
	if err != nil {
		t.Fatal(err)
	}
	return compact
}

func newLegacyDesk(t testing.TB, adjust ...func(*authn.ServiceAccounts)) *legacyDesk {
	t.Helper()
	l := &legacyDesk{memory: &vault{world: inhabited()}, store: &vault{world: inhabited()}, counted: metrics.NewKubeRegistry()}
	counters := authn.NewMetrics()
	if err := counters.Register(l.counted); err != nil {
		t.Fatal(err)
	}
	l.desk = newDesk(t, append([]func(*authn.ServiceAccounts){func(s *authn.ServiceAccounts) {
		s.Objects, s.Fresh, s.Metrics = l.memory, l.store, counters
		s.LegacyUse = func(use authn.LegacyUse) { l.uses = append(l.uses, use) }
	}}, adjust...)...)
	l.compact = l.signLegacy(t, legacyClaims())
	l.memory.secret.TokenDigest = sha256.Sum256([]byte(l.compact))
	l.store.secret.TokenDigest = l.memory.secret.TokenDigest
	return l
}

// counts are the counters that are not zero.
func (l *legacyDesk) counts(t testing.TB) map[string]float64 {
	t.Helper()
	families, err := l.counted.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, family := range families {
		if n := family.GetMetric()[0].GetCounter().GetValue(); n != 0 {
			got[family.GetName()] = n
		}
	}
	return got
}

func TestATokenOfASecretTellsWhoItsHolderIs(t *testing.T) {
	t.Parallel()
	l := newLegacyDesk(t)
	want := &authenticator.Response{
		Audiences: authenticator.Audiences{api, "api"},
		User: &user.DefaultInfo{
			Name: "system:serviceaccount:shop:cart", UID: "cart-uid",
			Groups: []string{"system:serviceaccounts", "system:serviceaccounts:shop", "system:authenticated"},
		},
	}
	for range 2 {
		got, ok, err := l.AuthenticateToken(t.Context(), l.compact)
		if !ok || err != nil {
			t.Fatal(err)
		}
		got.User = plain(got.User)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("answer differs (-want +got):\n%s", diff)
		}
	}
	if l.store.asked() != 0 {
		t.Errorf("the store was read %d times", l.store.asked())
	}
}

func TestATokenOfASecretIsHeldToItsSecretAndAccount(t *testing.T) {
	t.Parallel()
	const gone = "Token has been invalidated"
	both := func(l *legacyDesk, change func(*vault)) {
		change(l.memory)
		change(l.store)
	}
	for name, test := range map[string]struct {
		change func(l *legacyDesk)
		want   string
	}{
		"nothing changes":         {func(*legacyDesk) {}, ""},
		"the secret is gone":      {func(l *legacyDesk) { l.memory.remove("secrets") }, gone},
		"the secret is elsewhere": {func(l *legacyDesk) { l.memory.change("secrets", func(m *live.Meta) { m.Name = "other" }) }, gone},
		"the secret ends later, by a finalizer": {func(l *legacyDesk) {
			l.memory.change("secrets", func(m *live.Meta) { m.DeletedAt = now.Add(1) })
		}, gone},
		"the store is away": {func(l *legacyDesk) { l.memory.fail("secrets", errors.New("away")) }, gone},
		"the secret has another token": {func(l *legacyDesk) {
			both(l, func(v *vault) { v.secret.TokenDigest[0]++ })
		}, "Token does not match server's copy"},
		"the secret has no token": {func(l *legacyDesk) {
			both(l, func(v *vault) { v.secret.TokenDigest = [32]byte{} })
		}, "Token does not match server's copy"},
		"memory is behind the store": {func(l *legacyDesk) { l.memory.secret.TokenDigest = [32]byte{} }, ""},
		"the account is gone":        {func(l *legacyDesk) { l.memory.remove("serviceaccounts") }, `serviceaccounts "cart" not found`},
		"the account ends later": {func(l *legacyDesk) {
			l.memory.change("serviceaccounts", func(m *live.Meta) { m.DeletedAt = now.Add(1) })
		}, "ServiceAccount shop/cart has been deleted"},
		"the account is another one": {func(l *legacyDesk) {
			both(l, func(v *vault) { v.change("serviceaccounts", func(m *live.Meta) { m.UID = "new" }) })
		}, "ServiceAccount UID (new) does not match claim (cart-uid)"},
		"the secret of another one":   {func(l *legacyDesk) { l.memory.change("secrets", func(m *live.Meta) { m.UID = "new" }) }, ""},
		"the secret is marked":        {func(l *legacyDesk) { l.memory.secret.InvalidSince = "2026-10-01" }, "the token in secret shop/seal for service account shop/cart has been marked invalid. Use tokens from the TokenRequest API or manually created secret-based tokens, or remove the 'kubernetes.io/legacy-token-invalid-since' label from the secret to temporarily allow use of this token"},
		"the secret is marked oddly":  {func(l *legacyDesk) { l.memory.secret.InvalidSince = "x" }, "the token in secret shop/seal for service account shop/cart has been marked invalid. Use tokens from the TokenRequest API or manually created secret-based tokens, or remove the 'kubernetes.io/legacy-token-invalid-since' label from the secret to temporarily allow use of this token"},
		"the key is out of the ring":  {func(l *legacyDesk) { l.keys.Replace(newRing(t, newSigner(t))) }, noKeys},
		"the secret is bound to pods": {func(l *legacyDesk) { l.memory.remove("pods") }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLegacyDesk(t)
			if got := l.verdict(t.Context(), l.compact); got != "" {
				t.Fatalf("verdict before: %q", got)
			}
			test.change(l)
			if got := l.verdict(t.Context(), l.compact); got != test.want {
				t.Errorf("verdict: %q, want %q", got, test.want)
			}
		})
	}
}

func TestATokenOfASecretNeedsAllItsClaims(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(*token.Claims)
		want   string
	}{
		"no subject":         {func(c *token.Claims) { c.Subject = "" }, "sub claim is missing"},
		"no namespace":       {func(c *token.Claims) { c.Kubernetes.Namespace = "" }, "namespace claim is missing"},
		"no secret":          {func(c *token.Claims) { c.Kubernetes.Secret = nil }, "secretName claim is missing"},
		"no account":         {func(c *token.Claims) { c.Kubernetes.ServiceAccount.Name = "" }, "serviceAccountName claim is missing"},
		"no UID":             {func(c *token.Claims) { c.Kubernetes.ServiceAccount.UID = "" }, "serviceAccountUID claim is missing"},
		"nothing":            {func(c *token.Claims) { *c = token.Claims{Issuer: c.Issuer} }, "sub claim is missing"},
		"another's subject":  {func(c *token.Claims) { c.Subject = "system:serviceaccount:shop:boss" }, "sub claim is invalid"},
		"a user's subject":   {func(c *token.Claims) { c.Subject = "ann" }, "sub claim is invalid"},
		"another namespace":  {func(c *token.Claims) { c.Kubernetes.Namespace = "bank" }, "sub claim is invalid"},
		"for another's ears": {func(c *token.Claims) { c.Audience = []string{"vault"} }, `token audiences ["vault"] is invalid for the target audiences ["https://muster.example" "api"]`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLegacyDesk(t)
			if got := l.verdict(t.Context(), l.signLegacy(t, legacyClaims(), test.change)); got != test.want {
				t.Errorf("verdict: %q, want %q", got, test.want)
			}
		})
	}
}

// TestTheTwoKindsOfTokensAreNotTakenForEachOther signs claims of each kind with
// the issuer of the other.
func TestTheTwoKindsOfTokensAreNotTakenForEachOther(t *testing.T) {
	t.Parallel()
	l := newLegacyDesk(t)
	boundAsLegacy := l.sign(t, claimsOf("pods"), func(c *token.Claims) { c.Issuer = token.LegacyIssuer })
	if got := l.verdict(t.Context(), boundAsLegacy); got != "namespace claim is missing" {
		t.Errorf("bound claims under the issuer of Secrets: %q", got)
	}
	legacyAsBound := l.signLegacy(t, legacyClaims(), func(c *token.Claims) { c.Issuer = api })
	if got := l.verdict(t.Context(), legacyAsBound); got != "service account token has expired" {
		t.Errorf("claims of a Secret under our issuer: %q", got)
	}
	both := newLegacyDesk(t, func(s *authn.ServiceAccounts) { s.Issuers = []string{token.LegacyIssuer} })
	bound := both.sign(t, claimsOf("pods"), func(c *token.Claims) { c.Issuer = token.LegacyIssuer })
	for name, compact := range map[string]string{"bound": bound, "of a Secret": both.compact} {
		if got := both.verdict(t.Context(), compact); got != "" {
			t.Errorf("a token %s, of an issuer that both kinds share: %q", name, got)
		}
	}
}

func TestWithoutLookupASignatureIsEnoughForATokenOfASecret(t *testing.T) {
	t.Parallel()
	l := newLegacyDesk(t, func(s *authn.ServiceAccounts) { s.SkipLegacyLookup = true })
	l.memory.remove("secrets")
	l.memory.remove("serviceaccounts")
	if got := l.verdict(t.Context(), l.compact); got != "" {
		t.Errorf("verdict: %q", got)
	}
	if len(l.uses) != 0 {
		t.Errorf("uses %v of a secret that nobody looked at", l.uses)
	}
}

// heard collects warnings.
type heard []string

func (h *heard) AddWarning(_, text string) { *h = append(*h, text) }

func TestTheUseOfATokenOfASecretIsNoticed(t *testing.T) {
	t.Parallel()
	use := []authn.LegacyUse{{Namespace: "shop", Name: "seal", UID: "seal-uid", Day: "2026-11-01"}}
	const subject = "system:serviceaccount:shop:cart"
	for name, test := range map[string]struct {
		change      func(l *legacyDesk)
		annotations map[string]string
		counts      map[string]float64
		warnings    heard
		uses        []authn.LegacyUse
	}{
		"made by hand": {
			func(*legacyDesk) {},
			map[string]string{"authentication.k8s.io/legacy-token": subject, "authentication.k8s.io/legacy-token-manual-secret": "seal"},
			map[string]float64{"serviceaccount_legacy_tokens_total": 1, "serviceaccount_legacy_manual_token_uses_total": 1},
			nil, use,
		},
		"made by a controller": {
			func(l *legacyDesk) { l.memory.secrets = []string{"other", "seal"} },
			map[string]string{"authentication.k8s.io/legacy-token": subject, "authentication.k8s.io/legacy-token-autogenerated-secret": "seal"},
			map[string]float64{"serviceaccount_legacy_tokens_total": 1, "serviceaccount_legacy_auto_token_uses_total": 1},
			heard{"Use tokens from the TokenRequest API or manually created secret-based tokens instead of auto-generated secret-based tokens."},
			use,
		},
		"marked as invalid": {
			func(l *legacyDesk) { l.memory.secret.InvalidSince = "2026-10-01" },
			map[string]string{"authentication.k8s.io/legacy-token": subject, "authentication.k8s.io/legacy-token-invalidated": "seal/shop"},
			map[string]float64{"serviceaccount_legacy_tokens_total": 1, "serviceaccount_invalid_legacy_auto_token_uses_total": 1},
			nil, use,
		},
		"refused": {
			func(l *legacyDesk) { l.memory.remove("serviceaccounts") },
			map[string]string{"authentication.k8s.io/legacy-token": subject},
			map[string]float64{"serviceaccount_legacy_tokens_total": 1},
			nil, nil,
		},
		"used before today": {
			func(l *legacyDesk) { l.memory.secret.LastUsed = "2026-11-01" },
			map[string]string{"authentication.k8s.io/legacy-token": subject, "authentication.k8s.io/legacy-token-manual-secret": "seal"},
			map[string]float64{"serviceaccount_legacy_tokens_total": 1, "serviceaccount_legacy_manual_token_uses_total": 1},
			nil, nil,
		},
		"used by another replica, where it is tomorrow": {
			func(l *legacyDesk) { l.memory.secret.LastUsed = "2026-11-02" },
			map[string]string{"authentication.k8s.io/legacy-token": subject, "authentication.k8s.io/legacy-token-manual-secret": "seal"},
			map[string]float64{"serviceaccount_legacy_tokens_total": 1, "serviceaccount_legacy_manual_token_uses_total": 1},
			nil, nil,
		},
		"used yesterday": {
			func(l *legacyDesk) { l.memory.secret.LastUsed = "2026-10-31" },
			map[string]string{"authentication.k8s.io/legacy-token": subject, "authentication.k8s.io/legacy-token-manual-secret": "seal"},
			map[string]float64{"serviceaccount_legacy_tokens_total": 1, "serviceaccount_legacy_manual_token_uses_total": 1},
			nil, use,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLegacyDesk(t)
			test.change(l)
			var warnings heard
			annotations := audited(t, func(ctx context.Context) { l.verdict(warning.WithWarningRecorder(ctx, &warnings), l.compact) })
			for what, diff := range map[string]string{
				"annotations": cmp.Diff(test.annotations, annotations), "counts": cmp.Diff(test.counts, l.counts(t)),
				"warnings": cmp.Diff(test.warnings, warnings), "uses": cmp.Diff(test.uses, l.uses),
			} {
				if diff != "" {
					t.Errorf("%s differ (-want +got):\n%s", what, diff)
				}
			}
		})
	}
}

func TestATokenOfASecretIsNeverASightForTheFastCheck(t *testing.T) {
	t.Parallel()
	l := newLegacyDesk(t)
	if _, ok, err := l.AuthenticateToken(t.Context(), l.compact); !ok || err != nil {
		t.Fatalf("the token is refused: %v", err)
	}
	before := l.counts(t)
	if _, seen, err := l.CheckSeen(t.Context(), l.compact, l.APIAudiences); seen || err != nil {
		t.Errorf("the fast check has seen the token (%v): its holder would get no warning", err)
	}
	if diff := cmp.Diff(before, l.counts(t)); diff != "" {
		t.Errorf("a use that has to be checked again was counted:\n%s", diff)
	}
}

func TestTokensAreCountedByTheirThreshold(t *testing.T) {
	t.Parallel()
	l := newLegacyDesk(t)
	l.verdict(t.Context(), l.sign(t, grant().Claims()))
	l.verdict(t.Context(), l.sign(t, grant().Claims(), func(c *token.Claims) { c.Kubernetes.WarnAfter = now.Unix() + 60 }))
	l.verdict(t.Context(), l.sign(t, grant().Claims(), func(c *token.Claims) { c.Kubernetes.WarnAfter = now.Unix() - 60 }))
	want := map[string]float64{"serviceaccount_valid_tokens_total": 1, "serviceaccount_stale_tokens_total": 1}
	if diff := cmp.Diff(want, l.counts(t)); diff != "" {
		t.Errorf("counts differ (-want +got):\n%s", diff)
	}
}

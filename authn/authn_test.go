// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package authn_test

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"
	auditinternal "k8s.io/apiserver/pkg/apis/audit"
	"k8s.io/apiserver/pkg/audit"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/muster-identity/muster/authn"
	"github.com/muster-identity/muster/token"
)

const (
	badSignature = "go-jose/go-jose: error in cryptographic primitive"
	noKeys       = "invalid signature, no keys found"
)

func TestAGoodTokenTellsWhoItsHolderIs(t *testing.T) {
	t.Parallel()
	credential := []string{"JTI=6b3d2f7a-52d1-4c5e-9d0a-6f6d3c1c0b52"}
	for kind, extra := range map[string]map[string][]string{
		"": {},
		"pods": {
			"authentication.kubernetes.io/pod-name": {"cart-0"}, "authentication.kubernetes.io/pod-uid": {"pod-uid"},
			"authentication.kubernetes.io/node-name": {"n1"}, "authentication.kubernetes.io/node-uid": {"node-uid"},
		},
		"secrets": {},
		"nodes": {
			"authentication.kubernetes.io/node-name": {"n1"}, "authentication.kubernetes.io/node-uid": {"node-uid"},
		},
	} {
		t.Run("bound to "+kind, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t)
			extra["authentication.kubernetes.io/credential-id"] = credential
			want := &authenticator.Response{
				Audiences: authenticator.Audiences{api},
				User: &user.DefaultInfo{
					Name: "system:serviceaccount:shop:cart", UID: "cart-uid",
					Groups: []string{"system:serviceaccounts", "system:serviceaccounts:shop", "system:authenticated"},
					Extra:  extra,
				},
			}
			compact := d.sign(t, claimsOf(kind))
			for _, use := range []string{"first", "second"} {
				got, ok, err := d.AuthenticateToken(t.Context(), compact)
				if !ok || err != nil {
					t.Fatalf("the %s use was refused: %v", use, err)
				}
				got.User = plain(got.User)
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("the %s use (-want +got):\n%s", use, diff)
				}
			}
		})
	}
}

func TestTokensOfOthersAreLeftToOthers(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	stranger := newSigner(t)
	good := d.sign(t, grant().Claims())
	for name, compact := range map[string]string{
		"nothing":                          "",
		"a word":                           "abcdef.0123456789abcdef",
		"three words":                      "a.b.c",
		"four parts":                       good + "." + good,
		"JSON serialization":               `{"payload":"` + strings.Split(good, ".")[1] + `"}`,
		"another issuer":                   d.sign(t, grant().Claims(), func(c *token.Claims) { c.Issuer = "https://elsewhere" }),
		"no issuer":                        d.sign(t, grant().Claims(), func(c *token.Claims) { c.Issuer = "" }),
		"a payload that is a list":         stranger.anonymously(t, []byte(`["iss","`+api+`"]`)),
		"a signature with a line end":      good + "\n",
		"a key in the header that is none": assemble(`{"alg":"ES256","jwk":{"kty":"odd"}}`, string(encode(t, grant().Claims())), "c2ln"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := d.verdict(t.Context(), compact); got != notOurs {
				t.Errorf("verdict: %q, want %q", got, notOurs)
			}
		})
	}
}

// assemble makes a token of its header and payload; the signature is given.
func assemble(header, payload, signature string) string {
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(header)) + "." + encode([]byte(payload)) + "." + signature
}

func encoded(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

func signed(t *testing.T, key jose.SigningKey, options *jose.SignerOptions, payload string) string {
	t.Helper()
	signer, err := jose.NewSigner(key, options)
	if err != nil {
		t.Fatal(err)
	}
	jws, err := signer.Sign([]byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	compact, err := jws.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return compact
}

// strangers is a token that the stranger signed under an id, or its own.
func strangers(t *testing.T, stranger signer, payload, id string) string {
	t.Helper()
	if id == "" {
		id = stranger.key.ID
	}
	return signed(t, jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: stranger.private, KeyID: id}}, nil, payload)
}

func embedded(t *testing.T, stranger signer, payload, id string) string {
	t.Helper()
	key := jose.SigningKey{Algorithm: jose.ES256, Key: stranger.private}
	options := (&jose.SignerOptions{EmbedJWK: true}).WithHeader("kid", id)
	return signed(t, key, options, payload)
}

func hmacOfPublicKey(t *testing.T, s signer, payload string) string {
	t.Helper()
	secret, err := x509.MarshalPKIXPublicKey(s.key.Public)
	if err != nil {
		t.Fatal(err)
	}
	key := jose.SigningKey{Algorithm: jose.HS256, Key: jose.JSONWebKey{Key: secret, KeyID: s.key.ID}}
	return signed(t, key, nil, payload)
}

func TestSignedNonsenseIsRefused(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	for name, payload := range map[string]string{
		"a time beyond reason":  `{"iss":"` + api + `","exp":9007199254740993000}`,
		"a time before time":    `{"iss":"` + api + `","exp":-1}`,
		"a name that is a list": `{"iss":"` + api + `","kubernetes.io":{"namespace":["shop"]}}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			compact, err := d.signer.Sign(t.Context(), []byte(payload))
			if err != nil {
				t.Fatal(err)
			}
			if got, want := d.verdict(t.Context(), compact), "service account token claims are malformed"; got != want {
				t.Errorf("verdict: %q, want %q", got, want)
			}
		})
	}
}

func TestTheAudienceIsMatched(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		token, wanted []string // wanted nil: the request names none
		want          []string
		refusal       string
	}{
		"the API server by default":               {token: []string{api}, want: []string{api}},
		"all of the API server's":                 {token: []string{"api", "vault", api}, want: []string{api, "api"}},
		"one that is wanted":                      {token: []string{api, "vault"}, wanted: []string{"db", "vault"}, want: []string{"vault"}},
		"in the wanted order":                     {token: []string{"a", "b"}, wanted: []string{"b", "a"}, want: []string{"b", "a"}},
		"a token without any is for the API":      {token: nil, want: []string{api, "api"}},
		"a token without any, for one of the API": {token: nil, wanted: []string{"x", "api"}, want: []string{"api"}},
		"a token for others": {
			token: []string{"vault"}, refusal: `token audiences ["vault"] is invalid for the target audiences ["` + api + `" "api"]`,
		},
		"a token for the API, wanted elsewhere": {
			token: []string{api}, wanted: []string{"vault"}, refusal: `token audiences ["` + api + `"] is invalid for the target audiences ["vault"]`,
		},
		"a token without any, wanted elsewhere": {
			token: nil, wanted: []string{"vault"}, refusal: `token audiences ["` + api + `" "api"] is invalid for the target audiences ["vault"]`,
		},
		"parts of a name are not the name": {
			token: []string{"vault/a"}, wanted: []string{"vault"}, refusal: `token audiences ["vault/a"] is invalid for the target audiences ["vault"]`,
		},
		"none is wanted": {
			token: []string{api}, wanted: []string{}, refusal: `token audiences ["` + api + `"] is invalid for the target audiences []`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t)
			compact := d.sign(t, grant().Claims(), func(c *token.Claims) { c.Audience = test.token })
			ctx := t.Context()
			if test.wanted != nil {
				ctx = authenticator.WithAudiences(ctx, test.wanted)
			}
			// A use for the API must say nothing of the next one for others.
			for _, use := range []string{"first", "second"} {
				response, ok, err := d.AuthenticateToken(ctx, compact)
				if test.refusal != "" {
					if ok || err == nil || err.Error() != test.refusal {
						t.Errorf("%s use: %v, want %q", use, err, test.refusal)
					}
					continue
				}
				if !ok || err != nil {
					t.Fatalf("%s use: refused: %v", use, err)
				}
				if diff := cmp.Diff(authenticator.Audiences(test.want), response.Audiences); diff != "" {
					t.Errorf("%s use (-want +got):\n%s", use, diff)
				}
			}
		})
	}
}

func TestAVerifiedTokenIsNotGoodForAnotherAudience(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	compact := d.sign(t, grant().Claims())
	if got := d.verdict(t.Context(), compact); got != "" {
		t.Fatal(got)
	}
	elsewhere := authenticator.WithAudiences(t.Context(), authenticator.Audiences{"vault"})
	if got := d.verdict(elsewhere, compact); !strings.HasPrefix(got, "token audiences") {
		t.Errorf("verdict: %q", got)
	}
}

func TestTimeIsCheckedWithLeeway(t *testing.T) {
	t.Parallel()
	const (
		expired = "service account token has expired"
		early   = "service account token is not valid yet"
		future  = "service account token is issued in the future"
	)
	start := now.Truncate(time.Second) // of the token's life
	end := start.Add(time.Hour)
	for name, test := range map[string]struct {
		at     time.Time
		change func(*token.Claims)
		want   string
	}{
		"in its life":                     {at: now},
		"at its very end":                 {at: end},
		"at the end of the leeway":        {at: end.Add(time.Minute)},
		"after the leeway":                {at: end.Add(time.Minute + 1), want: expired},
		"long after":                      {at: end.AddDate(10, 0, 0), want: expired},
		"as early as the leeway allows":   {at: start.Add(-time.Minute)},
		"earlier":                         {at: start.Add(-time.Minute - 1), want: early},
		"issued later than it is valid":   {at: start.Add(-time.Minute - 1), change: func(c *token.Claims) { c.NotBefore = 0 }, want: future},
		"issued as late as leeway allows": {at: start.Add(-time.Minute), change: func(c *token.Claims) { c.NotBefore = 0 }},
		"without an end":                  {at: now, change: func(c *token.Claims) { c.Expiry = 0 }, want: expired},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clock := now
			d := newDesk(t, func(s *authn.ServiceAccounts) { s.Now = func() time.Time { return clock } })
			var changes []func(*token.Claims)
			if test.change != nil {
				changes = append(changes, test.change)
			}
			compact := d.sign(t, grant().Claims(), changes...)
			d.verdict(t.Context(), compact) // the signature is known from here on
			clock = test.at
			if got := d.verdict(t.Context(), compact); got != test.want {
				t.Errorf("verdict: %q, want %q", got, test.want)
			}
		})
	}
}

func TestTheStepsComeInOrder(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.memory.remove("serviceaccounts")
	d.memory.remove("pods")
	everything := func(c *token.Claims) {
		c.Audience = []string{"vault"}
		c.Expiry = 1
		c.Kubernetes.ValidatingWebhookConfiguration = &token.Ref{Name: "w", UID: "w-uid"}
	}
	audience := func(c *token.Claims) { c.Audience = []string{api} }
	expiry := func(c *token.Claims) { c.Expiry = now.Add(time.Hour).Unix() }
	repaired := []func(*token.Claims){everything}
	check := func(want string) {
		t.Helper()
		if got := d.verdict(t.Context(), d.sign(t, claimsOf("pods"), repaired...)); !strings.HasPrefix(got, want) {
			t.Errorf("verdict: %q, want %q", got, want)
		}
	}
	check("token audiences")
	repaired = append(repaired, audience)
	check("service account token has expired")
	repaired = append(repaired, expiry)
	check(`serviceaccounts "cart" not found`)
	d.memory.objects["serviceaccounts"] = inhabited().objects["serviceaccounts"]
	check("service account token has been invalidated")
	d.memory.objects["pods"] = inhabited().objects["pods"]
	check(`feature gate "APIServerWebhookAuthenticationToken" is disabled, but token is webhook bound`)
	repaired = append(repaired, func(c *token.Claims) { c.Kubernetes.ValidatingWebhookConfiguration = nil })
	check("")
	if got := d.verdict(t.Context(), d.sign(t, claimsOf("pods"), repaired...)); got != "" {
		t.Errorf("after all repairs: %q", got)
	}
}

func TestAuditLearnsOfOldAndStaleTokens(t *testing.T) {
	t.Parallel()
	warned := func(seconds int64) func(*token.Claims) {
		return func(c *token.Claims) { c.Kubernetes.WarnAfter = now.Unix() - seconds }
	}
	const (
		stale  = "authentication.k8s.io/stale-token"
		legacy = "authentication.k8s.io/legacy-token"
		holder = "system:serviceaccount:shop:cart"
	)
	for name, test := range map[string]struct {
		change func(*token.Claims)
		want   map[string]string
	}{
		"without a threshold":    {func(*token.Claims) {}, nil},
		"before the threshold":   {warned(-10), nil},
		"after the threshold":    {warned(10), map[string]string{stale: "subject: " + holder + ", seconds after warning threshold: 10"}},
		"in the first second":    {warned(0), map[string]string{stale: "subject: " + holder + ", seconds after warning threshold: 0"}},
		"without audiences":      {func(c *token.Claims) { c.Audience = nil }, map[string]string{legacy: holder}},
		"stale, but for others":  {func(c *token.Claims) { warned(10)(c); c.Audience = []string{"vault"} }, nil},
		"stale, and out of date": {func(c *token.Claims) { warned(10)(c); c.Expiry = 1 }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t)
			compact := d.sign(t, grant().Claims(), test.change)
			for _, use := range []string{"first", "second"} {
				got := audited(t, func(ctx context.Context) { d.verdict(ctx, compact) })
				if diff := cmp.Diff(test.want, got); diff != "" {
					t.Errorf("annotations of the %s use (-want +got):\n%s", use, diff)
				}
			}
		})
	}
}

// audited are the annotations that an act leaves in the audit log.
func audited(t *testing.T, act func(context.Context)) map[string]string {
	t.Helper()
	ctx := audit.WithAuditContext(t.Context())
	event := audit.AuditContextFrom(ctx)
	if err := event.Init(audit.RequestAuditConfig{Level: auditinternal.LevelMetadata}, nil); err != nil {
		t.Fatal(err)
	}
	act(ctx)
	return event.GetEventAnnotations()
}

func TestNoAnswerSharesMemoryWithTheNext(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	compact := d.sign(t, claimsOf("pods"))
	first, _, err := d.AuthenticateToken(t.Context(), compact)
	if err != nil {
		t.Fatal(err)
	}
	before := fmt.Sprintf("%v %v", first.Audiences, plain(first.User))
	first.Audiences[0] = "vault"
	first.User.GetGroups()[0] = "system:masters"
	for key := range first.User.GetExtra() {
		first.User.GetExtra()[key][0] = "forged"
	}
	second, _, err := d.AuthenticateToken(t.Context(), compact)
	if err != nil {
		t.Fatal(err)
	}
	if after := fmt.Sprintf("%v %v", second.Audiences, plain(second.User)); after != before {
		t.Errorf("the next answer is %s, after %s", after, before)
	}
}

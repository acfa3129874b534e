// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package issuer_test

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	auditinternal "k8s.io/apiserver/pkg/apis/audit"
	"k8s.io/apiserver/pkg/audit"
	"k8s.io/apiserver/pkg/warning"

	"github.com/muster-identity/muster/issuer"
	"github.com/muster-identity/muster/keyring"
	"github.com/muster-identity/muster/live"
	"github.com/muster-identity/muster/token"
)

var update = flag.Bool("update", false, "rewrite the pinned outputs in testdata")

// now has parts of a second, which must not matter.
var now = time.Date(2026, 11, 1, 12, 0, 0, 999_999_999, time.UTC)

const (
	api   = "https://muster.example"
	newID = "6b3d2f7a-52d1-4c5e-9d0a-6f6d3c1c0b52"
)

// world is what exists: one fixed set of objects, and errors to give instead.
type world map[string]error

func (w world) missing(resource, name string) error {
	return apierrors.NewNotFound(schema.GroupResource{Resource: resource}, name)
}

func (w world) ServiceAccount(_ context.Context, namespace, name string) (live.ServiceAccount, error) {
	if err := w["serviceaccount"]; err != nil {
		return live.ServiceAccount{}, err
	}
	if namespace != "shop" || !slices.Contains([]string{"cart", "till"}, name) {
		return live.ServiceAccount{}, w.missing("serviceaccounts", name)
	}
	return live.ServiceAccount{Meta: meta(namespace, name)}, nil
}

func (w world) Pod(_ context.Context, namespace, name string) (live.Pod, error) {
	nodes := map[string]string{"cart-0": "n1", "cart-pending": "", "cart-lost": "n404"}
	node, ok := nodes[name]
	if err := w["pod"]; err != nil {
		return live.Pod{}, err
	}
	if namespace != "shop" || !ok {
		return live.Pod{}, w.missing("pods", name)
	}
	return live.Pod{Meta: meta(namespace, name), ServiceAccount: "cart", NodeName: node}, nil
}

func (w world) Secret(_ context.Context, namespace, name string) (live.Secret, error) {
	if err := w["secret"]; err != nil {
		return live.Secret{}, err
	}
	if namespace != "shop" || name != "seal" {
		return live.Secret{}, w.missing("secrets", name)
	}
	return live.Secret{Meta: meta(namespace, name), Type: "any"}, nil
}

func (w world) Node(_ context.Context, name string) (live.Node, error) {
	if err := w["node"]; err != nil {
		return live.Node{}, err
	}
	if name != "n1" {
		return live.Node{}, w.missing("nodes", name)
	}
	return live.Node{Meta: meta("", name)}, nil
}

func (w world) WebhookConfiguration(_ context.Context, of live.WebhookKind, name string) (live.WebhookConfiguration, error) {
	if err := w["webhook"]; err != nil {
		return live.WebhookConfiguration{}, err
	}
	config, ok := webhooks()[name]
	if !ok {
		return live.WebhookConfiguration{}, w.missing(string(of), name)
	}
	config.Meta = live.Meta{Name: name, UID: types.UID(name + "-uid"), DeletedAt: config.DeletedAt}
	return config, nil
}

// meta is of an object that is being deleted, and has been for a while: that
// makes no difference to what is issued.
func meta(namespace, name string) live.Meta {
	return live.Meta{Namespace: namespace, Name: name, UID: types.UID(name + "-uid"), DeletedAt: now.Add(-time.Hour)}
}

// office is an issuer with the key that verifies what it issues.
type office struct {
	issuer.Issuer
	key keyring.Key
}

func newOffice(t testing.TB, w world) *office {
	t.Helper()
	private, err := keyring.Generate(keyring.DefaultAlgorithm)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := keyring.NewLocalSigner(private)
	if err != nil {
		t.Fatal(err)
	}
	return &office{
		Issuer: issuer.Issuer{
			Objects:      w,
			Signer:       lasting{signer},
			Issuer:       api,
			APIAudiences: []string{api, "api"},
			Now:          func() time.Time { return now },
			NewID:        func() string { return newID },
		},
		key: signer.Keys()[0],
	}
}

// lasting is a signer whose key is kept for good.
type lasting struct{ keyring.Signer }

func (l lasting) Sign(ctx context.Context, payload []byte, _ time.Duration) (string, error) {
	return l.Signer.Sign(ctx, payload)
}

func (o *office) claims(t testing.TB, compact string) *token.Claims {
	t.Helper()
	u, err := token.Parse(compact)
	if err != nil {
		t.Fatal(err)
	}
	c, err := u.Verify([]crypto.PublicKey{o.key.Public})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// ask is a request for shop/cart with that spec.
func ask(spec authenticationv1.TokenRequestSpec) issuer.Request {
	return issuer.Request{
		Namespace:    "shop",
		Name:         "cart",
		TokenRequest: &authenticationv1.TokenRequest{Spec: spec},
	}
}

func boundTo(kind, name string) *authenticationv1.BoundObjectReference {
	return &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: kind, Name: name}
}

func TestAnswersAndClaimsAreAsPinned(t *testing.T) {
	t.Parallel()
	type spec = authenticationv1.TokenRequestSpec
	tests := map[string]spec{
		"defaults":     {},
		"audiences":    {Audiences: []string{"vault", "vault", ""}},
		"two-hours":    {ExpirationSeconds: new(int64(7200))},
		"pod":          {BoundObjectRef: boundTo("Pod", "cart-0")},
		"pod-uid":      {BoundObjectRef: &authenticationv1.BoundObjectReference{Kind: "Pod", Name: "cart-0", UID: "cart-0-uid"}},
		"pod-pending":  {BoundObjectRef: boundTo("Pod", "cart-pending")},
		"pod-no-node":  {BoundObjectRef: boundTo("Pod", "cart-lost")},
		"pod-3607":     {BoundObjectRef: boundTo("Pod", "cart-0"), ExpirationSeconds: new(int64(3607))},
		"node":         {BoundObjectRef: boundTo("Node", "n1")},
		"secret":       {BoundObjectRef: boundTo("Secret", "seal")},
		"shortest":     {ExpirationSeconds: new(int64(600))},
		"longest":      {ExpirationSeconds: new(int64(1 << 32))},
		"version-vain": {BoundObjectRef: &authenticationv1.BoundObjectReference{APIVersion: "v9", Kind: "Pod", Name: "cart-0"}},
	}
	for name, spec := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOffice(t, nil)
			got, err := o.Issue(t.Context(), ask(spec))
			if err != nil {
				t.Fatal(err)
			}
			claims := o.claims(t, got.Status.Token)
			got.Status.Token = "..." // its signature differs each time
			pinned(t, name, map[string]any{"answer": got, "claims": claims})
		})
	}
}

func pinned(t *testing.T, name string, value any) {
	t.Helper()
	got, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	path := filepath.Join("testdata", name+".json")
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-pinned +got):\n%s", path, diff)
	}
}

func TestTheRequestThatCameInStaysAsItWas(t *testing.T) {
	t.Parallel()
	o := newOffice(t, nil)
	o.MaxExpiration = time.Hour
	r := ask(authenticationv1.TokenRequestSpec{ExpirationSeconds: new(int64(7200))})
	r.TokenRequest.Status.Token = "left over"
	before := r.TokenRequest.DeepCopy()
	if _, err := o.Issue(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, r.TokenRequest); diff != "" {
		t.Errorf("request changed (-before +after):\n%s", diff)
	}
}

func TestMetadataThatAgreesIsAccepted(t *testing.T) {
	t.Parallel()
	o := newOffice(t, nil)
	r := ask(authenticationv1.TokenRequestSpec{})
	r.TokenRequest.ObjectMeta = metav1.ObjectMeta{Namespace: "shop", Name: "cart", UID: "cart-uid"}
	if _, err := o.Issue(t.Context(), r); err != nil {
		t.Error(err)
	}
}

func TestAnIssuerWithoutClockAndIDsUsesRealOnes(t *testing.T) {
	t.Parallel()
	o := newOffice(t, nil)
	o.Now, o.NewID = nil, nil
	seen := map[string]bool{}
	for range 3 {
		got, err := o.Issue(t.Context(), ask(authenticationv1.TokenRequestSpec{}))
		if err != nil {
			t.Fatal(err)
		}
		c := o.claims(t, got.Status.Token)
		if err := c.ValidateTime(time.Now(), 0); err != nil {
			t.Error(err)
		}
		if len(c.ID) != 36 || seen[c.ID] {
			t.Errorf("id %q, seen before: %v", c.ID, seen[c.ID])
		}
		seen[c.ID] = true
	}
}

func TestAdmissionSeesTheCompletedRequestAndCanOnlyRefuse(t *testing.T) {
	t.Parallel()
	o := newOffice(t, nil)
	r := ask(authenticationv1.TokenRequestSpec{BoundObjectRef: boundTo("Pod", "cart-0")})
	r.TokenRequest.Status.Token = "left over"
	r.Admit = func(_ context.Context, obj runtime.Object) error {
		seen := obj.(*authenticationv1.TokenRequest)
		want := &authenticationv1.TokenRequest{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: "shop", Name: "cart", UID: "cart-uid", CreationTimestamp: metav1.NewTime(now.Truncate(time.Second)),
			},
			Spec: authenticationv1.TokenRequestSpec{
				Audiences:         []string{api, "api"},
				ExpirationSeconds: new(int64(3600)),
				BoundObjectRef:    boundTo("Pod", "cart-0"),
			},
		}
		if diff := cmp.Diff(want, seen); diff != "" {
			t.Errorf("admission sees (-want +got):\n%s", diff)
		}
		seen.Spec.Audiences[0] = "stolen"
		return nil
	}
	got, err := o.Issue(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	if c := o.claims(t, got.Status.Token); c.Audience[0] != api || o.APIAudiences[0] != api {
		t.Errorf("admission changed the audience to %q, that of the server to %q", c.Audience[0], o.APIAudiences[0])
	}
}

// sink remembers warnings.
type sink []string

func (s *sink) AddWarning(_, text string) { *s = append(*s, text) }

func TestLifetimesAreCutAndExtendedAsInKubernetes(t *testing.T) {
	t.Parallel()
	const year = 365 * 24 * 60 * 60
	type spec = authenticationv1.TokenRequestSpec
	pod := func(seconds int64, audiences ...string) spec {
		return spec{ExpirationSeconds: &seconds, Audiences: audiences, BoundObjectRef: boundTo("Pod", "cart-0")}
	}
	tests := map[string]struct {
		spec                        spec
		longest, signed             time.Duration
		extend                      bool
		seconds, lifetime, warnings int64
	}{
		"as asked":                          {spec: pod(3600), seconds: 3600, lifetime: 3600},
		"extension off":                     {spec: pod(3607), seconds: 3607, lifetime: 3607},
		"extension":                         {spec: pod(3607), extend: true, seconds: 3607, lifetime: year},
		"one API audience":                  {spec: pod(3607, "api"), extend: true, seconds: 3607, lifetime: year},
		"another audience, too":             {spec: pod(3607, "api", "vault"), extend: true, seconds: 3607, lifetime: 3607},
		"one second less":                   {spec: pod(3606), extend: true, seconds: 3606, lifetime: 3606},
		"one second more":                   {spec: pod(3608), extend: true, seconds: 3608, lifetime: 3608},
		"no pod":                            {spec: spec{ExpirationSeconds: new(int64(3607))}, extend: true, seconds: 3607, lifetime: 3607},
		"a node":                            {spec: spec{ExpirationSeconds: new(int64(3607)), BoundObjectRef: boundTo("Node", "n1")}, extend: true, seconds: 3607, lifetime: 3607},
		"cut":                               {spec: pod(7200), longest: time.Hour, seconds: 3600, lifetime: 3600, warnings: 1},
		"at the maximum":                    {spec: pod(3600), longest: time.Hour, seconds: 3600, lifetime: 3600},
		"a maximum of 1 h stops extension":  {spec: pod(3607), longest: time.Hour, extend: true, seconds: 3600, lifetime: 3600, warnings: 1},
		"a larger one does not bound it":    {spec: pod(3607), longest: 2 * time.Hour, extend: true, seconds: 3607, lifetime: year},
		"what is signed bounds it":          {spec: pod(3607), longest: 2 * time.Hour, signed: 2 * time.Hour, extend: true, seconds: 3607, lifetime: 7200},
		"more than a year is signed":        {spec: pod(3607), signed: 2 * year * time.Second, extend: true, seconds: 3607, lifetime: year},
		"what is signed bounds no other":    {spec: pod(7200), signed: time.Hour, extend: true, seconds: 7200, lifetime: 7200},
		"cut to 3607 counts as asked for":   {spec: pod(7200), longest: 3607 * time.Second, extend: true, seconds: 3607, lifetime: year, warnings: 1},
		"the longest there is, no maximum":  {spec: pod(1 << 32), seconds: 1 << 32, lifetime: 1 << 32},
		"the longest there is, and maximum": {spec: pod(1 << 32), longest: 1 << 32 * time.Second, seconds: 1 << 32, lifetime: 1 << 32},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOffice(t, nil)
			o.MaxExpiration, o.MaxExtended, o.ExtendExpiration = test.longest, test.signed, test.extend
			var warnings sink
			got, err := o.Issue(warning.WithWarningRecorder(t.Context(), &warnings), ask(test.spec))
			if err != nil {
				t.Fatal(err)
			}
			iat := now.Unix()
			want := token.Claims{Expiry: iat + test.lifetime}
			if test.lifetime > test.seconds {
				want.Kubernetes.WarnAfter = iat + test.seconds
			}
			c := o.claims(t, got.Status.Token)
			if c.Expiry != want.Expiry || c.Kubernetes.WarnAfter != want.Kubernetes.WarnAfter || c.IssuedAt != iat || c.NotBefore != iat {
				t.Errorf("exp %d, warnafter %d, iat %d, nbf %d; want exp %d, warnafter %d, iat and nbf %d", c.Expiry,
					c.Kubernetes.WarnAfter, c.IssuedAt, c.NotBefore, want.Expiry, want.Kubernetes.WarnAfter, iat)
			}
			if *got.Spec.ExpirationSeconds != test.seconds {
				t.Errorf("spec.expirationSeconds %d, want %d", *got.Spec.ExpirationSeconds, test.seconds)
			}
			if until := got.Status.ExpirationTimestamp.Time; !until.Equal(time.Unix(iat+test.seconds, 0)) {
				t.Errorf("status.expirationTimestamp %v", until)
			}
			if int64(len(warnings)) != test.warnings {
				t.Errorf("warnings %q, want %d", warnings, test.warnings)
			}
			if name == "cut" && !slices.Contains(warnings, "requested expiration of 7200 seconds shortened to 3600 seconds") {
				t.Errorf("warnings %q", warnings)
			}
		})
	}
}

func TestTheAuditEventNamesTheNewTokenAndNoOther(t *testing.T) {
	t.Parallel()
	const key = "authentication.kubernetes.io/issued-credential-id"
	for name, test := range map[string]struct {
		signer issuer.Signer
		want   string
	}{
		"issued": {nil, "JTI=" + newID},
		"failed": {broken{}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOffice(t, nil)
			if test.signer != nil {
				o.Signer = test.signer
			}
			ctx := audit.WithAuditContext(t.Context())
			ac := audit.AuditContextFrom(ctx)
			if err := ac.Init(audit.RequestAuditConfig{Level: auditinternal.LevelMetadata}, nil); err != nil {
				t.Fatal(err)
			}
			_, err := o.Issue(ctx, ask(authenticationv1.TokenRequestSpec{}))
			if (err != nil) != (test.want == "") {
				t.Fatal(err)
			}
			if got, _ := ac.GetEventAnnotation(key); got != test.want {
				t.Errorf("annotation %q, want %q", got, test.want)
			}
		})
	}
}

// broken is a signer without a key.
type broken struct{}

func (broken) Sign(context.Context, []byte, time.Duration) (string, error) {
	return "", errors.New("the signer is away")
}

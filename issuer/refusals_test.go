// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package issuer_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/muster-identity/muster/issuer"
	"github.com/muster-identity/muster/token"
)

// status is what a caller sees of an error.
type status struct {
	Code    int32
	Reason  metav1.StatusReason
	Message string
}

func statusOf(t testing.TB, err error) status {
	t.Helper()
	s, ok := err.(apierrors.APIStatus)
	if !ok {
		t.Fatalf("error is no Status: %T %v", err, err)
	}
	got := s.Status()
	if got.Status != metav1.StatusFailure {
		t.Errorf("status %q", got.Status)
	}
	return status{got.Code, got.Reason, got.Message}
}

func invalid(text string) status {
	return status{422, metav1.StatusReasonInvalid, `TokenRequest.authentication.k8s.io "" is invalid: ` + text}
}

func badRequest(text string) status {
	return status{400, metav1.StatusReasonBadRequest, text}
}

func TestRefusalsAreThoseOfKubernetes(t *testing.T) {
	t.Parallel()
	const (
		webhooks  = "admissionregistration.k8s.io/v1"
		noWebhook = "attestations may only be specified with a webhook bound object reference"
	)
	bound := func(to authenticationv1.BoundObjectReference) func(*issuer.Request) {
		return func(r *issuer.Request) { r.TokenRequest.Spec.BoundObjectRef = &to }
	}
	seconds := func(n int64) func(*issuer.Request) {
		return func(r *issuer.Request) { r.TokenRequest.Spec.ExpirationSeconds = &n }
	}
	hook := func(audiences []string, attestations map[string]authenticationv1.AttestationValue) func(*issuer.Request) {
		return func(r *issuer.Request) {
			r.TokenRequest.Spec = authenticationv1.TokenRequestSpec{
				Audiences:      audiences,
				Attestations:   attestations,
				BoundObjectRef: &authenticationv1.BoundObjectReference{APIVersion: webhooks, Kind: "ValidatingWebhookConfiguration", Name: "v"},
			}
		}
	}
	attest := func(values ...string) map[string]authenticationv1.AttestationValue {
		return map[string]authenticationv1.AttestationValue{"admissionReviewAPIGroups": values}
	}
	tests := map[string]struct {
		change func(*issuer.Request)
		want   status
	}{
		"no namespace": {
			func(r *issuer.Request) { r.Namespace = "" },
			badRequest("namespace is required"),
		},
		"another namespace": {
			func(r *issuer.Request) { r.TokenRequest.Namespace = "bank" },
			badRequest("the namespace of the provided object does not match the namespace sent on the request"),
		},
		"another name": {
			func(r *issuer.Request) { r.TokenRequest.Name = "till" },
			status{422, metav1.StatusReasonInvalid, `TokenRequest.authentication.k8s.io "cart" is invalid: metadata.name: Invalid value: "till": must match the service account name if specified`},
		},
		"no account of that name": {
			func(r *issuer.Request) { r.Name = "nobody" },
			status{404, metav1.StatusReasonNotFound, `serviceaccounts "nobody" not found`},
		},
		"no name at all": {
			func(r *issuer.Request) { r.Name = "" },
			badRequest("Name parameter required."),
		},
		"a name that is a path": {
			func(r *issuer.Request) { r.Name = "../bank/till" },
			badRequest(`Name parameter invalid: "../bank/till": may not contain '/'`),
		},
		"another account's UID": {
			func(r *issuer.Request) { r.TokenRequest.UID = "old" },
			status{409, metav1.StatusReasonConflict, `Operation cannot be fulfilled on TokenRequest.authentication.k8s.io "cart": the UID in the token request (old) does not match the UID of the service account (cart-uid)`},
		},
		"too short": {
			seconds(599),
			invalid("spec.expirationSeconds: Invalid value: 599: may not specify a duration less than 10 minutes"),
		},
		"no time": {
			seconds(0),
			invalid("spec.expirationSeconds: Invalid value: 0: may not specify a duration less than 10 minutes"),
		},
		"negative": {
			seconds(-1 << 63),
			invalid("spec.expirationSeconds: Invalid value: -9223372036854775808: may not specify a duration less than 10 minutes"),
		},
		"too long": {
			seconds(1<<32 + 1),
			invalid("spec.expirationSeconds: Invalid value: 4294967297: may not specify a duration larger than 2^32 seconds"),
		},
		"attestations without a webhook": {
			func(r *issuer.Request) { r.TokenRequest.Spec.Attestations = attest("*") },
			invalid(`spec.attestations: Invalid value: {"admissionReviewAPIGroups":["*"]}: ` + noWebhook),
		},
		"attestations without a webhook count before the time": {
			func(r *issuer.Request) {
				seconds(1)(r)
				r.TokenRequest.Spec.Attestations = attest("*")
			},
			invalid(`spec.attestations: Invalid value: {"admissionReviewAPIGroups":["*"]}: ` + noWebhook),
		},
		"a pod that is not there": {
			bound(*boundTo("Pod", "ghost")),
			status{404, metav1.StatusReasonNotFound, `pods "ghost" not found`},
		},
		"a pod without a name": {
			bound(*boundTo("Pod", "")),
			badRequest("Name parameter required."),
		},
		"a pod with a path for a name": {
			bound(*boundTo("Pod", "..")),
			badRequest(`Name parameter invalid: "..": may not be '..'`),
		},
		"a pod of another account": {
			func(r *issuer.Request) {
				r.Name = "till"
				r.TokenRequest.Spec.BoundObjectRef = boundTo("Pod", "cart-0")
			},
			badRequest(`cannot bind token for serviceaccount "till" to pod running with different serviceaccount name.`),
		},
		"a pod that was replaced": {
			bound(authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: "cart-0", UID: "old"}),
			status{409, metav1.StatusReasonConflict, `Operation cannot be fulfilled on Pod "cart-0": the UID in the bound object reference (old) does not match the UID in record. The object might have been deleted and then recreated`},
		},
		"a node that is not there": {
			bound(*boundTo("Node", "n9")),
			status{404, metav1.StatusReasonNotFound, `nodes "n9" not found`},
		},
		"a node that was replaced": {
			bound(authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Node", Name: "n1", UID: "old"}),
			status{409, metav1.StatusReasonConflict, `Operation cannot be fulfilled on Node "n1": the UID in the bound object reference (old) does not match the UID in record. The object might have been deleted and then recreated`},
		},
		"a secret that is not there": {
			bound(*boundTo("Secret", "ghost")),
			status{404, metav1.StatusReasonNotFound, `secrets "ghost" not found`},
		},
		"a secret that was replaced": {
			bound(authenticationv1.BoundObjectReference{Kind: "Secret", Name: "seal", UID: "old"}),
			status{409, metav1.StatusReasonConflict, `Operation cannot be fulfilled on Secret "seal": the UID in the bound object reference (old) does not match the UID in record. The object might have been deleted and then recreated`},
		},
		"a config map": {
			bound(*boundTo("ConfigMap", "c")),
			badRequest("cannot bind token to object of type /v1, Kind=ConfigMap"),
		},
		"a pod of another group": {
			bound(authenticationv1.BoundObjectReference{APIVersion: "x.example/v1", Kind: "Pod", Name: "cart-0"}),
			badRequest("cannot bind token to object of type x.example/v1, Kind=Pod"),
		},
		"a kind in small letters": {
			bound(*boundTo("pod", "cart-0")),
			badRequest("cannot bind token to object of type /v1, Kind=pod"),
		},
		"a reference to nothing": {
			bound(authenticationv1.BoundObjectReference{}),
			badRequest("cannot bind token to object of type /, Kind="),
		},
		"a webhook": {
			hook([]string{"https://hook"}, attest("*")),
			badRequest("cannot bind token to object of type admissionregistration.k8s.io/v1, Kind=ValidatingWebhookConfiguration (feature gate APIServerWebhookAuthenticationToken is disabled)"),
		},
		"a webhook of an API group": {
			hook([]string{"https://hook"}, attest("apps.example")),
			badRequest("cannot bind token to object of type admissionregistration.k8s.io/v1, Kind=ValidatingWebhookConfiguration (feature gate APIServerWebhookAuthenticationToken is disabled)"),
		},
		"a webhook of an old version": {
			bound(authenticationv1.BoundObjectReference{APIVersion: "admissionregistration.k8s.io/v1beta1", Kind: "MutatingWebhookConfiguration", Name: "m"}),
			badRequest("cannot bind token to object of type admissionregistration.k8s.io/v1beta1, Kind=MutatingWebhookConfiguration"),
		},
		"a webhook and two audiences, no attestation": {
			hook([]string{"a", "b"}, nil),
			invalid(`[spec.audiences: Invalid value: ["a","b"]: must be length 1 when bound to a webhook config, spec.attestations: Invalid value: null: webhook bound requests require exactly one admissionReviewAPIGroups attestation]`),
		},
		"a webhook and another attestation": {
			hook([]string{"a"}, map[string]authenticationv1.AttestationValue{"x": {"y"}}),
			invalid(`spec.attestations[x]: Unsupported value: "x": supported values: "admissionReviewAPIGroups"`),
		},
		"a webhook and two groups": {
			hook([]string{"a"}, attest("a", "b")),
			invalid(`spec.attestations[admissionReviewAPIGroups]: Invalid value: ["a","b"]: must specify a single value`),
		},
		"a webhook and the core group": {
			hook([]string{"a"}, attest("")),
			invalid(`spec.attestations[admissionReviewAPIGroups][0]: Invalid value: "": may not be an empty string`),
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := ask(authenticationv1.TokenRequestSpec{})
			test.change(&r)
			got, err := newOffice(t, nil).Issue(t.Context(), r)
			if err == nil || got != nil {
				t.Fatalf("Issue = %v, %v; want %v", got, err, test.want)
			}
			if diff := cmp.Diff(test.want, statusOf(t, err)); diff != "" {
				t.Errorf("status differs (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAnAttestedGroupMustBeADNSName(t *testing.T) {
	t.Parallel()
	r := ask(authenticationv1.TokenRequestSpec{
		Audiences:      []string{"a"},
		Attestations:   map[string]authenticationv1.AttestationValue{"admissionReviewAPIGroups": {"No_Name"}},
		BoundObjectRef: &authenticationv1.BoundObjectReference{APIVersion: "admissionregistration.k8s.io/v1", Kind: "MutatingWebhookConfiguration"},
	})
	_, err := newOffice(t, nil).Issue(t.Context(), r)
	const want = `spec.attestations[admissionReviewAPIGroups][0]: Invalid value: "No_Name": must specify a valid API Group: a lowercase RFC 1123 subdomain`
	if got := statusOf(t, err); got.Code != 422 || !strings.Contains(got.Message, want) {
		t.Errorf("status %v", got)
	}
}

// Each step is broken together with all that follow it: the first one tells.
func TestOfManyFaultsTheFirstInOrderIsTold(t *testing.T) {
	t.Parallel()
	steps := []struct {
		name   string
		breaks func(*issuer.Request, *issuer.Issuer, world)
		want   string
	}{
		{"namespace", func(r *issuer.Request, _ *issuer.Issuer, _ world) { r.TokenRequest.Namespace = "bank" }, "does not match the namespace"},
		{"name", func(r *issuer.Request, _ *issuer.Issuer, _ world) { r.TokenRequest.Name = "till" }, "must match the service account name"},
		{"account", func(_ *issuer.Request, _ *issuer.Issuer, w world) { w["serviceaccount"] = errors.New("no account") }, "no account"},
		{"uid", func(r *issuer.Request, _ *issuer.Issuer, _ world) { r.TokenRequest.UID = "old" }, "the UID in the token request"},
		{"validation", func(r *issuer.Request, _ *issuer.Issuer, _ world) { r.TokenRequest.Spec.ExpirationSeconds = new(int64) }, "less than 10 minutes"},
		{"admission", func(r *issuer.Request, _ *issuer.Issuer, _ world) { r.Admit = refuse }, "not admitted"},
		{"pod", func(_ *issuer.Request, _ *issuer.Issuer, w world) { w["pod"] = errors.New("no pod") }, "no pod"},
		{"node", func(_ *issuer.Request, _ *issuer.Issuer, w world) { w["node"] = errors.New("no node") }, "no node"},
		{"bound uid", func(r *issuer.Request, _ *issuer.Issuer, _ world) { r.TokenRequest.Spec.BoundObjectRef.UID = "old" }, "does not match the UID in record"},
		{"signer", func(_ *issuer.Request, i *issuer.Issuer, _ world) { i.Signer = broken{} }, "the signer is away"},
	}
	for first, step := range steps {
		t.Run(step.name, func(t *testing.T) {
			t.Parallel()
			w := world{}
			o := newOffice(t, w)
			r := ask(authenticationv1.TokenRequestSpec{BoundObjectRef: boundTo("Pod", "cart-0")})
			for _, s := range steps[first:] {
				s.breaks(&r, &o.Issuer, w)
			}
			_, err := o.Issue(t.Context(), r)
			if got := statusOf(t, err); !strings.Contains(got.Message, step.want) {
				t.Errorf("told %q, want %q", got.Message, step.want)
			}
		})
	}
}

func refuse(context.Context, runtime.Object) error {
	return apierrors.NewForbidden(schema.GroupResource{Resource: "serviceaccounts/token"}, "cart", errors.New("not admitted"))
}

func TestErrorsFromElsewhereReachTheCallerAsAStatus(t *testing.T) {
	t.Parallel()
	plain := errors.New("the store is away")
	timeout := apierrors.NewServerTimeout(schema.GroupResource{Resource: "pods"}, "get", 1)
	tests := map[string]struct {
		world  world
		admit  error
		signer issuer.Signer
		want   status
	}{
		"the store, of an account":    {world{"serviceaccount": plain}, nil, nil, status{500, "", "the store is away"}},
		"the store, of a pod":         {world{"pod": plain}, nil, nil, status{500, "", "the store is away"}},
		"the store, of a node":        {world{"node": plain}, nil, nil, status{500, metav1.StatusReasonInternalError, "Internal error occurred: the store is away"}},
		"a timeout":                   {world{"pod": timeout}, nil, nil, status{500, metav1.StatusReasonServerTimeout, timeout.Error()}},
		"a timeout, wrapped":          {world{"pod": fmt.Errorf("reading: %w", timeout)}, nil, nil, status{500, metav1.StatusReasonServerTimeout, timeout.Error()}},
		"admission":                   {nil, refuse(t.Context(), nil), nil, status{403, metav1.StatusReasonForbidden, `serviceaccounts/token "cart" is forbidden: not admitted`}},
		"admission, in plain words":   {nil, plain, nil, status{500, "", "the store is away"}},
		"a context that was given up": {world{"pod": context.Canceled}, nil, nil, status{500, "", "context canceled"}},
		"a signer":                    {nil, nil, broken{}, status{500, metav1.StatusReasonInternalError, "Internal error occurred: failed to generate token: the signer is away"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOffice(t, test.world)
			if test.signer != nil {
				o.Signer = test.signer
			}
			r := ask(authenticationv1.TokenRequestSpec{BoundObjectRef: boundTo("Pod", "cart-0")})
			r.Admit = func(context.Context, runtime.Object) error { return test.admit }
			got, err := o.Issue(t.Context(), r)
			if got != nil || err == nil {
				t.Fatalf("Issue = %v, %v", got, err)
			}
			if diff := cmp.Diff(test.want, statusOf(t, err)); diff != "" {
				t.Errorf("status differs (-want +got):\n%s", diff)
			}
		})
	}
}

// Whatever the body: the answer is a Status, or a token that says what the
// answer says and is good for nothing that was not asked for.
func FuzzIssue(f *testing.F) {
	for _, seed := range []string{
		`{}`,
		`{"metadata":{"name":"cart","namespace":"shop","uid":"cart-uid"}}`,
		`{"spec":{"audiences":["a","a",""],"expirationSeconds":600}}`,
		`{"spec":{"expirationSeconds":3607,"boundObjectRef":{"kind":"Pod","apiVersion":"v1","name":"cart-0"}}}`,
		`{"spec":{"boundObjectRef":{"kind":"Node","name":"n1","uid":"n1-uid"}}}`,
		`{"spec":{"boundObjectRef":{"kind":"Secret","name":"seal","uid":"x"}}}`,
		`{"spec":{"audiences":["a"],"attestations":{"admissionReviewAPIGroups":["*"]},"boundObjectRef":{"kind":"MutatingWebhookConfiguration","apiVersion":"admissionregistration.k8s.io/v1"}}}`,
		`{"spec":{"audiences":["https://hook.example/review"],"attestations":{"admissionReviewAPIGroups":["apps.example"]},"boundObjectRef":{"kind":"ValidatingWebhookConfiguration","apiVersion":"admissionregistration.k8s.io/v1","name":"hooks"}}}`,
		`{"spec":{"boundObjectRef":{"kind":"Pod","apiVersion":"a/b/c","name":"../x"}}}`,
		`{"spec":{"expirationSeconds":-9223372036854775808}}`,
		`{"status":{"token":"x","expirationTimestamp":"2030-01-01T00:00:00Z"}}`,
	} {
		f.Add([]byte(seed))
	}
	o := newOffice(f, nil)
	o.MaxExpiration, o.ExtendExpiration = 24*time.Hour, true
	o.Attesters = attesters{"apps.example", "*"}
	f.Fuzz(func(t *testing.T, body []byte) {
		r := ask(authenticationv1.TokenRequestSpec{})
		if json.Unmarshal(body, r.TokenRequest) != nil {
			return
		}
		got, err := o.Issue(t.Context(), r)
		if err != nil {
			if got != nil {
				t.Fatal("an answer beside an error")
			}
			if s := statusOf(t, err); s.Code < 400 || s.Message == "" {
				t.Fatalf("status %v", s)
			}
			return
		}
		c := o.claims(t, got.Status.Token)
		spec := got.Spec
		seconds := *spec.ExpirationSeconds
		if seconds < 600 || seconds > 86400 || got.Status.ExpirationTimestamp.Unix() != c.IssuedAt+seconds {
			t.Fatalf("%d seconds until %v", seconds, got.Status.ExpirationTimestamp)
		}
		if extended := c.Kubernetes.WarnAfter != 0; extended == (c.Expiry == c.IssuedAt+seconds) {
			t.Fatalf("exp %d, iat %d, warnafter %d", c.Expiry, c.IssuedAt, c.Kubernetes.WarnAfter)
		}
		if c.Subject != "system:serviceaccount:shop:cart" || c.Kubernetes.ServiceAccount != (token.Ref{Name: "cart", UID: "cart-uid"}) {
			t.Fatalf("a token for %s", c.Subject)
		}
		if len(c.Audience) == 0 || len(c.Audience) != len(spec.Audiences) {
			t.Fatalf("audiences %q, asked for %q", c.Audience, spec.Audiences)
		}
		if name := boundName(c); spec.BoundObjectRef == nil && name != "" || spec.BoundObjectRef != nil && name != spec.BoundObjectRef.Name {
			t.Fatalf("bound to %q, asked for %v", name, spec.BoundObjectRef)
		}
	})
}

func boundName(c *token.Claims) string {
	k := &c.Kubernetes
	for _, ref := range []*token.Ref{k.Pod, k.Secret, k.Node, k.ValidatingWebhookConfiguration, k.MutatingWebhookConfiguration} {
		if ref != nil {
			return ref.Name
		}
	}
	return ""
}

func BenchmarkIssue(b *testing.B) {
	o := newOffice(b, nil)
	r := ask(authenticationv1.TokenRequestSpec{BoundObjectRef: boundTo("Pod", "cart-0")})
	for b.Loop() {
		if _, err := o.Issue(b.Context(), r); err != nil {
			b.Fatal(err)
		}
	}
}

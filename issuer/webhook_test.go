// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package issuer_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/warning"

	"github.com/muster-identity/muster/issuer"
	"github.com/muster-identity/muster/live"
	"github.com/muster-identity/muster/token"
)

const (
	hookURL = "https://hook.example/review"
	deny    = `serviceaccounts/token "cart" is forbidden: token request denied`
)

// webhooks are the configurations that exist, of either kind, by name.
func webhooks() map[string]live.WebhookConfiguration {
	return map[string]live.WebhookConfiguration{
		"hooks": {Webhooks: []live.Webhook{
			{URLs: []string{hookURL}, APIGroups: []string{"apps.example", ""}},
			{URLs: []string{"https://any.shop.svc:443/"}, APIGroups: []string{"*"}},
			{URLs: []string{"https://idle.example"}},
		}},
		"ending": {Meta: live.Meta{DeletedAt: now.Truncate(time.Second)}, Webhooks: []live.Webhook{{URLs: []string{hookURL}, APIGroups: []string{"*"}}}},
		"empty":  {},
	}
}

// attesters let shop/cart attest to some API groups.
type attesters []string

func (a attesters) Authorize(_ context.Context, asked authorizer.Attributes) (authorizer.Decision, string, error) {
	want := authorizer.AttributesRecord{
		User: &user.DefaultInfo{
			Name: "system:serviceaccount:shop:cart", UID: "cart-uid",
			Groups: []string{"system:serviceaccounts", "system:serviceaccounts:shop"},
		},
		Verb: "attest", APIGroup: "authentication.k8s.io", APIVersion: "*", Resource: "admissionReviewAPIGroups",
		Name: asked.GetName(), ResourceRequest: true,
	}
	if diff := cmp.Diff(want, asked); diff != "" {
		return authorizer.DecisionDeny, diff, errors.New("asked for something else")
	}
	if slices.Contains(a, asked.GetName()) {
		return authorizer.DecisionAllow, "", nil
	}
	return authorizer.DecisionNoOpinion, "no rule says so", nil
}

// askHook is a request for a token bound to a webhook configuration.
func askHook(kind, name, audience, group string) issuer.Request {
	return ask(authenticationv1.TokenRequestSpec{
		Audiences:      []string{audience},
		Attestations:   map[string]authenticationv1.AttestationValue{"admissionReviewAPIGroups": {group}},
		BoundObjectRef: &authenticationv1.BoundObjectReference{APIVersion: "admissionregistration.k8s.io/v1", Kind: kind, Name: name},
	})
}

// gatedOffice has the feature gate on.
func gatedOffice(t testing.TB, w world) *office {
	o := newOffice(t, w)
	o.Attesters = attesters{"apps.example", "other.example", "*"}
	return o
}

func TestATokenForAWebhookTellsItsConfigurationAndWhatIsAttested(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ kind, config, audience, group string }{
		"validating":              {"ValidatingWebhookConfiguration", "hooks", hookURL, "apps.example"},
		"mutating":                {"MutatingWebhookConfiguration", "hooks", hookURL, "apps.example"},
		"a service, every group":  {"MutatingWebhookConfiguration", "hooks", "https://any.shop.svc:443/", "other.example"},
		"all groups, any webhook": {"ValidatingWebhookConfiguration", "empty", "https://elsewhere.example", "*"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := gatedOffice(t, nil)
			r := askHook(test.kind, test.config, test.audience, test.group)
			warnings := &recorder{}
			got, err := o.Issue(warning.WithWarningRecorder(t.Context(), warnings), r)
			if err != nil {
				t.Fatal(err)
			}
			ref := &token.Ref{Name: test.config, UID: test.config + "-uid"}
			want := token.Kubernetes{Namespace: "shop", ServiceAccount: token.Ref{Name: "cart", UID: "cart-uid"}, Attestations: map[string][]string{"admissionReviewAPIGroups": {test.group}}}
			if test.kind == "MutatingWebhookConfiguration" {
				want.MutatingWebhookConfiguration = ref
			} else {
				want.ValidatingWebhookConfiguration = ref
			}
			claims := o.claims(t, got.Status.Token)
			if diff := cmp.Diff(want, claims.Kubernetes); diff != "" {
				t.Errorf("claims differ (-want +got):\n%s", diff)
			}
			if seconds := *got.Spec.ExpirationSeconds; seconds != 600 || claims.Expiry != claims.IssuedAt+600 || len(*warnings) > 0 {
				t.Errorf("%d seconds asked for become %d, until %d, with the warnings %q", 3600, seconds, claims.Expiry-claims.IssuedAt, *warnings)
			}
		})
	}
}

// recorder keeps warnings.
type recorder []string

func (r *recorder) AddWarning(_, text string) { *r = append(*r, text) }

func TestRefusalsOfTokensForWebhooksAreThoseOfKubernetes(t *testing.T) {
	t.Parallel()
	const kind = "ValidatingWebhookConfiguration"
	forbidden := func(message string) status { return status{403, metav1.StatusReasonForbidden, message} }
	denied := forbidden(deny)
	tests := map[string]struct {
		request issuer.Request
		world   world
		want    status
	}{
		"for the API server": {
			askHook(kind, "hooks", "api", "apps.example"), nil,
			badRequest("api server audiences are invalid for webhook token requests"),
		},
		"for the API server, not allowed to attest": {
			askHook(kind, "hooks", "api", "mine.example"), nil,
			badRequest("api server audiences are invalid for webhook token requests"),
		},
		"not allowed to attest": {
			askHook(kind, "ghost", hookURL, "mine.example"), nil,
			forbidden(`admissionReviewAPIGroups.authentication.k8s.io "mine.example" is forbidden: User "system:serviceaccount:shop:cart" cannot attest resource "admissionReviewAPIGroups" in API group "authentication.k8s.io" at the cluster scope: no rule says so`),
		},
		"no such configuration":          {askHook(kind, "ghost", hookURL, "apps.example"), nil, denied},
		"no name":                        {askHook(kind, "", hookURL, "apps.example"), nil, denied},
		"the store is away":              {askHook(kind, "hooks", hookURL, "apps.example"), world{"webhook": errors.New("the store is away")}, denied},
		"a configuration that ends":      {askHook(kind, "ending", hookURL, "apps.example"), nil, denied},
		"one that ends, for all groups":  {askHook(kind, "ending", hookURL, "*"), nil, denied},
		"another URL":                    {askHook(kind, "hooks", hookURL+"/", "apps.example"), nil, denied},
		"a group of no rule":             {askHook(kind, "hooks", hookURL, "other.example"), nil, denied},
		"a webhook without rules":        {askHook(kind, "hooks", "https://idle.example", "apps.example"), nil, denied},
		"one's group, another's address": {askHook(kind, "hooks", "https://any.shop.svc:443", "apps.example"), nil, denied},
		"an old version": {
			func() issuer.Request {
				r := askHook(kind, "hooks", hookURL, "apps.example")
				r.TokenRequest.Spec.Attestations = nil
				r.TokenRequest.Spec.BoundObjectRef.APIVersion = "admissionregistration.k8s.io/v1beta1"
				return r
			}(), nil,
			badRequest("cannot bind token to object of type admissionregistration.k8s.io/v1beta1, Kind=ValidatingWebhookConfiguration"),
		},
		"a configuration that was replaced": {
			func() issuer.Request {
				r := askHook(kind, "hooks", hookURL, "apps.example")
				r.TokenRequest.Spec.BoundObjectRef.UID = types.UID("old")
				return r
			}(), nil,
			status{409, metav1.StatusReasonConflict, `Operation cannot be fulfilled on ValidatingWebhookConfiguration.admissionregistration.k8s.io "hooks": the UID in the bound object reference (old) does not match the UID in record. The object might have been deleted and then recreated`},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := gatedOffice(t, test.world).Issue(t.Context(), test.request)
			if err == nil || got != nil {
				t.Fatalf("no refusal: %v; want %v", err, test.want)
			}
			if diff := cmp.Diff(test.want, statusOf(t, err)); diff != "" {
				t.Errorf("status differs (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAnErrorOfTheAuthorizerLetsNobodyAttest(t *testing.T) {
	t.Parallel()
	o := newOffice(t, nil)
	o.Attesters = authorizer.AuthorizerFunc(func(context.Context, authorizer.Attributes) (authorizer.Decision, string, error) {
		return authorizer.DecisionNoOpinion, "who knows", errors.New("it is away")
	})
	_, err := o.Issue(t.Context(), askHook("MutatingWebhookConfiguration", "hooks", hookURL, "apps.example"))
	if got := statusOf(t, err); got.Code != 403 || !strings.HasSuffix(got.Message, "at the cluster scope: it is away: who knows") {
		t.Errorf("status %v", got)
	}
}

func TestAMaximumBelowTheLifeOfAWebhooksTokenCutsItFurther(t *testing.T) {
	t.Parallel()
	o := gatedOffice(t, nil)
	o.MaxExpiration = 5 * time.Minute
	got, err := o.Issue(t.Context(), askHook("MutatingWebhookConfiguration", "hooks", hookURL, "apps.example"))
	if err != nil || *got.Spec.ExpirationSeconds != 300 {
		t.Errorf("no token of 300 seconds: %v", err)
	}
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	auditinternal "k8s.io/apiserver/pkg/apis/audit"
	"k8s.io/apiserver/pkg/audit"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"github.com/muster-identity/muster/authn"
)

// explainer explains every token but "other", and counts.
type explainer struct{ asked int }

func (e *explainer) Explain(ctx context.Context, token string) (authn.Explanation, bool) {
	e.asked++
	wanted, _ := authenticator.AudiencesFrom(ctx)
	step := authn.Step{Check: "expiry", Wanted: "less", Got: wanted[0], Result: authn.Failed}
	if token == "good" {
		step.Result = authn.Passed
	}
	return authn.Explanation{CredentialID: "JTI=1", Steps: []authn.Step{step}}, token != "other"
}

func TestOnlyThoseWhoMayKnowAreToldWhyATokenIsRefused(t *testing.T) {
	t.Parallel()
	const refused = "[invalid bearer token, service account token has expired]"
	for name, test := range map[string]struct {
		token       string
		may         authorizer.Decision
		ask, listen bool

		wantError, wantSteps, wantAudit string
		wantAsked                       int
	}{
		"a stranger":                             {token: "stale", wantError: refused},
		"a stranger who asks":                    {token: "stale", ask: true, wantError: refused},
		"somebody who may":                       {token: "stale", may: authorizer.DecisionAllow, wantError: refused + "; ✗ expiry: wanted less, got api", wantAsked: 1},
		"somebody who was denied":                {token: "stale", may: authorizer.DecisionDeny, ask: true, wantError: refused},
		"a good token":                           {token: "good", may: authorizer.DecisionAllow},
		"a good token, for one who asks":         {token: "good", may: authorizer.DecisionAllow, ask: true, wantSteps: `{"credentialID":"JTI=1","steps":[{"check":"expiry","wanted":"less","got":"api","result":"passed"}]}`, wantAsked: 1},
		"a good token, for a stranger who asks":  {token: "good", ask: true},
		"a token of others":                      {token: "other", may: authorizer.DecisionAllow, ask: true, wantError: "invalid bearer token", wantAsked: 1},
		"a stranger, where audit listens":        {token: "stale", listen: true, wantError: refused, wantAudit: "✗ expiry: wanted less, got api", wantAsked: 1},
		"a good token, where audit listens":      {token: "good", listen: true, wantAudit: "✓ expiry", wantAsked: 1},
		"a token of others, where audit listens": {token: "other", listen: true, wantError: "invalid bearer token", wantAsked: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			steps := &explainer{}
			reviewer := newTokenReviewer(reviewedTokens{}, authenticator.Audiences{"api"})
			reviewer.explanations = explanations{explainer: steps, authorizer: authorizer.AuthorizerFunc(func(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
				if a.GetVerb() != "explain" || a.GetResource() != "tokenreviews" || a.GetAPIGroup() != "authentication.k8s.io" || a.GetUser().GetName() != "ann" || !a.IsResourceRequest() {
					return authorizer.DecisionNoOpinion, "", errors.New("another question")
				}
				return test.may, "", nil
			})}
			level := auditinternal.LevelNone
			if test.listen {
				level = auditinternal.LevelMetadata
			}
			ctx := audit.WithAuditContext(reviewContext(t, ""))
			event := audit.AuditContextFrom(ctx)
			if err := event.Init(audit.RequestAuditConfig{Level: level}, nil); err != nil {
				t.Fatal(err)
			}
			review := &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: test.token}}
			if test.ask {
				review.ObjectMeta = metav1.ObjectMeta{Annotations: map[string]string{ExplainAnnotation: "true"}}
			}
			got, err := reviewer.answer(ctx, review)
			if err != nil {
				t.Fatal(err)
			}
			if got.Status.Error != test.wantError || got.Annotations[StepsAnnotation] != test.wantSteps {
				t.Errorf("error %q, want %q; steps %s, want %s", got.Status.Error, test.wantError, got.Annotations[StepsAnnotation], test.wantSteps)
			}
			want := map[string]string(nil)
			if test.wantAudit != "" {
				want = map[string]string{authn.StepsAnnotation: test.wantAudit, authn.CredentialAnnotation: "JTI=1"}
			}
			if diff := cmp.Diff(want, event.GetEventAnnotations()); diff != "" {
				t.Errorf("audit annotations differ (-want +got):\n%s", diff)
			}
			if steps.asked != test.wantAsked {
				t.Errorf("explained %d times, want %d", steps.asked, test.wantAsked)
			}
		})
	}
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/muster-identity/muster/mustertest"
	"github.com/muster-identity/muster/server"
)

const hookURL = "https://hook.example/review"

// hookConfiguration has one webhook, which is asked of what is in apps.example.
func hookConfiguration() *admissionregistrationv1.ValidatingWebhookConfiguration {
	return &admissionregistrationv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "hooks"},
		Webhooks: []admissionregistrationv1.ValidatingWebhook{{
			Name: "a.hook.example", ClientConfig: admissionregistrationv1.WebhookClientConfig{URL: new(hookURL)},
			SideEffects: new(admissionregistrationv1.SideEffectClassNone), AdmissionReviewVersions: []string{"v1"},
			Rules: []admissionregistrationv1.RuleWithOperations{{
				Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.OperationAll},
				Rule:       admissionregistrationv1.Rule{APIGroups: []string{"apps.example"}, APIVersions: []string{"*"}, Resources: []string{"*"}},
			}},
		}},
	}
}

// hookToken is a request for a token bound to that configuration.
func hookToken() authenticationv1.TokenRequestSpec {
	return authenticationv1.TokenRequestSpec{
		Audiences:      []string{hookURL},
		Attestations:   map[string]authenticationv1.AttestationValue{"admissionReviewAPIGroups": {"apps.example"}},
		BoundObjectRef: &authenticationv1.BoundObjectReference{APIVersion: "admissionregistration.k8s.io/v1", Kind: "ValidatingWebhookConfiguration", Name: "hooks"},
	}
}

// letAttest allows the account reporter to attest to the group apps.example.
func letAttest(t *testing.T, client kubernetes.Interface) {
	t.Helper()
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "attester"}, Rules: []rbacv1.PolicyRule{{
		Verbs: []string{"attest"}, APIGroups: []string{"authentication.k8s.io"}, Resources: []string{"admissionReviewAPIGroups"}, ResourceNames: []string{"apps.example"},
	}}}
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "attester"}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "attester"},
		Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: "dev", Name: "reporter"}},
	}
	if _, err := client.RbacV1().ClusterRoles().Create(t.Context(), role, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.RbacV1().ClusterRoleBindings().Create(t.Context(), binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func askToken(t *testing.T, client kubernetes.Interface, spec authenticationv1.TokenRequestSpec) (*authenticationv1.TokenRequest, error) {
	t.Helper()
	return client.CoreV1().ServiceAccounts("dev").CreateToken(t.Context(), "reporter", &authenticationv1.TokenRequest{Spec: spec}, metav1.CreateOptions{})
}

func reviewAt(t *testing.T, client kubernetes.Interface, token, audience string) authenticationv1.TokenReviewStatus {
	t.Helper()
	answer, err := client.AuthenticationV1().TokenReviews().Create(t.Context(), &authenticationv1.TokenReview{
		Spec: authenticationv1.TokenReviewSpec{Token: token, Audiences: []string{audience}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return answer.Status
}

func TestATokenForAWebhookIsMadeForWhoMayAttestAndEndsWithTheConfiguration(t *testing.T) {
	t.Parallel()
	for name, adjust := range map[string]func(*server.Options){
		"hot lane": func(*server.Options) {},
		"general lane, with strict consistency": func(o *server.Options) {
			o.HotLane, o.ServiceAccounts.TokenConsistency = false, server.StrictConsistency
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			muster := mustertest.Start(t, adjust, func(o *server.Options) { o.Gates.WebhookTokens = true })
			muster.Namespace("dev")
			muster.ServiceAccount("dev", "reporter")
			client := muster.Client()
			hooks := client.AdmissionregistrationV1().ValidatingWebhookConfigurations()
			made, err := hooks.Create(t.Context(), hookConfiguration(), metav1.CreateOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if made.Generation != 1 || *made.Webhooks[0].FailurePolicy != admissionregistrationv1.Fail || *made.Webhooks[0].TimeoutSeconds != 10 {
				t.Errorf("made as generation %d with %v", made.Generation, made.Webhooks[0])
			}

			_, err = askToken(t, client, hookToken())
			if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), `cannot attest resource "admissionReviewAPIGroups" in API group "authentication.k8s.io" at the cluster scope`) {
				t.Errorf("a token for who may not attest: %v", err)
			}
			letAttest(t, client)
			elsewhere := hookToken()
			elsewhere.Audiences = []string{hookURL + "/other"}
			if _, err = askToken(t, client, elsewhere); !apierrors.IsForbidden(err) || !strings.HasSuffix(err.Error(), "is forbidden: token request denied") {
				t.Errorf("a token for another URL: %v", err)
			}
			answer, err := askToken(t, client, hookToken())
			if err != nil {
				t.Fatal(err)
			}
			if life := answer.Status.ExpirationTimestamp.Sub(answer.CreationTimestamp.Time); life != 10*time.Minute {
				t.Errorf("the token lives for %s", life)
			}

			token := answer.Status.Token
			status := reviewAt(t, client, token, hookURL)
			delete(status.User.Extra, "authentication.kubernetes.io/credential-id")
			want := map[string]authenticationv1.ExtraValue{
				"authentication.kubernetes.io/validatingwebhookconfiguration-name":  {"hooks"},
				"authentication.kubernetes.io/validatingwebhookconfiguration-uid":   {string(made.UID)},
				"attestation.authentication.kubernetes.io/admissionReviewAPIGroups": {"apps.example"},
			}
			if diff := cmp.Diff(want, status.User.Extra); diff != "" || !status.Authenticated {
				t.Errorf("authenticated: %v (%s); extra (-want +got):\n%s", status.Authenticated, status.Error, diff)
			}
			if status := reviewAt(t, client, token, server.DefaultIssuer); status.Authenticated {
				t.Error("the token is good for the API server")
			}

			if err := hooks.Delete(t.Context(), "hooks", metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
			if status := reviewAt(t, client, token, hookURL); status.Authenticated || !strings.Contains(status.Error, "service account token has been invalidated") {
				t.Errorf("after the deletion: authenticated %v, %q", status.Authenticated, status.Error)
			}
			if _, err := hooks.Create(t.Context(), hookConfiguration(), metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
			if status := reviewAt(t, client, token, hookURL); status.Authenticated || !strings.Contains(status.Error, "does not match service account validating ref claim") {
				t.Errorf("with another of its name: authenticated %v, %q", status.Authenticated, status.Error)
			}
		})
	}
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package issuer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/klog/v2"

	"github.com/muster-identity/muster/live"
	"github.com/muster-identity/muster/token"
)

// everyGroup attests to all API groups. Only API servers are meant to be allowed
// to ask for it: it is good for every webhook of a configuration.
const everyGroup = "*"

// Attesters decides which accounts may attest to which API groups: the verb
// attest on admissionReviewAPIGroups, named after the group. Whatever it answers
// but DecisionAllow is a refusal. Calls may overlap.
type Attesters interface {
	Authorize(ctx context.Context, asked authorizer.Attributes) (decision authorizer.Decision, reason string, err error)
}

// findWebhook finds the webhook configuration that a token is bound to. The
// holder sends reviews of an API group to one of its webhooks, and the webhook
// believes that the group is the holder's: so the account must be allowed to
// attest to the group, and the token is good for one webhook that is asked of
// it. Who may not attest learns that; nobody learns what configurations there are.
// Kubernetes: pkg/registry/core/serviceaccount/storage/token.go.
func (i *Issuer) findWebhook(ctx context.Context, account live.ServiceAccount, spec *authenticationv1.TokenRequestSpec, now time.Time) (token.Binding, types.UID, error) {
	// Validation has seen to it that there is one of each.
	audience := spec.Audiences[0]
	group := spec.Attestations[authenticationv1.AttestationAdmissionReviewAPIGroups][0]
	if slices.Contains(i.APIAudiences, audience) {
		return token.Binding{}, "", apierrors.NewBadRequest("api server audiences are invalid for webhook token requests")
	}
	if err := i.mayAttest(ctx, account, group); err != nil {
		return token.Binding{}, "", err
	}
	kind := live.WebhookKind(spec.BoundObjectRef.Kind)
	config, err := i.Objects.WebhookConfiguration(ctx, kind, spec.BoundObjectRef.Name)
	if err == nil {
		err = fits(config, audience, group, now)
	}
	if err != nil {
		klog.V(4).ErrorS(err, "a token is not bound to a webhook configuration", "kind", kind)
		return token.Binding{}, "", apierrors.NewForbidden(schema.GroupResource{Resource: "serviceaccounts/token"}, account.Name, errors.New("token request denied"))
	}
	bind := token.ToValidatingWebhook
	if kind == live.Mutating {
		bind = token.ToMutatingWebhook
	}
	return bind(ref(config.Meta), map[string][]string{authenticationv1.AttestationAdmissionReviewAPIGroups: {group}}), config.UID, nil
}

// mayAttest asks whether the account itself, whoever asks for its token, may
// attest to an API group.
func (i *Issuer) mayAttest(ctx context.Context, account live.ServiceAccount, group string) error {
	attributes := authorizer.AttributesRecord{
		User: (&serviceaccount.ServiceAccountInfo{
			Namespace: account.Namespace, Name: account.Name, UID: string(account.UID),
		}).UserInfo(),
		Verb: "attest", APIGroup: authenticationv1.GroupName, APIVersion: "*",
		Resource: authenticationv1.AttestationAdmissionReviewAPIGroups, Name: group, ResourceRequest: true,
	}
	decision, reason, err := i.Attesters.Authorize(ctx, attributes)
	if decision == authorizer.DecisionAllow {
		return nil
	}
	text := fmt.Sprintf("User %q cannot %s resource %q in API group %q at the cluster scope",
		attributes.User.GetName(), attributes.Verb, attributes.Resource, attributes.APIGroup)
	for _, more := range []string{textOf(err), reason} {
		if more != "" {
			text += ": " + more
		}
	}
	return apierrors.NewForbidden(schema.GroupResource{Group: attributes.APIGroup, Resource: attributes.Resource}, group, errors.New(text))
}

func textOf(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// fits tells whether a configuration that is not being deleted has a webhook at
// the audience that is asked of the group.
func fits(config live.WebhookConfiguration, audience, group string, now time.Time) error {
	if config.Deleted(now, 0) {
		return fmt.Errorf("the webhook configuration %q is being deleted", config.Name)
	}
	if group == everyGroup {
		return nil
	}
	for _, hook := range config.Webhooks {
		if slices.Contains(hook.URLs, audience) && (slices.Contains(hook.APIGroups, group) || slices.Contains(hook.APIGroups, "*")) {
			return nil
		}
	}
	return fmt.Errorf("the webhook configuration %q has no webhook at %q that is asked of the API group %q", config.Name, audience, group)
}

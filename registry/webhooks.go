// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"fmt"
	"reflect"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// webhookConfigurationKinds tell whom to ask about writes; tokens can be bound to
// them, too.
func webhookConfigurationKinds() []Resource {
	return []Resource{mutatingWebhookConfigurations(), validatingWebhookConfigurations()}
}

func validatingWebhookConfigurations() Resource {
	type config = *admissionregistrationv1.ValidatingWebhookConfiguration
	return webhookConfigurations(Definition[config]{
		Kind:    "ValidatingWebhookConfiguration",
		New:     func() config { return &admissionregistrationv1.ValidatingWebhookConfiguration{} },
		NewList: func() runtime.Object { return &admissionregistrationv1.ValidatingWebhookConfigurationList{} },
		Default: func(c config) {
			for i := range c.Webhooks {
				hook := &c.Webhooks[i]
				common := webhookOfValidating(hook)
				defaultWebhook(&common)
				hook.FailurePolicy, hook.MatchPolicy, hook.TimeoutSeconds = common.FailurePolicy, common.MatchPolicy, common.TimeoutSeconds
				hook.NamespaceSelector, hook.ObjectSelector = common.NamespaceSelector, common.ObjectSelector
			}
		},
	}, func(c config) []admissionregistrationv1.MutatingWebhook {
		var all []admissionregistrationv1.MutatingWebhook
		for i := range c.Webhooks {
			all = append(all, webhookOfValidating(&c.Webhooks[i]))
		}
		return all
	})
}

func mutatingWebhookConfigurations() Resource {
	type config = *admissionregistrationv1.MutatingWebhookConfiguration
	return webhookConfigurations(Definition[config]{
		Kind:    "MutatingWebhookConfiguration",
		New:     func() config { return &admissionregistrationv1.MutatingWebhookConfiguration{} },
		NewList: func() runtime.Object { return &admissionregistrationv1.MutatingWebhookConfigurationList{} },
		Default: func(c config) {
			for i := range c.Webhooks {
				defaultWebhook(&c.Webhooks[i])
				fill(&c.Webhooks[i].ReinvocationPolicy, admissionregistrationv1.NeverReinvocationPolicy)
			}
		},
	}, func(c config) []admissionregistrationv1.MutatingWebhook { return c.Webhooks })
}

// webhookConfigurations completes the definition of a kind by what both have in
// common. webhooks are those of a configuration; what a mutating one has beside
// a validating one may be left out.
func webhookConfigurations[T Object](d Definition[T], webhooks func(T) []admissionregistrationv1.MutatingWebhook) Resource {
	d.GroupVersion = admissionregistrationv1.SchemeGroupVersion
	d.Singular = strings.ToLower(d.Kind)
	d.Plural = d.Singular + "s"
	d.ClusterScoped, d.RequireVersion = true, true
	d.Categories = []string{"api-extensions"}
	conditions := newMatchConditions()
	d.PrepareCreate = func(_ context.Context, obj T) { obj.SetGeneration(1) }
	d.PrepareUpdate = func(_ context.Context, obj, old T) {
		if !reflect.DeepEqual(webhooks(obj), webhooks(old)) {
			obj.SetGeneration(old.GetGeneration() + 1)
		}
	}
	d.ValidateCreate = func(obj T) field.ErrorList {
		return append(validateWebhooks(webhooks(obj), nil, conditions), validateStaticSuffix(obj.GetName())...)
	}
	d.ValidateUpdate = func(obj, old T) field.ErrorList {
		return validateWebhooks(webhooks(obj), leniencyFor(webhooks(old)), conditions)
	}
	d.Warnings = func(_ context.Context, obj, _ T) []string { return webhookWarnings(obj.GetName(), webhooks(obj)) }
	d.Columns = []metav1.TableColumnDefinition{
		nameColumn(),
		column("Webhooks", "integer", "Webhooks indicates the number of webhooks registered in this configuration"),
		ageColumn(),
	}
	d.Row = func(obj T) []any { return []any{obj.GetName(), int64(len(webhooks(obj))), age(obj)} }
	return &d
}

// webhookOfValidating is a validating webhook as a mutating one.
func webhookOfValidating(hook *admissionregistrationv1.ValidatingWebhook) admissionregistrationv1.MutatingWebhook {
	return admissionregistrationv1.MutatingWebhook{
		Name: hook.Name, ClientConfig: hook.ClientConfig, Rules: hook.Rules,
		FailurePolicy: hook.FailurePolicy, MatchPolicy: hook.MatchPolicy, SideEffects: hook.SideEffects, TimeoutSeconds: hook.TimeoutSeconds,
		NamespaceSelector: hook.NamespaceSelector, ObjectSelector: hook.ObjectSelector,
		AdmissionReviewVersions: hook.AdmissionReviewVersions, MatchConditions: hook.MatchConditions,
	}
}

// defaultWebhook sets the defaults that both kinds have.
// Kubernetes: pkg/apis/admissionregistration/v1/defaults.go.
func defaultWebhook(hook *admissionregistrationv1.MutatingWebhook) {
	fill(&hook.FailurePolicy, admissionregistrationv1.Fail)
	fill(&hook.MatchPolicy, admissionregistrationv1.Equivalent)
	fill(&hook.NamespaceSelector, metav1.LabelSelector{})
	fill(&hook.ObjectSelector, metav1.LabelSelector{})
	fill(&hook.TimeoutSeconds, 10)
	for i := range hook.Rules {
		fill(&hook.Rules[i].Scope, admissionregistrationv1.AllScopes)
	}
	if service := hook.ClientConfig.Service; service != nil {
		fill(&service.Port, 443)
	}
}

// fill sets what is not set.
func fill[T any](to **T, value T) {
	if *to == nil {
		*to = &value
	}
}

// webhookWarnings tell of what is accepted and has no effect.
// Kubernetes: pkg/apis/admissionregistration/validation/warnings.go.
func webhookWarnings(name string, hooks []admissionregistrationv1.MutatingWebhook) []string {
	var warnings []string
	if strings.HasSuffix(name, staticSuffix) {
		warnings = append(warnings, "metadata.name: "+reservedForManifests)
	}
	for i := range hooks {
		for j, rule := range hooks[i].Rules {
			for _, resource := range excludedResources(rule.APIGroups, rule.Resources) {
				warnings = append(warnings, fmt.Sprintf("webhooks[%d].rules[%d]: %s is excluded from admission webhooks; this rule will have no effect", i, j, resource))
			}
		}
	}
	return warnings
}

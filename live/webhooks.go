// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package live

import (
	"context"
	"fmt"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// WebhookKind is one of the two kinds of webhook configurations.
type WebhookKind string

// The kinds of webhook configurations, by their names in the API.
const (
	Validating WebhookKind = "ValidatingWebhookConfiguration"
	Mutating   WebhookKind = "MutatingWebhookConfiguration"
)

// WebhookConfiguration is what exists of a webhook configuration of either kind.
type WebhookConfiguration struct {
	Meta
	Webhooks []Webhook
}

// Webhook is one webhook of a configuration.
type Webhook struct {
	// URLs are where it is: its URL, or that of its service; one of them, in a
	// valid configuration.
	URLs []string
	// APIGroups are those of all its rules.
	APIGroups []string
}

// KeepWebhooks makes the view keep webhook configurations, too. It is called
// before the first use of the view; without it there are none.
func (v *View) KeepWebhooks() {
	v.webhooks = map[WebhookKind]*table[WebhookConfiguration]{Validating: newTable[WebhookConfiguration](nil), Mutating: newTable[WebhookConfiguration](nil)}
	v.feeds[webhookResource(Validating)] = kind[WebhookConfiguration]{v.webhooks[Validating], validatingOf}
	v.feeds[webhookResource(Mutating)] = kind[WebhookConfiguration]{v.webhooks[Mutating], mutatingOf}
	for of := range v.webhooks {
		v.feeds[webhookResource(of)].onAdvance(v.advances.announce)
	}
}

// WebhookConfiguration returns the configuration, or apierrors.NotFound.
func (v *View) WebhookConfiguration(ctx context.Context, of WebhookKind, name string) (WebhookConfiguration, error) {
	kept, ok := v.webhooks[of]
	if !ok {
		return WebhookConfiguration{}, apierrors.NewNotFound(webhookResource(of), name)
	}
	return find(ctx, v, webhookResource(of), kept, types.NamespacedName{Name: name})
}

// WebhookConfiguration returns the configuration as of now, or apierrors.NotFound.
func (f Fresh) WebhookConfiguration(ctx context.Context, of WebhookKind, name string) (WebhookConfiguration, error) {
	kept, ok := f.View.webhooks[of]
	if !ok {
		return WebhookConfiguration{}, apierrors.NewNotFound(webhookResource(of), name)
	}
	return readThrough(ctx, f.View, webhookResource(of), kept, types.NamespacedName{Name: name})
}

func webhookResource(of WebhookKind) schema.GroupResource {
	return admissionregistrationv1.Resource(strings.ToLower(string(of)) + "s")
}

func validatingOf(obj runtime.Object) WebhookConfiguration {
	from := obj.(*admissionregistrationv1.ValidatingWebhookConfiguration)
	c := WebhookConfiguration{Meta: metaOf(from)}
	for i := range from.Webhooks {
		c.Webhooks = append(c.Webhooks, webhookOf(&from.Webhooks[i].ClientConfig, from.Webhooks[i].Rules))
	}
	return c
}

func mutatingOf(obj runtime.Object) WebhookConfiguration {
	from := obj.(*admissionregistrationv1.MutatingWebhookConfiguration)
	c := WebhookConfiguration{Meta: metaOf(from)}
	for i := range from.Webhooks {
		c.Webhooks = append(c.Webhooks, webhookOf(&from.Webhooks[i].ClientConfig, from.Webhooks[i].Rules))
	}
	return c
}

func webhookOf(client *admissionregistrationv1.WebhookClientConfig, rules []admissionregistrationv1.RuleWithOperations) Webhook {
	var hook Webhook
	if client.URL != nil {
		hook.URLs = append(hook.URLs, *client.URL)
	}
	if client.Service != nil {
		hook.URLs = append(hook.URLs, serviceURL(client.Service))
	}
	for i := range rules {
		hook.APIGroups = append(hook.APIGroups, rules[i].APIGroups...)
	}
	return hook
}

// serviceURL is the URL of a webhook that is a service. A path without a slash
// gets one.
// Kubernetes: pkg/registry/core/serviceaccount/storage/token.go.
func serviceURL(service *admissionregistrationv1.ServiceReference) string {
	port, path := int32(443), ""
	if service.Port != nil {
		port = *service.Port
	}
	if service.Path != nil {
		path = *service.Path
	}
	return fmt.Sprintf("https://%s.%s.svc:%d/%s", service.Name, service.Namespace, port, strings.TrimPrefix(path, "/"))
}

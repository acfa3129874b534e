// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package authz

import (
	"fmt"
	"time"

	"k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/authorization/cel"
	webhookutil "k8s.io/apiserver/pkg/util/webhook"
	"k8s.io/apiserver/plugin/pkg/authorizer/webhook"
	webhookmetrics "k8s.io/apiserver/plugin/pkg/authorizer/webhook/metrics"
)

// webhookMetrics are those that kube-apiserver has.
type webhookMetrics struct {
	webhookmetrics.NoopRequestMetrics
	webhookmetrics.WebhookMetrics
	cel.MatcherMetrics
}

// NewWebhook makes the client of a service that is asked by SubjectAccessReviews.
// It reads the service's kubeconfig, and calls nobody yet.
func NewWebhook(entry apiserver.AuthorizerConfiguration) (*webhook.WebhookAuthorizer, error) {
	config := entry.Webhook
	client, err := webhookutil.LoadKubeconfig(*config.ConnectionInfo.KubeConfigFile, nil)
	if err != nil {
		return nil, fmt.Errorf("reading the kubeconfig of the webhook: %w", err)
	}
	if config.Timeout.Duration != 0 {
		client.Timeout = config.Timeout.Duration
	}
	onError, err := decisionOnError(config.FailurePolicy)
	if err != nil {
		return nil, err
	}
	var compiler cel.Compiler // to make one takes its time
	if len(config.MatchConditions) > 0 {
		compiler = cel.NewDefaultCompiler()
	}
	return webhook.New(client, config.SubjectAccessReviewVersion,
		ttl(config.CacheAuthorizedRequests, config.AuthorizedTTL.Duration),
		ttl(config.CacheUnauthorizedRequests, config.UnauthorizedTTL.Duration),
		*webhook.DefaultRetryBackoff(), onError, config.MatchConditions, entry.Name,
		webhookMetrics{WebhookMetrics: webhookmetrics.NewWebhookMetrics(), MatcherMetrics: cel.NewMatcherMetrics()},
		compiler)
}

// ttl is zero for what is not to be cached.
func ttl(cached bool, d time.Duration) time.Duration {
	if !cached {
		return 0
	}
	return d
}

// decisionOnError is what a webhook that cannot be asked counts for.
func decisionOnError(policy string) (authorizer.Decision, error) {
	switch policy {
	case apiserver.FailurePolicyNoOpinion:
		return authorizer.DecisionNoOpinion, nil
	case apiserver.FailurePolicyDeny:
		return authorizer.DecisionDeny, nil
	default:
		return authorizer.DecisionDeny, fmt.Errorf("unknown failurePolicy %q", policy)
	}
}

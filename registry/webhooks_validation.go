// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/util/webhook"
	"k8s.io/utils/ptr"
)

// The rules in this file are those of Kubernetes:
// pkg/apis/admissionregistration/validation.

const (
	// staticSuffix ends the names of configurations that Kubernetes reads from
	// files.
	staticSuffix         = ".static.k8s.io"
	reservedForManifests = `names ending with ".static.k8s.io" are reserved for static manifest-based configurations and cannot be managed via the API`
)

var (
	webhookFailurePolicies  = []string{"Fail", "Ignore"}
	webhookMatchPolicies    = []string{"Equivalent", "Exact"}
	webhookReinvocations    = []string{"IfNeeded", "Never"}
	webhookNoSideEffects    = []string{"None", "NoneOnDryRun"}
	webhookAllSideEffects   = []string{"None", "NoneOnDryRun", "Some", "Unknown"}
	webhookReviewVersions   = []string{"v1", "v1beta1"}
	webhookOperations       = []string{"*", "CONNECT", "CREATE", "DELETE", "UPDATE"}
	webhookScopes           = []string{"*", "Cluster", "Namespaced"}
	webhookStrictSelectors  = metav1validation.LabelSelectorValidationOptions{}
	webhookLenientSelectors = metav1validation.LabelSelectorValidationOptions{AllowInvalidLabelValueInSelector: true}
)

func validateStaticSuffix(name string) field.ErrorList {
	if !strings.HasSuffix(name, staticSuffix) {
		return nil
	}
	return field.ErrorList{field.Invalid(field.NewPath("metadata", "name"), name, reservedForManifests)}
}

// webhookLeniency is what an update is forgiven because it was so before: the
// rules have become stricter since some configurations were made. nil forgives
// nothing.
type webhookLeniency struct {
	sideEffects, reviewVersions, names, selectors bool
	// conditions are the match conditions of all webhooks, by their place;
	// those that stay the same are not looked at.
	conditions [][]admissionregistrationv1.MatchCondition
	// expressions are those of all conditions.
	expressions []string
}

func leniencyFor(old []admissionregistrationv1.MutatingWebhook) *webhookLeniency {
	l := &webhookLeniency{}
	var names []string
	for i := range old {
		hook := &old[i]
		l.sideEffects = l.sideEffects || hook.SideEffects == nil || !slices.Contains(webhookNoSideEffects, string(*hook.SideEffects))
		l.reviewVersions = l.reviewVersions || len(hook.AdmissionReviewVersions) > 0 && !overlap(hook.AdmissionReviewVersions, webhookReviewVersions)
		l.names = l.names || slices.Contains(names, hook.Name)
		names = append(names, hook.Name)
		l.selectors = l.selectors || len(validateSelectors(hook, webhookStrictSelectors, nil)) > 0
		l.conditions = append(l.conditions, hook.MatchConditions)
		for _, condition := range hook.MatchConditions {
			l.expressions = append(l.expressions, condition.Expression)
		}
	}
	return l
}

func validateWebhooks(hooks []admissionregistrationv1.MutatingWebhook, lenient *webhookLeniency, conditions *matchConditions) field.ErrorList {
	if lenient == nil {
		lenient = &webhookLeniency{}
	}
	same := slices.EqualFunc(hooks, lenient.conditions, func(hook admissionregistrationv1.MutatingWebhook, old []admissionregistrationv1.MatchCondition) bool {
		return reflect.DeepEqual(hook.MatchConditions, old)
	})
	var errs field.ErrorList
	var names []string
	for i := range hooks {
		hook, path := &hooks[i], field.NewPath("webhooks").Index(i)
		errs = append(errs, validateWebhook(hook, lenient, path)...)
		if !same {
			errs = append(errs, conditions.validate(hook.MatchConditions, lenient.expressions, path.Child("matchConditions"))...)
		}
		errs = append(errs, validateReviewVersions(hook.AdmissionReviewVersions, lenient.reviewVersions, path.Child("admissionReviewVersions"))...)
		if !lenient.names && hook.Name != "" && slices.Contains(names, hook.Name) {
			errs = append(errs, field.Duplicate(path.Child("name"), hook.Name))
		}
		names = append(names, hook.Name)
	}
	return errs
}

func validateWebhook(hook *admissionregistrationv1.MutatingWebhook, lenient *webhookLeniency, path *field.Path) field.ErrorList {
	errs := utilvalidation.IsFullyQualifiedName(path.Child("name"), hook.Name)
	for i := range hook.Rules {
		errs = append(errs, validateWebhookRule(&hook.Rules[i], path.Child("rules").Index(i))...)
	}
	errs = append(errs, among(hook.FailurePolicy, webhookFailurePolicies, path.Child("failurePolicy"))...)
	errs = append(errs, among(hook.MatchPolicy, webhookMatchPolicies, path.Child("matchPolicy"))...)
	effects := webhookNoSideEffects
	if lenient.sideEffects {
		effects = webhookAllSideEffects
	}
	if hook.SideEffects == nil {
		errs = append(errs, field.Required(path.Child("sideEffects"), "must specify one of "+strings.Join(effects, ", ")))
	}
	errs = append(errs, among(hook.SideEffects, effects, path.Child("sideEffects"))...)
	if seconds := hook.TimeoutSeconds; seconds != nil && (*seconds > 30 || *seconds < 1) {
		errs = append(errs, field.Invalid(path.Child("timeoutSeconds"), *seconds, "the timeout value must be between 1 and 30 seconds"))
	}
	selectors := webhookStrictSelectors
	if lenient.selectors {
		selectors = webhookLenientSelectors
	}
	errs = append(errs, validateSelectors(hook, selectors, path)...)
	errs = append(errs, among(hook.ReinvocationPolicy, webhookReinvocations, path.Child("reinvocationPolicy"))...)
	return append(errs, validateWebhookClient(&hook.ClientConfig, path.Child("clientConfig"))...)
}

// among checks a setting that may be left out.
func among[T ~string](value *T, known []string, path *field.Path) field.ErrorList {
	if value == nil || slices.Contains(known, string(*value)) {
		return nil
	}
	return field.ErrorList{field.NotSupported(path, *value, known)}
}

func validateSelectors(hook *admissionregistrationv1.MutatingWebhook, options metav1validation.LabelSelectorValidationOptions, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if selector := hook.NamespaceSelector; selector != nil {
		errs = append(errs, metav1validation.ValidateLabelSelector(selector, options, path.Child("namespaceSelector"))...)
	}
	if selector := hook.ObjectSelector; selector != nil {
		errs = append(errs, metav1validation.ValidateLabelSelector(selector, options, path.Child("objectSelector"))...)
	}
	return errs
}

func validateWebhookClient(client *admissionregistrationv1.WebhookClientConfig, path *field.Path) field.ErrorList {
	switch service := client.Service; {
	case (client.URL == nil) == (service == nil):
		return field.ErrorList{field.Required(path, "exactly one of url or service is required")}
	case client.URL != nil:
		return webhook.ValidateWebhookURL(path.Child("url"), *client.URL, true)
	default:
		// What the library calls its arguments is not how it uses them.
		return webhook.ValidateWebhookService(path.Child("service"), service.Name, service.Namespace, service.Path, ptr.Deref(service.Port, 443))
	}
}

func validateReviewVersions(versions []string, lenient bool, path *field.Path) field.ErrorList {
	if len(versions) == 0 {
		return field.ErrorList{field.Required(path, "must specify one of "+strings.Join(webhookReviewVersions, ", "))}
	}
	var errs field.ErrorList
	for i, version := range versions {
		if slices.Contains(versions[:i], version) {
			errs = append(errs, field.Invalid(path.Index(i), version, "duplicate version"))
			continue
		}
		errs = append(errs, invalid(path.Index(i), version, utilvalidation.IsDNS1035Label(version))...)
	}
	if !lenient && !overlap(versions, webhookReviewVersions) {
		errs = append(errs, field.Invalid(path, versions, "must include at least one of "+strings.Join(webhookReviewVersions, ", ")))
	}
	return errs
}

func overlap(a, b []string) bool {
	return slices.ContainsFunc(a, func(s string) bool { return slices.Contains(b, s) })
}

func validateWebhookRule(rule *admissionregistrationv1.RuleWithOperations, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	alone := func(name, what string, values []string, shown any) {
		if len(values) == 0 {
			errs = append(errs, field.Required(path.Child(name), ""))
		}
		if len(values) > 1 && slices.Contains(values, "*") {
			errs = append(errs, field.Invalid(path.Child(name), shown, "if '*' is present, must not specify other "+what))
		}
	}
	operations := make([]string, 0, len(rule.Operations))
	for _, operation := range rule.Operations {
		operations = append(operations, string(operation))
	}
	alone("operations", "operations", operations, rule.Operations)
	for i, operation := range operations {
		errs = append(errs, among(&operation, webhookOperations, path.Child("operations").Index(i))...)
	}
	alone("apiGroups", "API groups", rule.APIGroups, rule.APIGroups)
	alone("apiVersions", "API versions", rule.APIVersions, rule.APIVersions)
	for i, version := range rule.APIVersions {
		if version == "" {
			errs = append(errs, field.Required(path.Child("apiVersions").Index(i), ""))
		}
	}
	errs = append(errs, validateWebhookResources(rule.Resources, path.Child("resources"))...)
	return append(errs, among(rule.Scope, webhookScopes, path.Child("scope"))...)
}

// validateWebhookResources refuses resources that others of the list include.
// That a plain name counts beside "*" only if it is the last without a
// subresource is so in Kubernetes.
func validateWebhookResources(resources []string, path *field.Path) field.ErrorList {
	if len(resources) == 0 {
		return field.ErrorList{field.Required(path, "")}
	}
	var errs field.ErrorList
	allOf, everywhere := map[string]bool{}, map[string]bool{} // x/* and */x
	plain := false
	for i, resource := range resources {
		if resource == "" {
			errs = append(errs, field.Required(path.Index(i), ""))
			continue
		}
		name, sub, ok := strings.Cut(resource, "/")
		if !ok {
			plain = resource != "*"
			continue
		}
		if allOf[name] {
			errs = append(errs, field.Invalid(path.Index(i), resource, fmt.Sprintf("if '%s/*' is present, must not specify %s", name, resource)))
		}
		if everywhere[sub] {
			errs = append(errs, field.Invalid(path.Index(i), resource, fmt.Sprintf("if '*/%s' is present, must not specify %s", sub, resource)))
		}
		allOf[name] = allOf[name] || sub == "*"
		everywhere[sub] = everywhere[sub] || name == "*"
	}
	if len(resources) > 1 && slices.Contains(resources, "*/*") {
		errs = append(errs, field.Invalid(path, resources, "if '*/*' is present, must not specify other resources"))
	}
	if plain && slices.Contains(resources, "*") {
		errs = append(errs, field.Invalid(path, resources, "if '*' is present, must not specify other resources without subresources"))
	}
	return errs
}

// excludedResources are those that a rule names and that no webhook is asked of:
// reviews, without which nobody could put things right again.
// Kubernetes: pkg/kubeapiserver/admission/exclusion.
func excludedResources(groups, resources []string) []schema.GroupResource {
	if slices.Contains(groups, "*") || slices.Contains(resources, "*") {
		return nil
	}
	var named []schema.GroupResource
	for _, group := range groups {
		for _, resource := range resources {
			name := schema.GroupResource{Group: group, Resource: resource}
			if slices.Contains(NeverReviewed(), name) && !slices.Contains(named, name) {
				named = append(named, name)
			}
		}
	}
	return named
}

// NeverReviewed are the resources that neither webhooks nor policies are asked
// about. Kubernetes: pkg/kubeapiserver/admission/exclusion.
func NeverReviewed() []schema.GroupResource {
	const authentication, authorization = "authentication.k8s.io", "authorization.k8s.io"
	return []schema.GroupResource{
		{Group: authentication, Resource: "selfsubjectreviews"},
		{Group: authentication, Resource: "tokenreviews"},
		{Group: authorization, Resource: "localsubjectaccessreviews"},
		{Group: authorization, Resource: "selfsubjectaccessreviews"},
		{Group: authorization, Resource: "selfsubjectrulesreviews"},
		{Group: authorization, Resource: "subjectaccessreviews"},
	}
}

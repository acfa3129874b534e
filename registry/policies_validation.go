// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"fmt"
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/validate/content"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/client-go/util/jsonpath"
)

// The rules in this file are those of Kubernetes:
// pkg/apis/admissionregistration/validation.

var mutableOperations = []string{"*", "CONNECT", "CREATE", "UPDATE"}

// policyCommon is what both kinds of policies say.
type policyCommon struct {
	failure    *admissionregistrationv1.FailurePolicyType
	paramKind  *admissionregistrationv1.ParamKind
	match      *admissionregistrationv1.MatchResources
	conditions []admissionregistrationv1.MatchCondition
	variables  []admissionregistrationv1.Variable
}

func (p policyCommon) validate(check *expressions) field.ErrorList {
	path := field.NewPath("spec")
	var errs field.ErrorList
	if p.failure == nil {
		errs = append(errs, field.Required(path.Child("failurePolicy"), ""))
	}
	errs = append(errs, among(p.failure, webhookFailurePolicies, path.Child("failurePolicy"))...)
	errs = append(errs, validateParamKind(p.paramKind, path.Child("paramKind"))...)
	match := path.Child("matchConstraints")
	if p.match == nil {
		errs = append(errs, field.Required(match, ""))
	} else {
		errs = append(errs, validateMatch(p.match, match)...)
		if len(p.match.ResourceRules) == 0 {
			errs = append(errs, field.Required(match.Child("resourceRules"), ""))
		}
	}
	if !check.sameConditions {
		errs = append(errs, check.conditions.validateWith(p.conditions, check.stored, p.paramKind != nil, path.Child("matchConditions"))...)
	}
	for i := range p.variables {
		errs = append(errs, check.variable(&p.variables[i], path.Child("variables").Index(i))...)
	}
	return errs
}

func validateParamKind(kind *admissionregistrationv1.ParamKind, path *field.Path) field.ErrorList {
	if kind == nil {
		return nil
	}
	var errs field.ErrorList
	at := path.Child("apiVersion")
	switch version, err := schema.ParseGroupVersion(kind.APIVersion); {
	case kind.APIVersion == "":
		errs = append(errs, field.Required(at, ""))
	case err != nil:
		errs = append(errs, field.Invalid(at, kind.APIVersion, err.Error()))
	default:
		if version.Group != "" {
			errs = append(errs, joined(at, version.Group, "", utilvalidation.IsDNS1123Subdomain(version.Group))...)
		}
		if version.Version == "" {
			errs = append(errs, field.Invalid(at, kind.APIVersion, "version must be specified"))
		} else {
			errs = append(errs, joined(at, version.Version, "", utilvalidation.IsDNS1035Label(version.Version))...)
		}
	}
	if kind.Kind == "" {
		return append(errs, field.Required(path.Child("kind"), ""))
	}
	return append(errs, joined(path.Child("kind"), kind.Kind, "may have mixed case, but should otherwise match: ", utilvalidation.IsDNS1035Label(strings.ToLower(kind.Kind)))...)
}

// joined is one error of all that is wrong with a value.
func joined(path *field.Path, value, prefix string, faults []string) field.ErrorList {
	if len(faults) == 0 {
		return nil
	}
	return field.ErrorList{field.Invalid(path, value, prefix+strings.Join(faults, ","))}
}

func validateMatch(match *admissionregistrationv1.MatchResources, path *field.Path) field.ErrorList {
	if match == nil {
		return nil
	}
	var errs field.ErrorList
	if match.MatchPolicy == nil {
		errs = append(errs, field.Required(path.Child("matchPolicy"), ""))
	}
	errs = append(errs, among(match.MatchPolicy, webhookMatchPolicies, path.Child("matchPolicy"))...)
	if match.NamespaceSelector == nil {
		errs = append(errs, field.Required(path.Child("namespaceSelector"), ""))
	} else {
		errs = append(errs, metav1validation.ValidateLabelSelector(match.NamespaceSelector, webhookStrictSelectors, path.Child("namespaceSelector"))...)
	}
	if match.ObjectSelector == nil {
		errs = append(errs, field.Required(path.Child("objectSelector"), ""))
	} else {
		errs = append(errs, metav1validation.ValidateLabelSelector(match.ObjectSelector, webhookStrictSelectors, path.Child("objectSelector"))...)
	}
	errs = append(errs, validateNamedRules(match.ResourceRules, path.Child("resourceRules"))...)
	return append(errs, validateNamedRules(match.ExcludeResourceRules, path.Child("excludeResourceRules"))...)
}

func validateNamedRules(rules []admissionregistrationv1.NamedRuleWithOperations, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i := range rules {
		names := rules[i].ResourceNames
		for j, name := range names {
			at := path.Index(i).Child("resourceNames").Index(j)
			errs = append(errs, invalid(at, name, content.IsPathSegmentName(name))...)
			if slices.Contains(names[:j], name) {
				errs = append(errs, field.Duplicate(at, name))
			}
		}
		errs = append(errs, validateWebhookRule(&rules[i].RuleWithOperations, path.Index(i))...)
	}
	return errs
}

// validateMutable refuses to change what is deleted.
func validateMutable(match *admissionregistrationv1.MatchResources, path *field.Path) field.ErrorList {
	if match == nil {
		return nil
	}
	var errs field.ErrorList
	for i := range match.ResourceRules {
		for _, operation := range match.ResourceRules[i].Operations {
			errs = append(errs, among(&operation, mutableOperations, path.Child("resourceRules", "operations"))...)
		}
	}
	return errs
}

const maxAuditAnnotations = 20

func validateValidations(policy *admissionregistrationv1.ValidatingAdmissionPolicy, check *expressions) field.ErrorList {
	path, spec := field.NewPath("spec"), &policy.Spec
	if len(spec.Validations) == 0 && len(spec.AuditAnnotations) == 0 {
		const missing = "validations or auditAnnotations must contain at least one item"
		return field.ErrorList{field.Required(path.Child("validations"), missing), field.Required(path.Child("auditAnnotations"), missing)}
	}
	var errs field.ErrorList
	for i := range spec.Validations {
		errs = append(errs, check.validation(&spec.Validations[i], path.Child("validations").Index(i))...)
	}
	at := path.Child("auditAnnotations")
	if len(spec.AuditAnnotations) > maxAuditAnnotations {
		errs = append(errs, field.Invalid(at, spec.AuditAnnotations, fmt.Sprintf("must not have more than %d auditAnnotations", maxAuditAnnotations)))
	}
	for i := range spec.AuditAnnotations {
		annotation := &spec.AuditAnnotations[i]
		errs = append(errs, check.annotation(annotation, at.Index(i))...)
		if slices.ContainsFunc(spec.AuditAnnotations[:i], func(a admissionregistrationv1.AuditAnnotation) bool { return a.Key == annotation.Key }) {
			errs = append(errs, field.Duplicate(at.Index(i).Child("key"), annotation.Key))
		}
	}
	return errs
}

func validateMutations(policy *admissionregistrationv1.MutatingAdmissionPolicy, check *expressions) field.ErrorList {
	path, spec := field.NewPath("spec"), &policy.Spec
	errs := validateMutable(spec.MatchConstraints, path.Child("matchConstraints"))
	if len(spec.Mutations) == 0 {
		errs = append(errs, field.Required(path.Child("mutations"), "mutations must contain at least one item"))
	}
	for i := range spec.Mutations {
		errs = append(errs, check.mutation(&spec.Mutations[i], path.Child("mutations").Index(i))...)
	}
	if spec.ReinvocationPolicy == "" {
		return append(errs, field.Required(path.Child("reinvocationPolicy"), ""))
	}
	return append(errs, among(&spec.ReinvocationPolicy, webhookReinvocations, path.Child("reinvocationPolicy"))...)
}

func validatePolicyStatus(status *admissionregistrationv1.ValidatingAdmissionPolicyStatus, path *field.Path) field.ErrorList {
	errs := metav1validation.ValidateConditions(status.Conditions, path.Child("conditions"))
	if status.TypeChecking == nil {
		return errs
	}
	for i, warning := range status.TypeChecking.ExpressionWarnings {
		at := path.Child("typeChecking", "expressionWarnings").Index(i)
		if warning.Warning == "" {
			errs = append(errs, field.Required(at.Child("warning"), ""))
		}
		ref := strings.TrimSpace(warning.FieldRef)
		if ref == "" {
			errs = append(errs, field.Required(at.Child("fieldRef"), ""))
		} else if err := jsonpath.New("spec").Parse("{" + ref + "}"); err != nil {
			errs = append(errs, field.Invalid(at.Child("fieldRef"), ref, fmt.Sprintf("invalid JSONPath: %v", err)))
		}
	}
	return errs
}

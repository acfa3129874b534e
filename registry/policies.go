// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
)

// admissionPolicies are the rules of admission that are written in CEL, and
// their bindings, which put them into force.
func admissionPolicies() []Resource {
	return []Resource{mutatingAdmissionPolicies(), mutatingAdmissionPolicyBindings(), validatingAdmissionPolicies(), validatingAdmissionPolicyBindings()}
}

func validatingAdmissionPolicies() Resource {
	type policy = *admissionregistrationv1.ValidatingAdmissionPolicy
	return policyDefinition(Definition[policy]{
		Kind: "ValidatingAdmissionPolicy", Plural: "validatingadmissionpolicies",
		New:     func() policy { return &admissionregistrationv1.ValidatingAdmissionPolicy{} },
		NewList: func() runtime.Object { return &admissionregistrationv1.ValidatingAdmissionPolicyList{} },
		Default: func(p policy) { defaultPolicy(&p.Spec.FailurePolicy, p.Spec.MatchConstraints) },
		Status: &StatusDefinition[policy]{
			Prepare: func(_ context.Context, p, old policy) {
				p.Spec = old.Spec
				metav1.ResetObjectMetaForStatus(&p.ObjectMeta, &old.ObjectMeta)
			},
			Reset: func(p, old policy) {
				p.Status = admissionregistrationv1.ValidatingAdmissionPolicyStatus{}
				if old != nil {
					p.Status = old.Status
				}
			},
			Validate: func(p, _ policy) field.ErrorList { return validatePolicyStatus(&p.Status, field.NewPath("status")) },
		},
	}, policyOf[policy]{
		common: func(p policy) policyCommon {
			s := &p.Spec
			return policyCommon{s.FailurePolicy, s.ParamKind, s.MatchConstraints, s.MatchConditions, s.Variables}
		},
		own:         func(p policy, check *expressions) field.ErrorList { return validateValidations(p, check) },
		expressions: expressionsOfValidating,
		rules:       func(p policy) any { return p.Spec },
		column:      column("Validations", "integer", "Validations indicates the number of validation rules defined in this configuration"),
		count:       func(p policy) int { return len(p.Spec.Validations) },
	})
}

func mutatingAdmissionPolicies() Resource {
	type policy = *admissionregistrationv1.MutatingAdmissionPolicy
	return policyDefinition(Definition[policy]{
		Kind: "MutatingAdmissionPolicy", Plural: "mutatingadmissionpolicies",
		New:     func() policy { return &admissionregistrationv1.MutatingAdmissionPolicy{} },
		NewList: func() runtime.Object { return &admissionregistrationv1.MutatingAdmissionPolicyList{} },
		Default: func(p policy) { defaultPolicy(&p.Spec.FailurePolicy, p.Spec.MatchConstraints) },
	}, policyOf[policy]{
		common: func(p policy) policyCommon {
			s := &p.Spec
			return policyCommon{s.FailurePolicy, s.ParamKind, s.MatchConstraints, s.MatchConditions, s.Variables}
		},
		own:         func(p policy, check *expressions) field.ErrorList { return validateMutations(p, check) },
		expressions: expressionsOfMutating,
		rules:       func(p policy) any { return p.Spec },
		column:      column("Mutations", "integer", "Mutation indicates the number of mutations rules defined in this configuration"),
		count:       func(p policy) int { return len(p.Spec.Mutations) },
	})
}

// policyOf is how the two kinds of policies differ.
type policyOf[T Object] struct {
	common func(T) policyCommon
	// own checks what the other kind does not have.
	own         func(T, *expressions) field.ErrorList
	expressions func(T) []string
	rules       func(T) any
	column      metav1.TableColumnDefinition
	count       func(T) int
}

func policyDefinition[T Object](d Definition[T], of policyOf[T]) Resource {
	guard := completePolicy(&d, of.rules)
	compilers := newMatchConditions()
	validate := func(obj T, check *expressions) field.ErrorList {
		common := of.common(obj)
		check.policy, check.params = obj.GetName(), common.paramKind != nil
		return append(common.validate(check), of.own(obj, check)...)
	}
	d.ValidateCreate = func(obj T) field.ErrorList {
		return append(validate(obj, &expressions{conditions: compilers}), validateStaticSuffix(obj.GetName())...)
	}
	d.ValidateUpdate = func(obj, old T) field.ErrorList {
		before, after := of.common(old), of.common(obj)
		return validate(obj, &expressions{
			conditions: compilers, stored: of.expressions(old),
			sameConditions: equality.Semantic.DeepEqual(before.paramKind, after.paramKind) && equality.Semantic.DeepEqual(before.conditions, after.conditions),
		})
	}
	d.Permit = func(ctx context.Context, obj, old T) field.ErrorList {
		kind := of.common(obj).paramKind
		var none T
		if any(old) != any(none) {
			if was := of.common(old).paramKind; was != nil && kind != nil && *was == *kind {
				return nil
			}
		}
		return guard.mayReadAll(ctx, kind)
	}
	d.Columns = []metav1.TableColumnDefinition{
		nameColumn(), of.column,
		column("ParamKind", "string", "ParamKind specifies the kind of resources used to parameterize this policy"),
		ageColumn(),
	}
	d.Row = func(obj T) []any {
		shown := "<unset>"
		if kind := of.common(obj).paramKind; kind != nil {
			shown = kind.APIVersion + "/" + kind.Kind
		}
		return []any{obj.GetName(), int64(of.count(obj)), shown, age(obj)}
	}
	return &d
}

// completePolicy sets what all four kinds have in common. spec is what counts
// for the generation.
func completePolicy[T Object](d *Definition[T], spec func(T) any) *paramGuard {
	guard := &paramGuard{}
	d.GroupVersion = admissionregistrationv1.SchemeGroupVersion
	d.Singular = strings.ToLower(d.Kind)
	d.ClusterScoped, d.RequireVersion = true, true
	d.Categories = []string{"api-extensions"}
	d.PrepareCreate = func(_ context.Context, obj T) { obj.SetGeneration(1) }
	d.PrepareUpdate = func(_ context.Context, obj, old T) {
		if !equality.Semantic.DeepEqual(spec(obj), spec(old)) {
			obj.SetGeneration(old.GetGeneration() + 1)
		}
	}
	d.Extend = func(env Environment, _ *genericregistry.Store, _ map[string]rest.Storage) error {
		guard.authorizer, guard.kinds, guard.policies = env.Services.Authorizer, env.Scheme, env.Services.AdmissionPolicies
		return nil
	}
	return guard
}

// defaultPolicy sets the defaults of both kinds.
// Kubernetes: pkg/apis/admissionregistration/v1/defaults.go.
func defaultPolicy(failure **admissionregistrationv1.FailurePolicyType, match *admissionregistrationv1.MatchResources) {
	fill(failure, admissionregistrationv1.Fail)
	defaultMatch(match)
}

func defaultMatch(match *admissionregistrationv1.MatchResources) {
	if match == nil {
		return
	}
	fill(&match.MatchPolicy, admissionregistrationv1.Equivalent)
	fill(&match.NamespaceSelector, metav1.LabelSelector{})
	fill(&match.ObjectSelector, metav1.LabelSelector{})
	for i := range match.ResourceRules {
		fill(&match.ResourceRules[i].Scope, admissionregistrationv1.AllScopes)
	}
	for i := range match.ExcludeResourceRules {
		fill(&match.ExcludeResourceRules[i].Scope, admissionregistrationv1.AllScopes)
	}
}

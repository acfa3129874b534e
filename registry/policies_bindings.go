// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/validate/content"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func validatingAdmissionPolicyBindings() Resource {
	type binding = *admissionregistrationv1.ValidatingAdmissionPolicyBinding
	return bindingDefinition(Definition[binding]{
		Kind: "ValidatingAdmissionPolicyBinding", Plural: "validatingadmissionpolicybindings",
		New:     func() binding { return &admissionregistrationv1.ValidatingAdmissionPolicyBinding{} },
		NewList: func() runtime.Object { return &admissionregistrationv1.ValidatingAdmissionPolicyBindingList{} },
		Default: func(b binding) { defaultMatch(b.Spec.MatchResources) },
		Validate: func(b binding) field.ErrorList {
			return validateActions(b.Spec.ValidationActions, field.NewPath("spec", "validationActions"))
		},
	}, false, func(b binding) bindingCommon {
		return bindingCommon{b.Spec.PolicyName, b.Spec.ParamRef, b.Spec.MatchResources}
	}, func(b binding) any { return b.Spec })
}

func mutatingAdmissionPolicyBindings() Resource {
	type binding = *admissionregistrationv1.MutatingAdmissionPolicyBinding
	return bindingDefinition(Definition[binding]{
		Kind: "MutatingAdmissionPolicyBinding", Plural: "mutatingadmissionpolicybindings",
		New:     func() binding { return &admissionregistrationv1.MutatingAdmissionPolicyBinding{} },
		NewList: func() runtime.Object { return &admissionregistrationv1.MutatingAdmissionPolicyBindingList{} },
		Default: func(b binding) { defaultMatch(b.Spec.MatchResources) },
		Validate: func(b binding) field.ErrorList {
			return validateMutable(b.Spec.MatchResources, field.NewPath("spec", "matchResources"))
		},
	}, true, func(b binding) bindingCommon {
		return bindingCommon{b.Spec.PolicyName, b.Spec.ParamRef, b.Spec.MatchResources}
	}, func(b binding) any { return b.Spec })
}

// bindingCommon is what both kinds of bindings say.
type bindingCommon struct {
	policy string
	param  *admissionregistrationv1.ParamRef
	match  *admissionregistrationv1.MatchResources
}

func bindingDefinition[T Object](d Definition[T], mutating bool, common func(T) bindingCommon, spec func(T) any) Resource {
	guard := completePolicy(&d, spec)
	own := d.Validate
	d.Validate = func(obj T) field.ErrorList { return append(common(obj).validate(field.NewPath("spec")), own(obj)...) }
	d.ValidateCreate = func(obj T) field.ErrorList { return validateStaticSuffix(obj.GetName()) }
	d.Permit = func(ctx context.Context, obj, old T) field.ErrorList {
		var none T
		binding := common(obj)
		if any(old) != any(none) && equality.Semantic.DeepEqual(common(old).param, binding.param) && common(old).policy == binding.policy {
			return nil
		}
		return guard.mayRead(ctx, binding.param, binding.policy, mutating)
	}
	d.Columns = []metav1.TableColumnDefinition{
		nameColumn(),
		column("PolicyName", "string", "PolicyName indicates the policy definition which the policy binding binded to"),
		column("ParamRef", "string", "ParamRef indicates the param resource which sets the configuration param"),
		ageColumn(),
	}
	d.Row = func(obj T) []any {
		binding := common(obj)
		return []any{obj.GetName(), binding.policy, paramCell(binding.param), age(obj)}
	}
	return &d
}

// paramCell shows which parameters are meant. Whether a parameter without a
// namespace lies in one cannot be told from here.
func paramCell(ref *admissionregistrationv1.ParamRef) string {
	switch {
	case ref == nil || ref.Name == "" && ref.Selector == nil:
		return "<unset>"
	case ref.Name == "":
		return ref.Selector.String()
	case ref.Namespace == "":
		return "*/" + ref.Name
	}
	return ref.Namespace + "/" + ref.Name
}

func (b bindingCommon) validate(path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if b.policy == "" {
		errs = append(errs, field.Required(path.Child("policyName"), ""))
	} else {
		errs = append(errs, invalid(path.Child("policyName"), b.policy, validation.NameIsDNSSubdomain(b.policy, false))...)
	}
	errs = append(errs, validateParamRef(b.param, path.Child("paramRef"))...)
	return append(errs, validateMatch(b.match, path.Child("matchResources"))...)
}

func validateParamRef(ref *admissionregistrationv1.ParamRef, path *field.Path) field.ErrorList {
	if ref == nil {
		return nil
	}
	const exclusive = "name and selector are mutually exclusive"
	var errs field.ErrorList
	if ref.Name != "" {
		errs = append(errs, invalid(path.Child("name"), ref.Name, content.IsPathSegmentName(ref.Name))...)
	}
	if ref.Selector != nil {
		errs = append(errs, metav1validation.ValidateLabelSelector(ref.Selector, webhookStrictSelectors, path.Child("selector"))...)
	}
	switch {
	case ref.Name != "" && ref.Selector != nil:
		errs = append(errs, field.Forbidden(path.Child("name"), exclusive), field.Forbidden(path.Child("selector"), exclusive))
	case ref.Name == "" && ref.Selector == nil:
		errs = append(errs, field.Required(path, "one of name or selector must be specified"))
	}
	if action := ref.ParameterNotFoundAction; action == nil || *action == "" {
		return append(errs, field.Required(path.Child("parameterNotFoundAction"), ""))
	}
	return append(errs, among(ref.ParameterNotFoundAction, []string{"Deny", "Allow"}, path.Child("parameterNotFoundAction"))...)
}

func validateActions(actions []admissionregistrationv1.ValidationAction, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	seen := map[admissionregistrationv1.ValidationAction]bool{}
	for i, action := range actions {
		errs = append(errs, among(&action, []string{"Audit", "Deny", "Warn"}, path.Index(i))...)
		if seen[action] {
			errs = append(errs, field.Duplicate(path.Index(i), action))
		}
		seen[action] = true
	}
	if seen[admissionregistrationv1.Deny] && seen[admissionregistrationv1.Warn] {
		errs = append(errs, field.Invalid(path, actions, "must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers serves no purpose)"))
	}
	if len(actions) == 0 {
		errs = append(errs, field.Required(path, "at least one validation action is required"))
	}
	return errs
}

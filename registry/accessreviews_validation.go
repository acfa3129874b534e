// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"reflect"

	authorizationv1 "k8s.io/api/authorization/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// The texts are those of Kubernetes: pkg/apis/authorization/validation.

func validateSubjectAccessReview(review *authorizationv1.SubjectAccessReview) field.ErrorList {
	errs := validateAccessSpec(&review.Spec)
	return append(errs, validateNoMeta(review.ObjectMeta, "must be empty")...)
}

func validateSelfSubjectAccessReview(review *authorizationv1.SelfSubjectAccessReview) field.ErrorList {
	errs := validateOneQuestion(review.Spec.ResourceAttributes, review.Spec.NonResourceAttributes)
	errs = append(errs, validateResourceAttributes(review.Spec.ResourceAttributes)...)
	return append(errs, validateNoMeta(review.ObjectMeta, "must be empty")...)
}

func validateLocalSubjectAccessReview(review *authorizationv1.LocalSubjectAccessReview) field.ErrorList {
	errs := validateAccessSpec(&review.Spec)
	meta := review.ObjectMeta
	meta.Namespace = ""
	if len(validateNoMeta(meta, "")) > 0 {
		errs = append(errs, field.Invalid(field.NewPath("metadata"), review.ObjectMeta, "must be empty except for namespace"))
	}
	if resource := review.Spec.ResourceAttributes; resource != nil && resource.Namespace != review.Namespace {
		errs = append(errs, field.Invalid(field.NewPath("spec.resourceAttributes.namespace"), resource.Namespace, "must match metadata.namespace"))
	}
	if other := review.Spec.NonResourceAttributes; other != nil {
		errs = append(errs, field.Invalid(field.NewPath("spec.nonResourceAttributes"), (*goNamedNonResource)(other), "disallowed on this kind of request"))
	}
	return errs
}

func validateAccessSpec(spec *authorizationv1.SubjectAccessReviewSpec) field.ErrorList {
	errs := validateOneQuestion(spec.ResourceAttributes, spec.NonResourceAttributes)
	if spec.User == "" && len(spec.Groups) == 0 {
		errs = append(errs, field.Invalid(field.NewPath("spec", "user"), spec.User, "at least one of user or group must be specified"))
	}
	return append(errs, validateResourceAttributes(spec.ResourceAttributes)...)
}

// goNamedNonResource prints in an error with the names that Go has for the
// fields, as Kubernetes prints its internal type.
type goNamedNonResource struct{ Path, Verb string }

func validateOneQuestion(resource *authorizationv1.ResourceAttributes, other *authorizationv1.NonResourceAttributes) field.ErrorList {
	if (resource == nil) != (other == nil) {
		return nil
	}
	return field.ErrorList{field.Invalid(field.NewPath("spec"), (*goNamedNonResource)(other), "exactly one of nonResourceAttributes or resourceAttributes must be specified")}
}

// validateNoMeta refuses metadata: a review is not an object that could have
// any. Managed fields are the server's own addition.
func validateNoMeta(meta metav1.ObjectMeta, text string) field.ErrorList {
	bare := meta
	bare.ManagedFields = nil
	// The usual review has none whatever, which is told at a twentieth of what the comparison takes.
	if reflect.ValueOf(&bare).Elem().IsZero() || apiequality.Semantic.DeepEqual(metav1.ObjectMeta{}, bare) {
		return nil
	}
	return field.ErrorList{field.Invalid(field.NewPath("metadata"), meta, text)}
}

// validateResourceAttributes lets operators pass that it does not know: newer
// clients may have some, and the answer says what was ignored.
func validateResourceAttributes(attributes *authorizationv1.ResourceAttributes) field.ErrorList {
	if attributes == nil {
		return nil
	}
	var errs field.ErrorList
	path := field.NewPath("spec.resourceAttributes")
	if selector := attributes.FieldSelector; selector != nil {
		path := path.Child("fieldSelector")
		errs = append(errs, validateOneSelector(selector.RawSelector, len(selector.Requirements), path)...)
		options := metav1validation.FieldSelectorValidationOptions{AllowUnknownOperatorInRequirement: true}
		for i, requirement := range selector.Requirements {
			errs = append(errs, metav1validation.ValidateFieldSelectorRequirement(requirement, options, path.Child("requirements").Index(i))...)
		}
	}
	if selector := attributes.LabelSelector; selector != nil {
		path := path.Child("labelSelector")
		errs = append(errs, validateOneSelector(selector.RawSelector, len(selector.Requirements), path)...)
		options := metav1validation.LabelSelectorValidationOptions{AllowUnknownOperatorInRequirement: true}
		for i, requirement := range selector.Requirements {
			errs = append(errs, metav1validation.ValidateLabelSelectorRequirement(requirement, options, path.Child("requirements").Index(i))...)
		}
	}
	return errs
}

func validateOneSelector(raw string, requirements int, path *field.Path) field.ErrorList {
	if raw != "" && requirements > 0 {
		return field.ErrorList{field.Invalid(path.Child("rawSelector"), raw, "may not specified at the same time as requirements")}
	}
	if raw == "" && requirements == 0 {
		return field.ErrorList{field.Required(path.Child("requirements"), "when "+path.String()+" is specified, requirements or rawSelector is required")}
	}
	return nil
}

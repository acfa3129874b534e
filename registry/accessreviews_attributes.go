// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"cmp"
	"errors"
	"fmt"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
)

// accessAttributes are the request that an access review asks about. One of
// resource and nonResource is set (Kubernetes: pkg/registry/authorization/util).
func accessAttributes(subject user.Info, resource *authorizationv1.ResourceAttributes, nonResource *authorizationv1.NonResourceAttributes) authorizer.AttributesRecord {
	if resource == nil {
		return authorizer.AttributesRecord{User: subject, Verb: nonResource.Verb, Path: nonResource.Path}
	}
	record := authorizer.AttributesRecord{
		User:            subject,
		Verb:            resource.Verb,
		Namespace:       resource.Namespace,
		APIGroup:        resource.Group,
		APIVersion:      cmp.Or(resource.Version, "*"),
		Resource:        resource.Resource,
		Subresource:     resource.Subresource,
		Name:            resource.Name,
		ResourceRequest: true,
	}
	record.FieldSelectorRequirements, record.FieldSelectorParsingErr = fieldRequirements(resource.FieldSelector)
	record.LabelSelectorRequirements, record.LabelSelectorParsingErr = labelRequirements(resource.LabelSelector)
	return record
}

// subjectOf is the user that a review is about.
func subjectOf(spec *authorizationv1.SubjectAccessReviewSpec) user.Info {
	subject := &user.DefaultInfo{Name: spec.User, UID: spec.UID, Groups: spec.Groups}
	if spec.Extra == nil {
		return subject
	}
	subject.Extra = make(map[string][]string, len(spec.Extra))
	for key, values := range spec.Extra {
		subject.Extra[key] = values
	}
	return subject
}

// fieldRequirements returns what it understands of a selector together with an
// error for the rest: requirements are joined by "and", so that leaving one out
// asks for more, never for less.
func fieldRequirements(selector *authorizationv1.FieldSelectorAttributes) (fields.Requirements, error) {
	if selector == nil {
		return nil, nil
	}
	if len(selector.Requirements) == 0 {
		parsed, err := fields.ParseSelector(selector.RawSelector)
		if err != nil {
			return nil, err
		}
		return parsed.Requirements(), nil
	}
	var requirements fields.Requirements
	var errs []error
	for _, asked := range selector.Requirements {
		requirement, err := fieldRequirement(asked)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		requirements = append(requirements, requirement)
	}
	return requirements, utilerrors.NewAggregate(errs)
}

// fieldRequirement writes sets of one value as the equalities that a parsed
// selector has.
func fieldRequirement(asked metav1.FieldSelectorRequirement) (fields.Requirement, error) {
	if len(asked.Values) > 1 {
		return fields.Requirement{}, errors.New("fieldSelectors do not yet support multiple values")
	}
	switch asked.Operator {
	case metav1.FieldSelectorOpIn:
		if len(asked.Values) != 1 {
			return fields.Requirement{}, errors.New("fieldSelectors in must have one value")
		}
		return fields.Requirement{Field: asked.Key, Operator: selection.Equals, Value: asked.Values[0]}, nil
	case metav1.FieldSelectorOpNotIn:
		if len(asked.Values) != 1 {
			return fields.Requirement{}, errors.New("fieldSelectors not in must have one value")
		}
		return fields.Requirement{Field: asked.Key, Operator: selection.NotEquals, Value: asked.Values[0]}, nil
	case metav1.FieldSelectorOpExists, metav1.FieldSelectorOpDoesNotExist:
		return fields.Requirement{}, fmt.Errorf("fieldSelectors do not yet support %v", asked.Operator)
	default:
		return fields.Requirement{}, fmt.Errorf("%q is not a valid field selector operator", asked.Operator)
	}
}

// labelRequirements is to labels what fieldRequirements is to fields.
func labelRequirements(selector *authorizationv1.LabelSelectorAttributes) (labels.Requirements, error) {
	if selector == nil {
		return nil, nil
	}
	if len(selector.Requirements) == 0 {
		parsed, err := labels.Parse(selector.RawSelector)
		if err != nil {
			return nil, err
		}
		requirements, _ := parsed.Requirements()
		return requirements, nil
	}
	var requirements labels.Requirements
	var errs []error
	for _, asked := range selector.Requirements {
		requirement, err := labelRequirement(asked)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		requirements = append(requirements, *requirement)
	}
	return requirements, utilerrors.NewAggregate(errs)
}

func labelRequirement(asked metav1.LabelSelectorRequirement) (*labels.Requirement, error) {
	operator, ok := labelOperator(asked.Operator)
	if !ok {
		return nil, fmt.Errorf("%q is not a valid label selector operator", asked.Operator)
	}
	return labels.NewRequirement(asked.Key, operator, asked.Values)
}

func labelOperator(asked metav1.LabelSelectorOperator) (selection.Operator, bool) {
	switch asked {
	case metav1.LabelSelectorOpIn:
		return selection.In, true
	case metav1.LabelSelectorOpNotIn:
		return selection.NotIn, true
	case metav1.LabelSelectorOpExists:
		return selection.Exists, true
	case metav1.LabelSelectorOpDoesNotExist:
		return selection.DoesNotExist, true
	default:
		return "", false
	}
}

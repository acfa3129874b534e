// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"errors"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
)

func subjectAccessReviews() Resource {
	return &review[*authorizationv1.SubjectAccessReview]{
		groupVersion: authorizationv1.SchemeGroupVersion,
		kind:         "SubjectAccessReview", plural: "subjectaccessreviews", singular: "subjectaccessreview",
		newObject: func() *authorizationv1.SubjectAccessReview { return &authorizationv1.SubjectAccessReview{} },
		reviewer:  accessReviewer[*authorizationv1.SubjectAccessReview](subjectAccess{}),
	}
}

func selfSubjectAccessReviews() Resource {
	return &review[*authorizationv1.SelfSubjectAccessReview]{
		groupVersion: authorizationv1.SchemeGroupVersion,
		kind:         "SelfSubjectAccessReview", plural: "selfsubjectaccessreviews", singular: "selfsubjectaccessreview",
		newObject: func() *authorizationv1.SelfSubjectAccessReview { return &authorizationv1.SelfSubjectAccessReview{} },
		reviewer:  accessReviewer[*authorizationv1.SelfSubjectAccessReview](selfSubjectAccess{}),
	}
}

func localSubjectAccessReviews() Resource {
	return &review[*authorizationv1.LocalSubjectAccessReview]{
		groupVersion: authorizationv1.SchemeGroupVersion,
		kind:         "LocalSubjectAccessReview", plural: "localsubjectaccessreviews", singular: "localsubjectaccessreview",
		namespaced: true,
		newObject:  func() *authorizationv1.LocalSubjectAccessReview { return &authorizationv1.LocalSubjectAccessReview{} },
		reviewer:   accessReviewer[*authorizationv1.LocalSubjectAccessReview](localSubjectAccess{}),
	}
}

// accessKind is what one of the access reviews has to itself.
type accessKind[T runtime.Object] interface {
	check(ctx context.Context, review T) error
	// attributes are the request that the review asks about.
	attributes(ctx context.Context, review T) (authorizer.AttributesRecord, error)
	// status is where the answer goes.
	status(review T) *authorizationv1.SubjectAccessReviewStatus
}

func accessReviewer[T runtime.Object](kind accessKind[T]) func(Services) (reviewer[T], error) {
	return func(services Services) (reviewer[T], error) {
		if services.Authorizer == nil {
			return nil, errors.New("no authorizer")
		}
		explained := reasons{services.AccessExplainer, services.Authorizer}
		return access[T]{accessKind: kind, authorizer: services.Authorizer, reasons: explained}, nil
	}
}

// access answers access reviews as the authorizer would decide the request.
type access[T runtime.Object] struct {
	accessKind[T]
	authorizer authorizer.UnconditionalAuthorizer
	reasons    reasons
}

func (a access[T]) answer(ctx context.Context, review T) (T, error) {
	attributes, err := a.attributes(ctx, review)
	if err != nil {
		var none T
		return none, err
	}
	var request authorizer.Attributes = attributes
	decision, reason, err := a.authorizer.Authorize(ctx, request)
	*a.status(review) = authorizationv1.SubjectAccessReviewStatus{
		Allowed:         decision == authorizer.DecisionAllow,
		Denied:          decision == authorizer.DecisionDeny,
		Reason:          reason,
		EvaluationError: evaluationError(err, attributes),
	}
	a.reasons.add(ctx, a.status(review), request)
	return review, nil
}

// evaluationError joins what the authorizer said with what was ignored of the
// selectors.
func evaluationError(err error, attributes authorizer.AttributesRecord) string {
	var texts []string
	if err != nil {
		texts = append(texts, err.Error())
	}
	if attributes.FieldSelectorParsingErr != nil {
		texts = append(texts, selectorIgnored("fieldSelector", len(attributes.FieldSelectorRequirements)))
	}
	if attributes.LabelSelectorParsingErr != nil {
		texts = append(texts, selectorIgnored("labelSelector", len(attributes.LabelSelectorRequirements)))
	}
	return strings.Join(texts, "; ")
}

func selectorIgnored(name string, understood int) string {
	if understood > 0 {
		return "spec.resourceAttributes." + name + " partially ignored due to parse error"
	}
	return "spec.resourceAttributes." + name + " ignored due to parse error"
}

// invalidReview leaves the kind out of its text, as Kubernetes does.
func invalidReview(errs field.ErrorList) error {
	if len(errs) == 0 {
		return nil
	}
	return apierrors.NewInvalid(schema.GroupKind{Group: authorizationv1.GroupName}, "", errs)
}

// subjectAccess is about any user.
type subjectAccess struct{}

func (subjectAccess) check(_ context.Context, review *authorizationv1.SubjectAccessReview) error {
	return invalidReview(validateSubjectAccessReview(review))
}

func (subjectAccess) attributes(_ context.Context, review *authorizationv1.SubjectAccessReview) (authorizer.AttributesRecord, error) {
	return accessAttributes(subjectOf(&review.Spec), review.Spec.ResourceAttributes, review.Spec.NonResourceAttributes), nil
}

func (subjectAccess) status(review *authorizationv1.SubjectAccessReview) *authorizationv1.SubjectAccessReviewStatus {
	return &review.Status
}

// selfSubjectAccess is about the caller.
type selfSubjectAccess struct{}

func (selfSubjectAccess) check(ctx context.Context, review *authorizationv1.SelfSubjectAccessReview) error {
	if err := invalidReview(validateSelfSubjectAccessReview(review)); err != nil {
		return err
	}
	_, err := callerOf(ctx)
	return err
}

func (selfSubjectAccess) attributes(ctx context.Context, review *authorizationv1.SelfSubjectAccessReview) (authorizer.AttributesRecord, error) {
	caller, err := callerOf(ctx)
	if err != nil {
		return authorizer.AttributesRecord{}, err
	}
	return accessAttributes(caller, review.Spec.ResourceAttributes, review.Spec.NonResourceAttributes), nil
}

func (selfSubjectAccess) status(review *authorizationv1.SelfSubjectAccessReview) *authorizationv1.SubjectAccessReviewStatus {
	return &review.Status
}

// localSubjectAccess is about any user, in the namespace of the request.
type localSubjectAccess struct{}

func (localSubjectAccess) check(ctx context.Context, review *authorizationv1.LocalSubjectAccessReview) error {
	if err := invalidReview(validateLocalSubjectAccessReview(review)); err != nil {
		return err
	}
	namespace := genericapirequest.NamespaceValue(ctx)
	if namespace == "" {
		return apierrors.NewBadRequest("namespace is required on this type: ")
	}
	if namespace != review.Namespace {
		return apierrors.NewBadRequest("spec.resourceAttributes.namespace must match namespace: " + namespace)
	}
	return nil
}

func (localSubjectAccess) attributes(_ context.Context, review *authorizationv1.LocalSubjectAccessReview) (authorizer.AttributesRecord, error) {
	return accessAttributes(subjectOf(&review.Spec), review.Spec.ResourceAttributes, review.Spec.NonResourceAttributes), nil
}

func (localSubjectAccess) status(review *authorizationv1.LocalSubjectAccessReview) *authorizationv1.SubjectAccessReviewStatus {
	return &review.Status
}

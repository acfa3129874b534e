// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
)

// accessRecorder answers all questions alike and keeps the last one.
type accessRecorder struct {
	authorizer.Authorizer
	asked    authorizer.AttributesRecord
	decision authorizer.Decision
	reason   string
	err      error
}

func (r *accessRecorder) Authorize(_ context.Context, attributes authorizer.Attributes) (authorizer.Decision, string, error) {
	r.asked = attributes.(authorizer.AttributesRecord)
	return r.decision, r.reason, r.err
}

func askAccess(t *testing.T, resource Resource, recorder *accessRecorder, namespace string, review runtime.Object) (runtime.Object, error) {
	t.Helper()
	creater := reviewCreater(t, resource, Services{Authorizer: recorder})
	return creater.Create(reviewContext(t, namespace), review, nil, &metav1.CreateOptions{})
}

func TestSubjectAccessReviewAsksAboutTheNamedUser(t *testing.T) {
	t.Parallel()
	recorder := &accessRecorder{decision: authorizer.DecisionAllow, reason: "because"}
	got, err := askAccess(t, subjectAccessReviews(), recorder, "", &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: "bob", UID: "3", Groups: []string{"g"}, Extra: map[string]authorizationv1.ExtraValue{"k": {"v"}},
		ResourceAttributes: &authorizationv1.ResourceAttributes{
			Verb: "list", Group: "batch", Resource: "jobs", Subresource: "status", Namespace: "dev", Name: "n",
			FieldSelector: &authorizationv1.FieldSelectorAttributes{RawSelector: "metadata.name=n"},
			LabelSelector: &authorizationv1.LabelSelectorAttributes{RawSelector: "a in (b,c)"},
		},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(authorizationv1.SubjectAccessReviewStatus{Allowed: true, Reason: "because"}, got.(*authorizationv1.SubjectAccessReview).Status); diff != "" {
		t.Error(diff)
	}
	if labels := recorder.asked.LabelSelectorRequirements; len(labels) != 1 || labels[0].String() != "a in (b,c)" {
		t.Errorf("label selector %v", labels)
	}
	want := authorizer.AttributesRecord{
		User: &user.DefaultInfo{Name: "bob", UID: "3", Groups: []string{"g"}, Extra: map[string][]string{"k": {"v"}}},
		Verb: "list", APIGroup: "batch", APIVersion: "*", Resource: "jobs", Subresource: "status", Namespace: "dev", Name: "n", ResourceRequest: true,
		FieldSelectorRequirements: fields.Requirements{{Field: "metadata.name", Operator: selection.Equals, Value: "n"}},
	}
	if diff := cmp.Diff(want, recorder.asked, cmpopts.IgnoreFields(authorizer.AttributesRecord{}, "LabelSelectorRequirements")); diff != "" {
		t.Error(diff)
	}
}

func TestSelfSubjectAccessReviewAsksAboutTheCaller(t *testing.T) {
	t.Parallel()
	recorder := &accessRecorder{decision: authorizer.DecisionDeny, err: errors.New("role missing")}
	got, err := askAccess(t, selfSubjectAccessReviews(), recorder, "", &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
		NonResourceAttributes: &authorizationv1.NonResourceAttributes{Path: "/metrics", Verb: "get"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(authorizationv1.SubjectAccessReviewStatus{Denied: true, EvaluationError: "role missing"}, got.(*authorizationv1.SelfSubjectAccessReview).Status); diff != "" {
		t.Error(diff)
	}
	asked := recorder.asked
	if asked.User.GetName() != "ann" || asked.Path != "/metrics" || asked.Verb != "get" || asked.ResourceRequest || asked.APIVersion != "" {
		t.Errorf("asked %+v", asked)
	}
}

func TestLocalSubjectAccessReviewStaysInItsNamespace(t *testing.T) {
	t.Parallel()
	review := func(namespace string) *authorizationv1.LocalSubjectAccessReview {
		return &authorizationv1.LocalSubjectAccessReview{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace},
			Spec:       authorizationv1.SubjectAccessReviewSpec{User: "bob", ResourceAttributes: &authorizationv1.ResourceAttributes{Namespace: namespace}},
		}
	}
	recorder := &accessRecorder{decision: authorizer.DecisionNoOpinion}
	got, err := askAccess(t, localSubjectAccessReviews(), recorder, "dev", review("dev"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(authorizationv1.SubjectAccessReviewStatus{}, got.(*authorizationv1.LocalSubjectAccessReview).Status); diff != "" {
		t.Error(diff)
	}
	for namespace, want := range map[string]string{
		"":      "namespace is required on this type: ",
		"other": "spec.resourceAttributes.namespace must match namespace: other",
	} {
		if _, err := askAccess(t, localSubjectAccessReviews(), recorder, namespace, review("dev")); err == nil || err.Error() != want {
			t.Errorf("in %q: error %v, want %q", namespace, err, want)
		}
	}
}

func TestSelectorsAreUsedAsFarAsTheyAreUnderstood(t *testing.T) {
	t.Parallel()
	field := func(key, operator string, values ...string) metav1.FieldSelectorRequirement {
		return metav1.FieldSelectorRequirement{Key: key, Operator: metav1.FieldSelectorOperator(operator), Values: values}
	}
	for name, test := range map[string]struct {
		fields     *authorizationv1.FieldSelectorAttributes
		labels     *authorizationv1.LabelSelectorAttributes
		understood int
		want       string
	}{
		"one value":    {fields: &authorizationv1.FieldSelectorAttributes{Requirements: []metav1.FieldSelectorRequirement{field("a", "In", "b"), field("c", "NotIn", "d")}}, understood: 2},
		"more values":  {fields: &authorizationv1.FieldSelectorAttributes{Requirements: []metav1.FieldSelectorRequirement{field("a", "In", "b"), field("c", "In", "d", "e")}}, understood: 1, want: "spec.resourceAttributes.fieldSelector partially ignored due to parse error"},
		"existence":    {fields: &authorizationv1.FieldSelectorAttributes{Requirements: []metav1.FieldSelectorRequirement{field("a", "Exists")}}, want: "spec.resourceAttributes.fieldSelector ignored due to parse error"},
		"no selector":  {fields: &authorizationv1.FieldSelectorAttributes{RawSelector: "&"}, want: "spec.resourceAttributes.fieldSelector ignored due to parse error"},
		"bad labels":   {labels: &authorizationv1.LabelSelectorAttributes{RawSelector: "!!"}, want: "spec.resourceAttributes.labelSelector ignored due to parse error"},
		"label choice": {labels: &authorizationv1.LabelSelectorAttributes{Requirements: []metav1.LabelSelectorRequirement{{Key: "a", Operator: "Exists"}, {Key: "b", Operator: "Future"}}}, understood: 1, want: "spec.resourceAttributes.labelSelector partially ignored due to parse error"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			attributes := accessAttributes(&user.DefaultInfo{}, &authorizationv1.ResourceAttributes{FieldSelector: test.fields, LabelSelector: test.labels}, nil)
			if got := len(attributes.FieldSelectorRequirements) + len(attributes.LabelSelectorRequirements); got != test.understood {
				t.Errorf("%d requirements, want %d", got, test.understood)
			}
			if got := evaluationError(nil, attributes); got != test.want {
				t.Errorf("evaluationError %q, want %q", got, test.want)
			}
		})
	}
}

func TestAccessReviewsAreValidated(t *testing.T) {
	t.Parallel()
	resource := &authorizationv1.ResourceAttributes{Verb: "get"}
	other := &authorizationv1.NonResourceAttributes{Path: "/x", Verb: "get"}
	spec := func(resource *authorizationv1.ResourceAttributes, other *authorizationv1.NonResourceAttributes) authorizationv1.SubjectAccessReviewSpec {
		return authorizationv1.SubjectAccessReviewSpec{User: "bob", ResourceAttributes: resource, NonResourceAttributes: other}
	}
	for name, test := range map[string]struct {
		resource Resource
		review   runtime.Object
		want     string
	}{
		"nothing asked": {
			subjectAccessReviews(), &authorizationv1.SubjectAccessReview{TypeMeta: metav1.TypeMeta{Kind: "SubjectAccessReview"}, Spec: spec(nil, nil)},
			`.authorization.k8s.io "" is invalid: spec: Invalid value: null: exactly one of nonResourceAttributes or resourceAttributes must be specified`,
		},
		"two things asked": {
			selfSubjectAccessReviews(), &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: resource, NonResourceAttributes: other}},
			`.authorization.k8s.io "" is invalid: spec: Invalid value: {"Path":"/x","Verb":"get"}: exactly one of nonResourceAttributes or resourceAttributes must be specified`,
		},
		"nobody asked about": {
			subjectAccessReviews(), &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{ResourceAttributes: resource}},
			`.authorization.k8s.io "" is invalid: spec.user: Invalid value: "": at least one of user or group must be specified`,
		},
		"metadata": {
			selfSubjectAccessReviews(), &authorizationv1.SelfSubjectAccessReview{ObjectMeta: metav1.ObjectMeta{Name: "n"}, Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: resource}},
			`.authorization.k8s.io "" is invalid: metadata: Invalid value: {"name":"n"}: must be empty`,
		},
		"everything local": {
			localSubjectAccessReviews(), &authorizationv1.LocalSubjectAccessReview{ObjectMeta: metav1.ObjectMeta{Namespace: "dev", Name: "n"}, Spec: spec(nil, other)},
			`.authorization.k8s.io "" is invalid: [metadata: Invalid value: {"name":"n","namespace":"dev"}: must be empty except for namespace, spec.nonResourceAttributes: Invalid value: {"Path":"/x","Verb":"get"}: disallowed on this kind of request]`,
		},
		"another namespace": {
			localSubjectAccessReviews(), &authorizationv1.LocalSubjectAccessReview{ObjectMeta: metav1.ObjectMeta{Namespace: "dev"}, Spec: spec(resource, nil)},
			`.authorization.k8s.io "" is invalid: spec.resourceAttributes.namespace: Invalid value: "": must match metadata.namespace`,
		},
		"two selectors": {
			subjectAccessReviews(), &authorizationv1.SubjectAccessReview{Spec: spec(&authorizationv1.ResourceAttributes{
				FieldSelector: &authorizationv1.FieldSelectorAttributes{RawSelector: "a=b", Requirements: []metav1.FieldSelectorRequirement{{Key: "a", Operator: "In", Values: []string{"b"}}}},
				LabelSelector: &authorizationv1.LabelSelectorAttributes{},
			}, nil)},
			`.authorization.k8s.io "" is invalid: [spec.resourceAttributes.fieldSelector.rawSelector: Invalid value: "a=b": may not specified at the same time as requirements, spec.resourceAttributes.labelSelector.requirements: Required value: when spec.resourceAttributes.labelSelector is specified, requirements or rawSelector is required]`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := askAccess(t, test.resource, &accessRecorder{}, "dev", test.review)
			if err == nil || err.Error() != test.want {
				t.Errorf("error\n%v, want\n%s", err, test.want)
			}
		})
	}
}

func TestManagedFieldsAreNoMetadataOfAReview(t *testing.T) {
	t.Parallel()
	meta := metav1.ObjectMeta{ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "kubectl"}}}
	if errs := validateNoMeta(meta, "must be empty"); len(errs) > 0 {
		t.Error(errs)
	}
}

// fakeRules knows one rule of each sort and cannot find some role.
type fakeRules struct{}

func (fakeRules) RulesFor(_ context.Context, _ user.Info, namespace string) ([]authorizer.ResourceRuleInfo, []authorizer.NonResourceRuleInfo, bool, error) {
	return []authorizer.ResourceRuleInfo{&authorizer.DefaultResourceRuleInfo{Verbs: []string{"get"}, APIGroups: []string{""}, Resources: []string{namespace}, ResourceNames: []string{"n"}}},
		[]authorizer.NonResourceRuleInfo{&authorizer.DefaultNonResourceRuleInfo{Verbs: []string{"get"}, NonResourceURLs: []string{"/x"}}},
		true, errors.New("role missing")
}

func TestSelfSubjectRulesReviewListsWhatCouldBeResolved(t *testing.T) {
	t.Parallel()
	creater := reviewCreater(t, selfSubjectRulesReviews(), Services{RuleResolver: fakeRules{}})
	got, err := creater.Create(reviewContext(t, ""), &authorizationv1.SelfSubjectRulesReview{Spec: authorizationv1.SelfSubjectRulesReviewSpec{Namespace: "dev"}}, nil, &metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want := &authorizationv1.SelfSubjectRulesReview{Status: authorizationv1.SubjectRulesReviewStatus{
		ResourceRules:    []authorizationv1.ResourceRule{{Verbs: []string{"get"}, APIGroups: []string{""}, Resources: []string{"dev"}, ResourceNames: []string{"n"}}},
		NonResourceRules: []authorizationv1.NonResourceRule{{Verbs: []string{"get"}, NonResourceURLs: []string{"/x"}}},
		Incomplete:       true, EvaluationError: "role missing",
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	_, err = creater.Create(reviewContext(t, ""), &authorizationv1.SelfSubjectRulesReview{}, nil, &metav1.CreateOptions{})
	if err == nil || err.Error() != "no namespace on request" {
		t.Errorf("without a namespace: %v", err)
	}
}

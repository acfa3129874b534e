// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"fmt"
	"net/http"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// accessReviews are the four kinds of authorization.k8s.io (Kubernetes:
// pkg/registry/authorization).
func accessReviews() []test {
	return []test{
		{"administrators may do everything", reviewOfAdministrators},
		{"an answer is given with status 201 and says nothing where it says no", answerOfAccessReview},
		{"a caller may ask about itself", selfAccessReview},
		{"a caller learns its rules in a namespace", selfRules},
		{"rights in one namespace may be asked for in that alone", localAccessReview},
		{"a right to objects of some name covers selecting them", selectorsOfAccessReview},
		{"a fresh account may discover, and ask about itself", rightsOfFreshAccount},
		{"a review that is not right is turned away", refusedAccessReviews},
	}
}

const accessPath = "/apis/authorization.k8s.io/v1/"

func reviewOfAdministrators(e *env) {
	for _, spec := range []authorizationv1.SubjectAccessReviewSpec{
		{ResourceAttributes: &resourceAttributes{Verb: "frob", Group: "example.com", Resource: "x"}},
		{NonResourceAttributes: &authorizationv1.NonResourceAttributes{Verb: "get", Path: "/x"}},
	} {
		spec.Groups = []string{"system:masters"}
		if status := e.may(spec); !status.Allowed || status.Denied {
			e.Errorf("an administrator may not: %s", status.Reason)
		}
	}
}

func answerOfAccessReview(e *env) {
	e.grant("reader", "jane", rule("get", "", "pods"))
	e.holdsOf("jane", map[resourceAttributes]bool{{Namespace: e.ns, Verb: "get", Resource: "pods"}: true})
	for name, verb := range map[string]string{"yes": "get", "no": "delete"} {
		got := e.do(request{as: e.reviewer(), method: http.MethodPost, path: accessPath + "subjectaccessreviews", body: &authorizationv1.SubjectAccessReview{
			Spec: authorizationv1.SubjectAccessReviewSpec{User: "jane", ResourceAttributes: &resourceAttributes{Namespace: e.ns, Verb: verb, Resource: "pods"}},
		}}).want(e, http.StatusCreated)
		var review struct{ Status any }
		got.into(e, &review)
		e.pin("access-"+name+".json", e.steady(e.encode(review.Status)))
	}
}

func selfAccessReview(e *env) {
	e.grant("reader", "jane", rule("get", "", "pods"))
	client := e.clientOf(e.acting("jane"))
	for verb, want := range map[string]bool{"get": true, "delete": false} {
		e.await(e.target.ImmediateRBAC, func() error {
			answered, err := client.AuthorizationV1().SelfSubjectAccessReviews().Create(e.Context(), &authorizationv1.SelfSubjectAccessReview{
				Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &resourceAttributes{Namespace: e.ns, Verb: verb, Resource: "pods"}},
			}, metav1.CreateOptions{})
			if err == nil && answered.Status.Allowed != want {
				err = fmt.Errorf("%s: allowed is %v, want %v", verb, answered.Status.Allowed, want)
			}
			return err
		})
	}
}

func (e *env) rulesOf(config string, namespace string) authorizationv1.SubjectRulesReviewStatus {
	e.Helper()
	answered, err := e.clientOf(e.acting(config)).AuthorizationV1().SelfSubjectRulesReviews().Create(e.Context(), &authorizationv1.SelfSubjectRulesReview{
		Spec: authorizationv1.SelfSubjectRulesReviewSpec{Namespace: namespace},
	}, metav1.CreateOptions{})
	e.check(err)
	return answered.Status
}

func selfRules(e *env) {
	e.grant("reader", "jane", rule("get", "", "pods"), rule("list", "batch", "jobs"))
	e.holdsOf("jane", map[resourceAttributes]bool{{Namespace: e.ns, Verb: "get", Resource: "pods"}: true})
	own := func(namespace string) []authorizationv1.ResourceRule {
		var rules []authorizationv1.ResourceRule
		status := e.rulesOf("jane", namespace)
		if status.Incomplete || status.EvaluationError != "" {
			e.Errorf("the rules are incomplete: %s", status.EvaluationError)
		}
		for _, rule := range status.ResourceRules {
			if rule.Resources[0] == "pods" || rule.Resources[0] == "jobs" {
				rules = append(rules, rule)
			}
		}
		return rules
	}
	want := []authorizationv1.ResourceRule{
		{Verbs: []string{"get"}, APIGroups: []string{""}, Resources: []string{"pods"}},
		{Verbs: []string{"list"}, APIGroups: []string{"batch"}, Resources: []string{"jobs"}},
	}
	if diff := cmp.Diff(want, own(e.ns), cmpopts.EquateEmpty()); diff != "" {
		e.Errorf("rules (-want +got):\n%s", diff)
	}
	if got := own("default"); len(got) > 0 {
		e.Errorf("in another namespace the rules are %v, want none of these", got)
	}
}

func localAccessReview(e *env) {
	e.grant("reader", "jane", rule("get", "", "pods"))
	ask := func(in, about string) request {
		return request{method: http.MethodPost, path: accessPath + "namespaces/" + in + "/localsubjectaccessreviews", body: &authorizationv1.LocalSubjectAccessReview{
			ObjectMeta: metav1.ObjectMeta{Namespace: in},
			Spec:       authorizationv1.SubjectAccessReviewSpec{User: "jane", ResourceAttributes: &resourceAttributes{Namespace: about, Verb: "get", Resource: "pods"}},
		}}
	}
	e.await(e.target.ImmediateRBAC, func() error {
		var review authorizationv1.LocalSubjectAccessReview
		e.do(ask(e.ns, e.ns)).want(e, http.StatusCreated).into(e, &review)
		if !review.Status.Allowed {
			return fmt.Errorf("it is not allowed: %q", review.Status.Reason)
		}
		return nil
	})
	e.pinRefusals("refusals/localaccess.txt", []refused{
		{"about another namespace", ask(e.ns, "other")},
		{"about no namespace", ask(e.ns, "")},
	})
}

func selectorsOfAccessReview(e *env) {
	e.grant("reader", "jane", rule("list", "", "pods", "p"))
	named := resourceAttributes{Namespace: e.ns, Verb: "list", Resource: "pods", Name: "p"}
	e.holdsOf("jane", map[resourceAttributes]bool{named: true})
	named.Name = ""
	named.FieldSelector = &authorizationv1.FieldSelectorAttributes{RawSelector: "metadata.name=p"}
	status := e.may(authorizationv1.SubjectAccessReviewSpec{User: "jane", ResourceAttributes: &named})
	if status.Allowed { // who asks names the object too; a selector alone names none
		e.Error("a selector in a review counts as a name")
	}
}

func rightsOfFreshAccount(e *env) {
	name := "system:serviceaccount:" + e.ns + ":default"
	groups := []string{"system:serviceaccounts", "system:serviceaccounts:" + e.ns, "system:authenticated"}
	for _, verb := range []string{"get", "list", "watch", "create", "update", "patch", "delete"} {
		for _, resource := range []string{"pods", "secrets", "configmaps", "serviceaccounts", "nodes", "namespaces"} {
			spec := authorizationv1.SubjectAccessReviewSpec{User: name, Groups: groups, ResourceAttributes: &resourceAttributes{Namespace: e.ns, Verb: verb, Resource: resource}}
			if status := e.may(spec); status.Allowed {
				e.Errorf("it may %s %s: %s", verb, resource, status.Reason)
			}
		}
	}
	for _, path := range []string{"/api", "/apis/batch/v1", "/openapi/v3", "/version", "/healthz", "/.well-known/openid-configuration", "/openid/v1/jwks"} {
		spec := authorizationv1.SubjectAccessReviewSpec{User: name, Groups: groups, NonResourceAttributes: &authorizationv1.NonResourceAttributes{Verb: "get", Path: path}}
		if !e.may(spec).Allowed {
			e.Errorf("it may not see %s", path)
		}
	}
	if status := e.may(authorizationv1.SubjectAccessReviewSpec{User: name, Groups: groups, ResourceAttributes: &resourceAttributes{Verb: "create", Group: rbacv1.GroupName, Resource: "clusterrolebindings"}}); status.Allowed {
		e.Error("it may bind cluster roles")
	}
}

func refusedAccessReviews(e *env) {
	post := func(what, resource, body string) refused {
		return refused{what, request{method: http.MethodPost, path: accessPath + resource, body: body}}
	}
	const both = `"resourceAttributes":{"verb":"get","resource":"pods"},"nonResourceAttributes":{"verb":"get","path":"/x"}`
	e.pinRefusals("refusals/access.txt", []refused{
		post("about nothing", "subjectaccessreviews", `{"spec":{"user":"jane"}}`),
		post("about both a resource and a path", "subjectaccessreviews", `{"spec":{"user":"jane",`+both+`}}`),
		post("about nobody", "subjectaccessreviews", `{"spec":{"resourceAttributes":{"verb":"get","resource":"pods"}}}`),
		post("with a name of its own", "subjectaccessreviews", `{"metadata":{"name":"x"},"spec":{"user":"jane","resourceAttributes":{"verb":"get","resource":"pods"}}}`),
		post("with a selector twice", "subjectaccessreviews", `{"spec":{"user":"jane","resourceAttributes":{"verb":"list","resource":"pods","fieldSelector":{"rawSelector":"a=b","requirements":[{"key":"a","operator":"In","values":["b"]}]}}}}`),
		post("oneself, about nothing", "selfsubjectaccessreviews", `{"spec":{}}`),
		post("oneself, about both", "selfsubjectaccessreviews", `{"spec":{`+both+`}}`),
		post("rules in no namespace", "selfsubjectrulesreviews", `{"spec":{}}`),
		post("in one namespace, about a path", "namespaces/"+e.ns+"/localsubjectaccessreviews", `{"metadata":{"namespace":"`+e.ns+`"},"spec":{"user":"jane","nonResourceAttributes":{"verb":"get","path":"/x"}}}`),
		{"listed", request{method: http.MethodGet, path: accessPath + "subjectaccessreviews"}},
	})
}

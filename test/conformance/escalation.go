// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"net/http"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// escalation is that nobody hands on what they do not have (Kubernetes:
// pkg/registry/rbac).
func escalation() []test {
	return []test{
		{"nobody writes a role with more rights than their own", roleEscalation},
		{"whoever has the verb escalate writes any role", escalateVerb},
		{"nobody binds a role with more rights than their own", bindingEscalation},
		{"whoever has the verb bind binds that role", bindVerb},
		{"a role that does not exist is bound by administrators alone", bindingToMissingRole},
		{"an aggregation rule needs every right", aggregationEscalation},
	}
}

func (e *env) rbacPath(resource string) string {
	return "/apis/rbac.authorization.k8s.io/v1/namespaces/" + e.ns + "/" + resource
}

// manager gives a user the right to write roles and bindings, and further
// rights.
func (e *env) manager(name string, rules ...rbacv1.PolicyRule) {
	e.Helper()
	e.grant("manager-"+name, name, append(rules, rule("*", "rbac.authorization.k8s.io", "rolebindings"), rule("create", "rbac.authorization.k8s.io", "roles"), rule("update", "rbac.authorization.k8s.io", "roles"))...)
	e.holdsOf(name, map[resourceAttributes]bool{{Namespace: e.ns, Verb: "create", Group: "rbac.authorization.k8s.io", Resource: "roles"}: true})
}

// post creates an RBAC object of the test's namespace as a user.
func (e *env) post(as, resource string, body any) request {
	return request{as: e.acting(as), method: http.MethodPost, path: e.rbacPath(resource), body: body}
}

func roleOf(name string, rules ...rbacv1.PolicyRule) *rbacv1.Role {
	return &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: rules}
}

func bindingOf(name, kind, role string) *rbacv1.RoleBinding {
	return &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: kind, Name: role},
		Subjects:   []rbacv1.Subject{user("joe")},
	}
}

func roleEscalation(e *env) {
	e.manager("jane", rule("get", "", "pods"), rule("get", "", "configmaps", "a", "b"))
	e.do(e.post("jane", "roles", roleOf("same", rule("get", "", "pods")))).want(e, http.StatusCreated)
	e.do(e.post("jane", "roles", roleOf("less", rule("get", "", "pods", "x"), rule("get", "", "configmaps", "b")))).want(e, http.StatusCreated)
	more := roleOf("same", rule("get", "", "pods"), rule("list", "", "pods"))
	e.pinRefusals("refusals/escalation.txt", []refused{
		{"another verb", e.post("jane", "roles", roleOf("r", rule("delete", "", "pods")))},
		{"another resource", e.post("jane", "roles", roleOf("r", rule("get", "", "secrets")))},
		{"any name", e.post("jane", "roles", roleOf("r", rule("get", "", "configmaps")))},
		{"everything", e.post("jane", "roles", roleOf("r", rule("*", "*", "*")))},
		{"more than before", request{as: e.acting("jane"), method: http.MethodPut, path: e.rbacPath("roles/same"), body: more}},
	})
}

func escalateVerb(e *env) {
	e.manager("jane", rule("escalate", "rbac.authorization.k8s.io", "roles"))
	e.do(e.post("jane", "roles", roleOf("more", rule("*", "*", "*")))).want(e, http.StatusCreated)
}

func bindingEscalation(e *env) {
	e.manager("jane", rule("get", "", "pods"))
	e.role("same", rule("get", "", "pods"))
	e.role("more", rule("get", "", "secrets"))
	e.do(e.post("jane", "rolebindings", bindingOf("b", "Role", "same"))).want(e, http.StatusCreated)
	e.pinRefusals("refusals/binding.txt", []refused{
		{"a role with more", e.post("jane", "rolebindings", bindingOf("c", "Role", "more"))},
	})
	got := e.do(e.post("jane", "rolebindings", bindingOf("c", "ClusterRole", "cluster-admin")))
	got.want(e, http.StatusForbidden)
}

func bindVerb(e *env) {
	e.manager("jane", rule("bind", "rbac.authorization.k8s.io", "clusterroles", "view"))
	e.do(e.post("jane", "rolebindings", bindingOf("b", "ClusterRole", "view"))).want(e, http.StatusCreated)
	e.do(e.post("jane", "rolebindings", bindingOf("c", "ClusterRole", "edit"))).want(e, http.StatusForbidden)
}

func bindingToMissingRole(e *env) {
	e.manager("jane")
	e.pinRefusals("refusals/binding-to-nothing.txt", []refused{
		{"a role that does not exist", e.post("jane", "rolebindings", bindingOf("b", "Role", "none"))},
	})
	e.do(request{method: http.MethodPost, path: e.rbacPath("rolebindings"), body: bindingOf("b", "Role", "none")}).want(e, http.StatusCreated)
}

func aggregationEscalation(e *env) {
	jane := e.ns + "-jane"
	e.clusterRole(&rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: e.ns + "-writer"},
		Rules:      []rbacv1.PolicyRule{rule("create", "rbac.authorization.k8s.io", "clusterroles")},
	})
	e.bindEverywhere(e.ns+"-writer", user(jane))
	e.holdsOf(jane, map[resourceAttributes]bool{{Verb: "create", Group: "rbac.authorization.k8s.io", Resource: "clusterroles"}: true})
	e.pinRefusals("refusals/aggregation.txt", []refused{{"a rule that gathers others'", request{
		as: e.acting(jane), method: http.MethodPost, path: "/apis/rbac.authorization.k8s.io/v1/clusterroles", body: &rbacv1.ClusterRole{
			ObjectMeta:      metav1.ObjectMeta{Name: e.ns + "-sum"},
			AggregationRule: &rbacv1.AggregationRule{ClusterRoleSelectors: []metav1.LabelSelector{{MatchLabels: map[string]string{"a": "b"}}}},
		},
	}}})
}

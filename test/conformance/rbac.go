// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"fmt"
	"net/http"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// rbac is how rules are weighed (Kubernetes: plugin/pkg/auth/authorizer/rbac).
func rbac() []test {
	return []test{
		{"a rule covers what it names and nothing else", rulesCover},
		{"a rule with names covers objects of those names", rulesWithNames},
		{"a role counts in the namespace of its binding alone", rolesCountInNamespace},
		{"a cluster role bound in a namespace counts in that alone", clusterRolesInNamespace},
		{"subjects are users, groups and service accounts", subjects},
		{"paths that are no resources need a cluster role bound everywhere", nonResourcePaths},
		{"a right ends with its binding, and with its role", endOfRights},
		{"a changed role changes the rights of all who have it", changedRole},
		{"a binding to a role that is made later counts from then on", laterRole},
		{"cluster roles are aggregated by their labels", aggregation},
		{"a role is not bound to another under the same binding", immutableRoleRef},
		{"roles and bindings that are not right are turned away", refusedRoles},
	}
}

type resourceAttributes = authorizationv1.ResourceAttributes

// holdsOf expects a user to be allowed what is given as true.
func (e *env) holdsOf(name string, asked map[resourceAttributes]bool) {
	e.Helper()
	for attributes, want := range asked {
		e.await(e.target.ImmediateRBAC, func() error {
			status := e.may(authorizationv1.SubjectAccessReviewSpec{User: name, ResourceAttributes: &attributes})
			if status.Allowed != want {
				return fmt.Errorf("%s may %+v: %v, want %v", name, attributes, status.Allowed, want)
			}
			return nil
		})
	}
}

func rulesCover(e *env) {
	e.grant("one", "one", rule("get", "", "pods"))
	e.grant("sub", "sub", rule("get", "", "pods/status"))
	e.grant("all", "all", rule("*", "*", "*"))
	e.grant("subs", "subs", rule("get", "*", "*/status"))
	ask := func(verb, group, resource, sub string) resourceAttributes {
		return resourceAttributes{Namespace: e.ns, Verb: verb, Group: group, Resource: resource, Subresource: sub}
	}
	e.holdsOf("one", map[resourceAttributes]bool{
		ask("get", "", "pods", ""): true, ask("list", "", "pods", ""): false, ask("get", "apps", "pods", ""): false,
		ask("get", "", "secrets", ""): false, ask("get", "", "pods", "status"): false, ask("*", "", "pods", ""): false,
	})
	e.holdsOf("sub", map[resourceAttributes]bool{ask("get", "", "pods", ""): false, ask("get", "", "pods", "status"): true, ask("get", "", "nodes", "status"): false})
	e.holdsOf("all", map[resourceAttributes]bool{ask("frob", "example.com", "x", "y"): true, ask("get", "", "pods", ""): true, {Verb: "get", Resource: "pods"}: false})
	e.holdsOf("subs", map[resourceAttributes]bool{ask("get", "", "pods", "status"): true, ask("get", "batch", "jobs", "status"): true, ask("get", "", "pods", ""): false, ask("get", "", "pods", "log"): false})
}

func rulesWithNames(e *env) {
	e.grant("named", "jane", rule("*", "", "configmaps", "mine"))
	e.configMap("mine", nil)
	e.configMap("other", nil)
	ask := func(verb, name string) resourceAttributes {
		return resourceAttributes{Namespace: e.ns, Verb: verb, Resource: "configmaps", Name: name}
	}
	e.holdsOf("jane", map[resourceAttributes]bool{
		ask("get", "mine"): true, ask("get", "other"): false, ask("list", ""): false, ask("create", ""): false, ask("deletecollection", ""): false,
	})
	jane := e.acting("jane")
	path := "/api/v1/namespaces/" + e.ns + "/configmaps"
	for query, want := range map[string]int{
		"/mine": 200, "/other": 403, "": 403, "?fieldSelector=metadata.name%3Dmine": 200, "?fieldSelector=metadata.name%3Dother": 403,
	} {
		if got := e.do(request{as: jane, method: http.MethodGet, path: path + query}); got.code != want {
			e.Errorf("reading configmaps%s: the answer is %d, want %d", query, got.code, want)
		}
	}
}

func rolesCountInNamespace(e *env) {
	e.grant("reader", "jane", rule("get", "", "pods"))
	other := e.namespace()
	e.holdsOf("jane", map[resourceAttributes]bool{
		{Namespace: e.ns, Verb: "get", Resource: "pods"}:  true,
		{Namespace: other, Verb: "get", Resource: "pods"}: false,
		{Verb: "get", Resource: "pods"}:                   false,
	})
}

func clusterRolesInNamespace(e *env) {
	e.bind("viewer", "ClusterRole", "view", user("jane"))
	e.holdsOf("jane", map[resourceAttributes]bool{
		{Namespace: e.ns, Verb: "list", Resource: "pods"}:      true,
		{Namespace: e.ns, Verb: "list", Resource: "secrets"}:   false,
		{Namespace: "default", Verb: "list", Resource: "pods"}: false,
	})
}

func subjects(e *env) {
	e.role("reader", rule("get", "", "pods"))
	e.bind("readers", "Role", "reader", user("jane"),
		rbacv1.Subject{Kind: rbacv1.GroupKind, APIGroup: rbacv1.GroupName, Name: "staff"},
		rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: "elsewhere", Name: "robot"},
		rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: e.ns, Name: "robot"})
	ask := &resourceAttributes{Namespace: e.ns, Verb: "get", Resource: "pods"}
	for _, who := range []struct {
		user  string
		group string
		want  string
	}{
		{"jane", "", `RBAC: allowed by RoleBinding "readers/NS" of Role "reader" to User "jane"`},
		{"joe", "staff", `RBAC: allowed by RoleBinding "readers/NS" of Role "reader" to Group "staff"`},
		{"joe", "Staff", ""},
		{"staff", "jane", ""},
		{"system:serviceaccount:elsewhere:robot", "", `RBAC: allowed by RoleBinding "readers/NS" of Role "reader" to ServiceAccount "robot/elsewhere"`},
		{"system:serviceaccount:other:robot", "", ""},
		{"robot", "", ""},
	} {
		e.await(e.target.ImmediateRBAC, func() error {
			status := e.may(authorizationv1.SubjectAccessReviewSpec{User: who.user, Groups: []string{who.group}, ResourceAttributes: ask})
			if got := e.steady(status.Reason, e.ns, "NS"); got != who.want || status.Allowed != (who.want != "") {
				return fmt.Errorf("%q of group %q: allowed is %v because of %q, want %q", who.user, who.group, status.Allowed, got, who.want)
			}
			return nil
		})
	}
}

func nonResourcePaths(e *env) {
	jane := e.ns + "-jane"
	e.clusterRole(&rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: e.ns + "-paths"},
		Rules:      []rbacv1.PolicyRule{{Verbs: []string{"get"}, NonResourceURLs: []string{"/logs/*", "/metrics"}}},
	})
	may := func(path string) bool {
		return e.may(authorizationv1.SubjectAccessReviewSpec{
			User: jane, NonResourceAttributes: &authorizationv1.NonResourceAttributes{Path: path, Verb: "get"},
		}).Allowed
	}
	e.bind("paths", "ClusterRole", e.ns+"-paths", user(jane))
	if may("/metrics") {
		e.Error("a binding in a namespace gives a right to a path")
	}
	e.bindEverywhere(e.ns+"-paths", user(jane))
	for path, want := range map[string]bool{"/metrics": true, "/metrics/x": false, "/logs/": true, "/logs/a/b": true, "/logs": false, "/": false} {
		e.await(e.target.ImmediateRBAC, func() error {
			if got := may(path); got != want {
				return fmt.Errorf("%s: allowed is %v, want %v", path, got, want)
			}
			return nil
		})
	}
}

func endOfRights(e *env) {
	read := resourceAttributes{Namespace: e.ns, Verb: "get", Resource: "pods"}
	e.grant("one", "jane", rule("get", "", "pods"))
	e.grant("two", "joe", rule("get", "", "pods"))
	e.holdsOf("jane", map[resourceAttributes]bool{read: true})
	e.holdsOf("joe", map[resourceAttributes]bool{read: true})
	e.check(e.client.RbacV1().RoleBindings(e.ns).Delete(e.Context(), "one", metav1.DeleteOptions{}))
	e.check(e.client.RbacV1().Roles(e.ns).Delete(e.Context(), "two", metav1.DeleteOptions{}))
	e.holdsOf("jane", map[resourceAttributes]bool{read: false})
	e.holdsOf("joe", map[resourceAttributes]bool{read: false})
}

func changedRole(e *env) {
	e.grant("role", "jane", rule("get", "", "pods"))
	role, err := e.client.RbacV1().Roles(e.ns).Get(e.Context(), "role", metav1.GetOptions{})
	e.check(err)
	role.Rules = []rbacv1.PolicyRule{rule("get", "", "secrets")}
	_, err = e.client.RbacV1().Roles(e.ns).Update(e.Context(), role, metav1.UpdateOptions{})
	e.check(err)
	e.holdsOf("jane", map[resourceAttributes]bool{
		{Namespace: e.ns, Verb: "get", Resource: "pods"}:    false,
		{Namespace: e.ns, Verb: "get", Resource: "secrets"}: true,
	})
}

func laterRole(e *env) {
	e.bind("early", "Role", "late", user("jane"))
	read := resourceAttributes{Namespace: e.ns, Verb: "get", Resource: "pods"}
	e.holdsOf("jane", map[resourceAttributes]bool{read: false})
	status := e.may(authorizationv1.SubjectAccessReviewSpec{User: "jane", ResourceAttributes: &read})
	if want := `RBAC: role.rbac.authorization.k8s.io "late" not found`; !strings.Contains(status.Reason, want) {
		e.Errorf("the reason is %q, want it to say %q", status.Reason, want)
	}
	e.role("late", rule("get", "", "pods"))
	e.holdsOf("jane", map[resourceAttributes]bool{read: true})
}

func aggregation(e *env) {
	label := map[string]string{"conformance.example/for": e.ns}
	e.clusterRole(&rbacv1.ClusterRole{
		ObjectMeta:      metav1.ObjectMeta{Name: e.ns + "-sum"},
		AggregationRule: &rbacv1.AggregationRule{ClusterRoleSelectors: []metav1.LabelSelector{{MatchLabels: label}}},
	})
	for _, part := range []string{"b", "a"} {
		e.clusterRole(&rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: e.ns + "-" + part, Labels: label}, Rules: []rbacv1.PolicyRule{rule("get", part+".example", "x")}})
	}
	e.eventually(func() error {
		sum, err := e.client.RbacV1().ClusterRoles().Get(e.Context(), e.ns+"-sum", metav1.GetOptions{})
		if err != nil {
			return err
		}
		if len(sum.Rules) != 2 || sum.Rules[0].APIGroups[0] != "a.example" {
			return fmt.Errorf("the rules are %v, want those of both parts in the order of their names", sum.Rules)
		}
		return nil
	})
}

func immutableRoleRef(e *env) {
	e.grant("one", "jane", rule("get", "", "pods"))
	binding, err := e.client.RbacV1().RoleBindings(e.ns).Get(e.Context(), "one", metav1.GetOptions{})
	e.check(err)
	binding.Subjects = append(binding.Subjects, user("joe"))
	binding, err = e.client.RbacV1().RoleBindings(e.ns).Update(e.Context(), binding, metav1.UpdateOptions{})
	e.check(err)
	binding.RoleRef.Name = "two"
	binding.TypeMeta = metav1.TypeMeta{APIVersion: "rbac.authorization.k8s.io/v1", Kind: "RoleBinding"}
	e.pinRefusals("refusals/roleref.txt", []refused{{"another role", request{
		method: http.MethodPut, path: "/apis/rbac.authorization.k8s.io/v1/namespaces/" + e.ns + "/rolebindings/one", body: binding,
	}}})
}

func refusedRoles(e *env) {
	in := "/apis/rbac.authorization.k8s.io/v1/namespaces/" + e.ns
	post := func(what, path, body string) refused {
		return refused{what, request{method: http.MethodPost, path: path, body: body}}
	}
	e.pinRefusals("refusals/rbac.txt", []refused{
		post("a rule without verbs", in+"/roles", `{"metadata":{"name":"r"},"rules":[{"apiGroups":[""],"resources":["pods"]}]}`),
		post("a rule without groups and resources", in+"/roles", `{"metadata":{"name":"r"},"rules":[{"verbs":["get"]}]}`),
		post("a rule of paths in a namespace", in+"/roles", `{"metadata":{"name":"r"},"rules":[{"verbs":["get"],"nonResourceURLs":["/x"]}]}`),
		post("a rule of both paths and resources", "/apis/rbac.authorization.k8s.io/v1/clusterroles", `{"metadata":{"name":"r"},"rules":[{"verbs":["get"],"nonResourceURLs":["/x"],"apiGroups":[""],"resources":["pods"]}]}`),
		post("a name that is no part of a path", in+"/roles", `{"metadata":{"name":"a%b"}}`),
		post("a binding to nothing", in+"/rolebindings", `{"metadata":{"name":"b"}}`),
		post("a binding to what is no role", in+"/rolebindings", `{"metadata":{"name":"b"},"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"Pod","name":"p"}}`),
		post("a binding to a role of another group", in+"/rolebindings", `{"metadata":{"name":"b"},"roleRef":{"apiGroup":"example.com","kind":"Role","name":"r"}}`),
		post("a cluster binding to a role", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", `{"metadata":{"name":"b"},"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"Role","name":"r"}}`),
		post("a subject of no known kind", in+"/rolebindings", `{"metadata":{"name":"b"},"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"Role","name":"r"},"subjects":[{"kind":"Robot","name":"r"}]}`),
		post("an account without a namespace, everywhere", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", `{"metadata":{"name":"b"},"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"view"},"subjects":[{"kind":"ServiceAccount","name":"r"}]}`),
		post("an account with a name that none can have", in+"/rolebindings", `{"metadata":{"name":"b"},"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"Role","name":"r"},"subjects":[{"kind":"ServiceAccount","name":"A B"}]}`),
	})
}

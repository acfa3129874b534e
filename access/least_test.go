// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package access

import (
	"fmt"
	"math/rand/v2"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/validate/content"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"github.com/muster-identity/muster/rbac"
)

// universe are uses of all shapes: verbs on resources of two groups, parts of
// them, single objects, in two namespaces and in none, and paths.
func universe() []Use {
	var all []Use
	for _, verb := range []string{"get", "list", "create", "delete"} {
		for _, namespace := range []string{"", "dev", "prod"} {
			for _, resource := range [][3]string{{"", "pods", ""}, {"", "pods", "log"}, {"", "secrets", ""}, {"batch", "jobs", ""}, {"batch", "pods", ""}} {
				for _, name := range []string{"", "a", "b"} {
					all = append(all, Use{Namespace: namespace, Request: rbac.Request{
						Verb: verb, ResourceRequest: true, APIGroup: resource[0], Resource: resource[1], Subresource: resource[2], Name: name,
					}})
				}
			}
		}
		for _, path := range []string{"/metrics", "/debug", "/healthz"} {
			all = append(all, Use{Request: rbac.Request{Verb: verb, Path: path}})
		}
	}
	return all
}

// implies tells whether what is allowed by use is asked for by other: everything
// in a namespace is in the cluster's, and a resource has its objects.
func implies(use, other Use) bool {
	if use.Namespace == "" {
		use.Namespace = other.Namespace
	}
	if use.Name == "" {
		use.Name = other.Name
	}
	return use == other
}

func TestTheLeastRolesAllowWhatWasDoneAndNothingElse(t *testing.T) {
	t.Parallel()
	subject := rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: "dev", Name: "reporter"}
	everybody := newEverybody(subject)
	all := universe()
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 0))
		var did []Use
		for range 1 + random.IntN(12) {
			did = append(did, all[random.IntN(len(all))])
		}
		index := rbac.NewIndex()
		objects := Least(subject, "least", did)
		for _, object := range objects {
			index.Set(object)
		}
		for _, use := range all {
			want := false
			for _, d := range did {
				want = want || implies(d, use)
			}
			got := index.Decide(everybody.user, attributes(everybody, use)).Allowed || everybody.may(use)
			if got != (want || everybody.may(use)) {
				t.Fatalf("seed %d: after %v, %+v is allowed: %v, want %v, by %s", seed, did, use, got, want, dump(objects))
			}
		}
	}
}

// What is suggested makes the request pass, and decides every other as before,
// whatever the policy is.
func TestASuggestionAllowsTheRequestAndNothingElse(t *testing.T) {
	t.Parallel()
	subject := rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: "dev", Name: "reporter"}
	other := rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: "dev", Name: "other"}
	all := universe()
	for seed := range uint64(100) {
		random := rand.New(rand.NewPCG(seed, 1))
		index := rbac.NewIndex()
		for i := range random.IntN(4) {
			var held []rbac.Request
			for range 1 + random.IntN(4) {
				held = append(held, all[random.IntN(len(all))].Request)
			}
			for _, object := range grant([]rbacv1.Subject{subject, other}[random.IntN(2)], []string{"", "dev", "prod"}[random.IntN(3)], fmt.Sprint("r", i), RulesFor(held)) {
				index.Set(object)
			}
		}
		asked := all[random.IntN(len(all))]
		may := func(s rbacv1.Subject, use Use) bool {
			return Explain(index, UserFor(s), use.Namespace, use.Request).Allowed
		}
		var before []bool
		for _, use := range all {
			before = append(before, may(subject, use), may(other, use))
		}
		for _, object := range Suggest(subject, "suggested", asked.Namespace, asked.Request) {
			index.Set(object)
		}
		if !may(subject, asked) {
			t.Fatalf("seed %d: %+v is not allowed after what was suggested", seed, asked)
		}
		for i, use := range all {
			if got, want := may(subject, use), before[2*i] || implies(asked, use); got != want {
				t.Fatalf("seed %d: after a suggestion for %+v, %+v is allowed: %v, want %v", seed, asked, use, got, want)
			}
			if may(other, use) != before[2*i+1] {
				t.Fatalf("seed %d: after a suggestion for %+v, somebody else may %+v", seed, asked, use)
			}
		}
	}
}

func TestAnAccountOfTheSameNameAnywhereIsThoughtOf(t *testing.T) {
	t.Parallel()
	index := policy(t, role("r", "get pods"), bound("b", "Role", "r", "far-away/reporter")).Index()
	why := Explain(index, UserFor(rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: "home", Name: "reporter"}), "dev", rbac.Request{Verb: "get", ResourceRequest: true, Resource: "pods"})
	want := "RoleBinding dev/b of Role dev/r would allow it, but is to ServiceAccount far-away/reporter, not to ServiceAccount home/reporter"
	if why.Allowed || len(why.Nearest) != 1 || why.Nearest[0].Says != want {
		t.Errorf("got %+v, want %s", why, want)
	}
}

func attributes(e everybody, use Use) authorizer.Attributes {
	return authorizer.AttributesRecord{
		User: e.user, Verb: use.Verb, Namespace: use.Namespace, APIGroup: use.APIGroup, Resource: use.Resource,
		Subresource: use.Subresource, Name: use.Name, ResourceRequest: use.ResourceRequest, Path: use.Path,
	}
}

func dump(objects []runtime.Object) string {
	var text string
	for _, object := range objects {
		switch object := object.(type) {
		case *rbacv1.Role:
			text += fmt.Sprintf("\n%s: %v", object.Namespace, object.Rules)
		case *rbacv1.ClusterRole:
			text += fmt.Sprintf("\neverywhere: %v", object.Rules)
		}
	}
	return text
}

func TestRulesJoinWhatHasTheSameVerbs(t *testing.T) {
	t.Parallel()
	on := func(verb, resource, name string) rbac.Request {
		return rbac.Request{Verb: verb, ResourceRequest: true, Resource: resource, Name: name}
	}
	got := RulesFor([]rbac.Request{
		on("get", "pods", ""), on("list", "pods", ""), on("list", "configmaps", ""), on("get", "configmaps", ""),
		on("get", "pods", "a"), on("delete", "pods", "a"), on("delete", "pods", "b"),
		{Verb: "get", Path: "/metrics"},
		{Verb: "get", Path: "/debug"},
	})
	want := []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"configmaps", "pods"}, Verbs: []string{"get", "list"}},
		{APIGroups: []string{""}, Resources: []string{"pods"}, ResourceNames: []string{"a", "b"}, Verbs: []string{"delete"}},
		{NonResourceURLs: []string{"/debug", "/metrics"}, Verbs: []string{"get"}},
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestMembersOfGroupsHaveWhatFollowsFromThem(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"dev/reporter":                     "[system:authenticated system:serviceaccounts system:serviceaccounts:dev]",
		"group:system:serviceaccounts:dev": "[system:authenticated system:serviceaccounts system:serviceaccounts:dev]",
		"group:system:unauthenticated":     "[system:unauthenticated]",
		"system:anonymous":                 "[system:unauthenticated]",
		"jane":                             "[crew system:authenticated]",
	} {
		subject := subjectsOf([]string{text})[0]
		var groups []string
		if text == "jane" {
			groups = []string{"crew"}
		}
		if got := fmt.Sprint(UserFor(subject, groups...).GetGroups()); got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
}

func TestNamesOfRolesAreForOneSubjectAndOneThing(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for _, text := range []string{"dev/a-b", "dev-a/b", "user/crew", "user:crew", "group:crew", "user:Ünlü", "user:Ünlo", "user:a/b", "user:a-b", "user:dev:a-b", "system:serviceaccount:dev:x"} {
		subject := subjectsOf([]string{text})[0]
		for what, q := range map[string]rbac.Request{
			"widgets a": {Verb: "get", ResourceRequest: true, APIGroup: "a.example", Resource: "widgets"},
			"widgets b": {Verb: "get", ResourceRequest: true, APIGroup: "b.example", Resource: "widgets"},
			"part":      {Verb: "get", ResourceRequest: true, Resource: "widgets", Subresource: "x"},
			"all":       {Verb: "*", Path: "*"},
			"path":      {Verb: "*", Path: "/"},
		} {
			name := NameFor(subject, q)
			if faults := content.IsPathSegmentName(name); len(faults) > 0 || name == "" {
				t.Errorf("%s, %s: %q is no name: %v", text, what, name, faults)
			}
			if other, taken := seen[name]; taken {
				t.Errorf("%q is for %s, %s and for %s", name, text, what, other)
			}
			seen[name] = text + ", " + what
		}
	}
}

func TestASubjectIsReadFromWhatPeopleWrite(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"dev/reporter":                       "ServiceAccount dev/reporter",
		"system:serviceaccount:dev:reporter": "ServiceAccount dev/reporter",
		"jane":                               "User jane",
		"user:a/b":                           "User a/b",
		"system:kube-scheduler":              "User system:kube-scheduler",
		"group:system:authenticated":         "Group system:authenticated",
		"":                                   "",
		"/x":                                 "",
		"a/b/c":                              "",
		"dev/":                               "",
	} {
		subject, err := ParseSubject(text)
		got := ""
		if err == nil {
			got = rbac.NameOf(subject)
		}
		if got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
		if err == nil && text != "" && UsernameOf(subject) != "" {
			if again, err := ParseSubject(argument(subject)); err != nil || again != subject {
				t.Errorf("%q: written as %q it is read as %v, %v", text, argument(subject), again, err)
			}
		}
	}
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package rbac_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"github.com/muster-identity/muster/rbac"
)

func account(namespace, name string) rbacv1.Subject {
	return rbacv1.Subject{Kind: "ServiceAccount", Namespace: namespace, Name: name}
}

func boundIn(namespace, name, role string, subjects ...rbacv1.Subject) *rbacv1.RoleBinding {
	return &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role}, Subjects: subjects,
	}
}

func TestTheNearestGrantTellsInWhatItFallsShort(t *testing.T) {
	t.Parallel()
	role := func(name string, rules ...rbacv1.PolicyRule) *rbacv1.ClusterRole {
		return &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: rules}
	}
	reads := rbacv1.PolicyRule{Verbs: []string{"get", "list"}, APIGroups: []string{""}, Resources: []string{"pods"}}
	named := rbacv1.PolicyRule{Verbs: []string{"delete"}, APIGroups: []string{""}, Resources: []string{"pods"}, ResourceNames: []string{"a", "b"}}
	paths := rbacv1.PolicyRule{Verbs: []string{"get"}, NonResourceURLs: []string{"/metrics"}}
	reporter := account("dev", "reporter")
	ask := func(verb, group, resource, subresource, name string) rbac.Request {
		return rbac.Request{Verb: verb, ResourceRequest: true, APIGroup: group, Resource: resource, Subresource: subresource, Name: name}
	}
	for name, test := range map[string]struct {
		objects []runtime.Object
		ask     rbac.Request
		want    []string
	}{
		"another verb":           {[]runtime.Object{role("r", reads), boundIn("dev", "b", "r", reporter)}, ask("delete", "", "pods", "", ""), []string{"verb: RoleBinding dev/b of ClusterRole r allows get, list on pods, not delete"}},
		"another part":           {[]runtime.Object{role("r", reads), boundIn("dev", "b", "r", reporter)}, ask("get", "", "pods", "log", ""), []string{"subresource: RoleBinding dev/b of ClusterRole r allows to get pods, not pods/log"}},
		"another group":          {[]runtime.Object{role("r", reads), boundIn("dev", "b", "r", reporter)}, ask("get", "metrics.k8s.io", "pods", "", ""), []string{`apiGroup: RoleBinding dev/b of ClusterRole r allows to get pods in the API group "", not in "metrics.k8s.io"`}},
		"other objects":          {[]runtime.Object{role("r", named), boundIn("dev", "b", "r", reporter)}, ask("delete", "", "pods", "", "c"), []string{"name: RoleBinding dev/b of ClusterRole r allows to delete those of the pods that are named a, b, not c"}},
		"single objects":         {[]runtime.Object{role("r", named), boundIn("dev", "b", "r", reporter)}, ask("delete", "", "pods", "", ""), []string{"name: RoleBinding dev/b of ClusterRole r allows to delete those of the pods that are named a, b, not all of them"}},
		"another namespace":      {[]runtime.Object{role("r", reads), boundIn("prod", "b", "r", reporter)}, ask("get", "", "pods", "", ""), []string{"namespace: RoleBinding prod/b of ClusterRole r allows it in the namespace prod, not in the namespace dev"}},
		"no role":                {[]runtime.Object{boundIn("dev", "b", "r", reporter)}, ask("get", "", "pods", "", ""), []string{"role: RoleBinding dev/b of ClusterRole r is held, but the role does not exist"}},
		"another account":        {[]runtime.Object{role("r", reads), boundIn("dev", "b", "r", account("default", "reporter"))}, ask("get", "", "pods", "", ""), []string{"subject: RoleBinding dev/b of ClusterRole r would allow it, but is to ServiceAccount default/reporter, not to ServiceAccount dev/reporter"}},
		"a user of that name":    {[]runtime.Object{role("r", reads), boundIn("dev", "b", "r", rbacv1.Subject{Kind: "User", Name: "dev/reporter"})}, ask("get", "", "pods", "", ""), []string{"subject: RoleBinding dev/b of ClusterRole r would allow it, but is to User dev/reporter, not to ServiceAccount dev/reporter"}},
		"a group of that name":   {[]runtime.Object{role("r", reads), boundIn("dev", "b", "r", rbacv1.Subject{Kind: "Group", Name: "system:serviceaccount:dev:reporter"})}, ask("get", "", "pods", "", ""), []string{"subject: RoleBinding dev/b of ClusterRole r would allow it, but is to Group system:serviceaccount:dev:reporter, not to ServiceAccount dev/reporter"}},
		"a path":                 {[]runtime.Object{role("r", paths), &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "b"}, RoleRef: rbacv1.RoleRef{Kind: "ClusterRole", Name: "r"}, Subjects: []rbacv1.Subject{reporter}}}, rbac.Request{Verb: "post", Path: "/metrics"}, []string{"verb: ClusterRoleBinding b of ClusterRole r allows get on /metrics, not post"}},
		"something else":         {[]runtime.Object{role("r", reads), boundIn("dev", "b", "r", reporter)}, ask("get", "", "secrets", "", ""), nil},
		"what allows it already": {[]runtime.Object{role("r", reads), boundIn("dev", "b", "r", reporter)}, ask("get", "", "pods", "", ""), nil},
		"the nearest first": {
			[]runtime.Object{role("r", reads), role("d", named), boundIn("dev", "1", "r", reporter), boundIn("dev", "2", "d", reporter), boundIn("dev", "3", "gone", reporter)},
			ask("delete", "", "pods", "", "c"),
			[]string{"role: RoleBinding dev/3", "name: RoleBinding dev/2", "verb: RoleBinding dev/1"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			index := rbac.NewIndex()
			for _, object := range test.objects {
				index.Set(object)
			}
			u := &user.DefaultInfo{Name: "system:serviceaccount:dev:reporter", Groups: []string{"system:serviceaccounts"}}
			var got []string
			for _, miss := range index.Nearest(u, "dev", test.ask) {
				got = append(got, string(miss.Short)+": "+miss.Says)
			}
			if !slices.EqualFunc(got, test.want, strings.HasPrefix) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(test.want, "\n"))
			}
		})
	}
}

// What is written down for explanations follows the index through any history.
func TestWaysAndPlacesAreThoseOfWhatExists(t *testing.T) {
	t.Parallel()
	for seed := range uint64(40) {
		c := newChance(seed)
		index, p := rbac.NewIndex(), policy{}
		u := &user.DefaultInfo{Name: "system:serviceaccount:a:bot", Groups: []string{"crew"}}
		index.Places(u) // kept from now on
		for range 60 {
			object := c.object()
			if c.IntN(3) == 0 {
				index.Delete(object)
				p.delete(object)
			} else {
				index.Set(object)
				p.set(object)
			}
		}
		var places []string
		for _, namespace := range []string{"a", "b"} {
			for _, obj := range p {
				if b, ok := obj.(*rbacv1.RoleBinding); ok && b.Namespace == namespace {
					if _, held := subjectFor(u, b.Subjects, namespace); held && !slices.Contains(places, namespace) {
						places = append(places, namespace)
					}
				}
			}
		}
		if got := index.Places(u); !slices.Equal(got, places) {
			t.Fatalf("seed %d: places are %q, want %q", seed, got, places)
		}
		for range 30 {
			attributes := c.request()
			attributes.User = u
			ways := index.Ways(u, attributes.GetNamespace(), rbac.RequestOf(attributes))
			if want := p.ways(attributes); fmt.Sprint(names(ways)) != fmt.Sprint(want) {
				t.Fatalf("seed %d: %+v is allowed by %q, want %q", seed, attributes, names(ways), want)
			}
			if len(ways) > 0 != index.Decide(u, attributes).Allowed {
				t.Fatalf("seed %d: %+v has %d ways, and is decided otherwise", seed, attributes, len(ways))
			}
		}
	}
}

func names(ways []rbac.Grant) []string {
	var all []string
	for _, w := range ways {
		all = append(all, w.Binding.Name)
	}
	return all
}

// ways are the names of the bindings that allow a request.
func (p policy) ways(attrs authorizer.Attributes) []string {
	var all []string
	for _, a := range p.applied(attrs.GetUser(), attrs.GetNamespace()) {
		if slices.ContainsFunc(a.rules, func(rule rbacv1.PolicyRule) bool { return allows(rule, attrs) }) {
			all = append(all, a.name)
		}
	}
	return all
}

func BenchmarkNearest(b *testing.B) {
	index := rbac.NewIndex()
	index.Set(&rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "r"}, Rules: []rbacv1.PolicyRule{{Verbs: []string{"get"}, APIGroups: []string{""}, Resources: []string{"pods"}}}})
	for i := range 100_000 {
		index.Set(boundIn(fmt.Sprintf("n%d", i%1000), fmt.Sprintf("b%d", i), "r", account("dev", fmt.Sprintf("s%d", i/5))))
	}
	u := &user.DefaultInfo{Name: "system:serviceaccount:dev:s1", Groups: []string{"system:serviceaccounts", "system:authenticated"}}
	index.Places(u)
	b.ReportAllocs()
	for b.Loop() {
		index.Nearest(u, "n6", rbac.Request{Verb: "delete", ResourceRequest: true, Resource: "pods"})
	}
}

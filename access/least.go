// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package access

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"github.com/muster-identity/muster/rbac"
	"github.com/muster-identity/muster/rbac/bootstrap"
)

// Least returns the roles that allow the uses and nothing else, and their
// bindings to the subject, all of the given name: a Role and a RoleBinding for
// each namespace, a ClusterRole and a ClusterRoleBinding for what is in none. What
// everybody of the subject's kind may do from the start needs no role.
//
// A use that names an object is allowed for that object alone.
func Least(subject rbacv1.Subject, name string, uses []Use) []runtime.Object {
	everybody := newEverybody(subject)
	byNamespace := map[string][]rbac.Request{}
	for _, use := range uses {
		if !everybody.may(use) {
			byNamespace[use.Namespace] = append(byNamespace[use.Namespace], use.Request)
		}
	}
	var objects []runtime.Object
	for _, namespace := range slices.Sorted(maps.Keys(byNamespace)) {
		objects = append(objects, grant(subject, namespace, name, RulesFor(byNamespace[namespace]))...)
	}
	return objects
}

// grant are a role with the rules and its binding to the subject.
func grant(subject rbacv1.Subject, namespace, name string, rules []rbacv1.PolicyRule) []runtime.Object {
	meta := metav1.ObjectMeta{Namespace: namespace, Name: name}
	kind := func(kind string) metav1.TypeMeta {
		return metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: kind}
	}
	ref := rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name}
	subjects := []rbacv1.Subject{subject}
	if namespace == "" {
		ref.Kind = "ClusterRole"
		return []runtime.Object{
			&rbacv1.ClusterRole{TypeMeta: kind("ClusterRole"), ObjectMeta: meta, Rules: rules},
			&rbacv1.ClusterRoleBinding{TypeMeta: kind("ClusterRoleBinding"), ObjectMeta: meta, RoleRef: ref, Subjects: subjects},
		}
	}
	return []runtime.Object{
		&rbacv1.Role{TypeMeta: kind("Role"), ObjectMeta: meta, Rules: rules},
		&rbacv1.RoleBinding{TypeMeta: kind("RoleBinding"), ObjectMeta: meta, RoleRef: ref, Subjects: subjects},
	}
}

// everybody answers what a subject may do without any binding of its own.
type everybody struct {
	index *rbac.Index
	user  user.Info
}

func newEverybody(subject rbacv1.Subject) everybody {
	index := rbac.NewIndex()
	for _, role := range bootstrap.ClusterRoles() {
		index.Set(role)
	}
	for _, binding := range bootstrap.ClusterRoleBindings() {
		index.Set(binding)
	}
	return everybody{index, UserFor(subject)}
}

func (e everybody) may(use Use) bool {
	return e.index.Decide(e.user, authorizer.AttributesRecord{
		User: e.user, Verb: use.Verb, Namespace: use.Namespace, APIGroup: use.APIGroup, Resource: use.Resource,
		Subresource: use.Subresource, Name: use.Name, ResourceRequest: use.ResourceRequest, Path: use.Path,
	}).Allowed
}

// RulesFor are few rules that allow the requests and nothing else. A rule joins
// what has the same verbs: the objects of a resource, the resources of a group,
// paths.
func RulesFor(requests []rbac.Request) []rbacv1.PolicyRule {
	type object struct{ group, resource, name string }
	type resource struct{ group, resource, verbs string }
	type resources struct{ group, names, verbs string }
	objects, paths := map[object][]string{}, map[string][]string{}
	for _, r := range requests {
		if r.ResourceRequest {
			o := object{r.APIGroup, r.Resource, r.Name}
			if r.Subresource != "" {
				o.resource += "/" + r.Subresource
			}
			objects[o] = append(objects[o], r.Verb)
		} else {
			paths[r.Path] = append(paths[r.Path], r.Verb)
		}
	}
	named := map[resource][]string{}
	for o, verbs := range objects {
		if o.name != "" { // all of them are allowed anyway
			verbs = without(verbs, objects[object{o.group, o.resource, ""}])
		}
		if len(verbs) > 0 {
			key := resource{o.group, o.resource, packed(verbs)}
			named[key] = append(named[key], o.name)
		}
	}
	joined := map[resources][]string{}
	for r, names := range named {
		// What is allowed for all objects is a rule of its own.
		for _, some := range [][]string{without(names, []string{""}), without(names, without(names, []string{""}))} {
			if len(some) > 0 {
				key := resources{r.group, packed(some), r.verbs}
				joined[key] = append(joined[key], r.resource)
			}
		}
	}
	var rules []rbacv1.PolicyRule
	for r, of := range joined {
		slices.Sort(of)
		rules = append(rules, rbacv1.PolicyRule{APIGroups: []string{r.group}, Resources: of, ResourceNames: without(unpacked(r.names), []string{""}), Verbs: unpacked(r.verbs)})
	}
	urls := map[string][]string{}
	for path, verbs := range paths {
		urls[packed(verbs)] = append(urls[packed(verbs)], path)
	}
	for verbs, of := range urls {
		slices.Sort(of)
		rules = append(rules, rbacv1.PolicyRule{NonResourceURLs: of, Verbs: unpacked(verbs)})
	}
	slices.SortFunc(rules, func(a, b rbacv1.PolicyRule) int {
		return cmp.Or(slices.Compare(a.NonResourceURLs, b.NonResourceURLs), slices.Compare(a.APIGroups, b.APIGroups),
			slices.Compare(a.Resources, b.Resources), slices.Compare(a.ResourceNames, b.ResourceNames), slices.Compare(a.Verbs, b.Verbs))
	})
	return rules
}

// without returns what is in all and not in some.
func without(all, some []string) []string {
	var rest []string
	for _, a := range all {
		if !slices.Contains(some, a) {
			rest = append(rest, a)
		}
	}
	return rest
}

// separator is in no verb, resource or name.
const separator = "\x00"

// packed makes of a set what can be compared.
func packed(set []string) string {
	sorted := slices.Sorted(slices.Values(set))
	return strings.Join(slices.Compact(sorted), separator)
}

func unpacked(set string) []string { return strings.Split(set, separator) }

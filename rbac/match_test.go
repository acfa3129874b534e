// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package rbac_test

import (
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/muster-identity/muster/rbac"
)

func TestRulesMatchRequests(t *testing.T) {
	t.Parallel()
	resources := func(resources ...string) rbacv1.PolicyRule {
		return rbacv1.PolicyRule{Verbs: []string{"get"}, APIGroups: []string{""}, Resources: resources}
	}
	paths := func(paths ...string) rbacv1.PolicyRule {
		return rbacv1.PolicyRule{Verbs: []string{"get"}, NonResourceURLs: paths}
	}
	get := func(resource, subresource string) rbac.Request {
		return rbac.Request{Verb: "get", ResourceRequest: true, Resource: resource, Subresource: subresource}
	}
	path := func(path string) rbac.Request { return rbac.Request{Verb: "get", Path: path} }
	named := func(names ...string) rbacv1.PolicyRule {
		rule := resources("pods")
		rule.ResourceNames = names
		return rule
	}
	tests := []struct {
		name    string
		rule    rbacv1.PolicyRule
		request rbac.Request
		want    bool
	}{
		{"a resource", resources("pods"), get("pods", ""), true},
		{"a resource does not imply its parts", resources("pods"), get("pods", "log"), false},
		{"a part", resources("pods/log"), get("pods", "log"), true},
		{"a part does not imply the resource", resources("pods/log"), get("pods", ""), false},
		{"a part of any resource", resources("*/log"), get("jobs", "log"), true},
		{"a part of any resource is not that resource", resources("*/log"), get("log", ""), false},
		{"a part of any resource is not one that ends alike", resources("*/log"), get("jobs", "catalog"), false},
		{"a part of another resource that ends alike", resources("pods/log"), get("xpods", "log"), false},
		{"all parts of a resource cannot be written", resources("pods/*"), get("pods", "log"), false},
		{"everything", resources("*"), get("pods", "log"), true},
		{"another verb", resources("pods"), rbac.Request{Verb: "list", ResourceRequest: true, Resource: "pods"}, false},
		{"another group", resources("pods"), rbac.Request{Verb: "get", ResourceRequest: true, APIGroup: "batch", Resource: "pods"}, false},
		{"a name", named("x", "y"), rbac.Request{Verb: "get", ResourceRequest: true, Resource: "pods", Name: "y"}, true},
		{"another name", named("x", "y"), rbac.Request{Verb: "get", ResourceRequest: true, Resource: "pods", Name: "z"}, false},
		{"no name where one is asked for", named("x", "y"), get("pods", ""), false},
		{"a path", paths("/healthz"), path("/healthz"), true},
		{"a path below", paths("/healthz"), path("/healthz/etcd"), false},
		{"any path below", paths("/healthz/*"), path("/healthz/etcd"), true},
		{"any path below is not the path", paths("/healthz/*"), path("/healthz"), false},
		{"all paths", paths("*"), path("/"), true},
		{"a path for a rule on resources", resources("*"), path("/healthz"), false},
		{"a resource for a rule on paths", paths("*"), get("pods", ""), false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := rbac.Matches(&test.rule, &test.request); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

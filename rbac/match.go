// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package rbac

import (
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apiserver/pkg/authorization/authorizer"
)

// Request is what rules are matched against: a verb on a resource, or on a path
// that is no resource.
type Request struct {
	Verb string
	// ResourceRequest tells which of the following count: those of a resource,
	// or Path.
	ResourceRequest bool
	// APIGroup is empty for the core group, Subresource for the object itself,
	// Name if the request does not name one object.
	APIGroup, Resource, Subresource, Name string
	Path                                  string
}

// RequestOf takes from a request's attributes what rules ask for. User and
// namespace are not among it: they decide which rules apply.
func RequestOf(attrs authorizer.Attributes) Request {
	if !attrs.IsResourceRequest() {
		return Request{Verb: attrs.GetVerb(), Path: attrs.GetPath()}
	}
	return Request{
		Verb:            attrs.GetVerb(),
		ResourceRequest: true,
		APIGroup:        attrs.GetAPIGroup(),
		Resource:        attrs.GetResource(),
		Subresource:     attrs.GetSubresource(),
		Name:            attrs.GetName(),
	}
}

// Matches tells whether the rule allows the request. A rule for resources says
// nothing on paths, nor the other way round (Kubernetes:
// pkg/apis/rbac/v1/evaluation_helpers.go).
func Matches(rule *rbacv1.PolicyRule, r *Request) bool {
	if !r.ResourceRequest {
		return hasOrAll(rule.Verbs, r.Verb) && matchesPath(rule.NonResourceURLs, r.Path)
	}
	return hasOrAll(rule.Verbs, r.Verb) &&
		hasOrAll(rule.APIGroups, r.APIGroup) &&
		matchesResource(rule.Resources, r) &&
		(len(rule.ResourceNames) == 0 || slices.Contains(rule.ResourceNames, r.Name))
}

// hasOrAll tells whether set has wanted or the asterisk, which stands for every
// verb, group, resource and path alike.
func hasOrAll(set []string, wanted string) bool {
	for _, s := range set {
		if s == wanted || s == rbacv1.VerbAll {
			return true
		}
	}
	return false
}

// matchesResource takes "pods" for the pod alone, "pods/log" for that part of
// it, and "*/log" for that part of any resource.
func matchesResource(set []string, r *Request) bool {
	if r.Subresource == "" {
		return hasOrAll(set, r.Resource)
	}
	for _, s := range set {
		if s == rbacv1.ResourceAll {
			return true
		}
		// Cut at the end: the request's resource may itself hold a slash.
		resource, ok := strings.CutSuffix(s, r.Subresource)
		if !ok {
			continue
		}
		resource, ok = strings.CutSuffix(resource, "/")
		if ok && (resource == r.Resource || resource == "*") {
			return true
		}
	}
	return false
}

// matchesPath takes a path as it stands, or any that begins with what comes
// before a trailing asterisk.
func matchesPath(set []string, path string) bool {
	for _, s := range set {
		if s == path {
			return true
		}
		if strings.HasSuffix(s, "*") && strings.HasPrefix(path, strings.TrimRight(s, "*")) {
			return true
		}
	}
	return false
}

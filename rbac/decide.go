// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package rbac

import (
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
)

// Decision is whether a request is allowed, and why.
type Decision struct {
	Allowed bool
	// Reason names the binding by which it is allowed, as Kubernetes words it:
	//
	//	RBAC: allowed by RoleBinding "binding/namespace" of Role "role" to ServiceAccount "name/namespace"
	//
	// It is empty if the request is not allowed.
	Reason string
	// Errors are the roles that the user is bound to and that do not exist, if
	// the request is not allowed: it might be, if they did.
	Errors []error
}

// Decide tells whether u may do what attrs asks for. ClusterRoleBindings come
// first, then the RoleBindings of the namespace; among those that allow, the
// first by name is the reason. Paths are allowed by ClusterRoleBindings alone.
func (x *Index) Decide(u user.Info, attrs authorizer.Attributes) Decision {
	request := RequestOf(attrs)
	namespace := ""
	if request.ResourceRequest {
		namespace = attrs.GetNamespace()
	}
	return settled(x, func() Decision { return x.decide(u, namespace, &request) })
}

func (x *Index) decide(u user.Info, namespace string, request *Request) Decision {
	everywhere := x.search(u, "", request)
	if everywhere.grant != nil {
		return Decision{Allowed: true, Reason: everywhere.grant.reason}
	}
	var here search
	if namespace != "" {
		here = x.search(u, namespace, request)
		if here.grant != nil {
			return Decision{Allowed: true, Reason: here.grant.reason}
		}
	}
	if everywhere.missing || here.missing {
		_, errs := x.rulesFor(u, namespace, roleKey.missing)
		return Decision{Errors: errs}
	}
	return Decision{}
}

// A search is for the first grant, by name, that allows a request.
type search struct {
	grant *grant
	// missing tells that a role did not exist.
	missing bool
}

// search looks through what u and their groups hold in one scope.
func (x *Index) search(u user.Info, namespace string, request *Request) search {
	var s search
	s.through(x.holdings.get(holder{name: u.GetName(), namespace: namespace}), request)
	for _, group := range u.GetGroups() {
		s.through(x.holdings.get(holder{group: true, name: group, namespace: namespace}), request)
	}
	return s
}

// through goes on in a holding, up to where what was found cannot be bettered.
func (s *search) through(h holding, request *Request) {
	for _, g := range h {
		if s.grant != nil && compareGrants(s.grant, g) <= 0 {
			return
		}
		allowed, exists := g.binding.role.allows(request)
		if allowed {
			s.grant = g
			return
		}
		s.missing = s.missing || !exists
	}
}

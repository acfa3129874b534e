// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

// Package noderestriction is the admission plugin that holds nodes to what is
// theirs: their own Node, Lease and CSINode, the pods that are bound to them, and
// tokens and certificates for these pods. The server room puts it in the chain
// after the plugin that gives pods their accounts.
//
// The node authorizer (authz/node) decides by what a request is about, and lets
// nodes ask for more than they may get, since what they ask for is in the body of
// the request. That is judged here. Whoever is no node is not its business.
// Kubernetes: plugin/pkg/admission/noderestriction/admission.go, whose texts these
// are.
package noderestriction

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"github.com/muster-identity/muster/authz/node"
	"github.com/muster-identity/muster/live"
)

// Name is what the plugin is called in flags, as in Kubernetes.
const Name = "NodeRestriction"

// Objects are those that exist now. What does not exist is apierrors.NotFound.
// Calls may overlap.
type Objects interface {
	Pod(ctx context.Context, namespace, name string) (live.Pod, error)
	Node(ctx context.Context, name string) (live.Node, error)
	ServiceAccount(ctx context.Context, namespace, name string) (live.ServiceAccount, error)
}

// Plugin is the admission plugin. Make one with New.
type Plugin struct {
	*admission.Handler
	lookups    lookups
	authorizer authorizer.UnconditionalAuthorizer
}

var _ admission.MutationInterface = &Plugin{}

// New makes a plugin that finds pods, nodes and accounts in objects, and asks
// authorizer who may request what no pod mentions.
func New(objects Objects, authorizer authorizer.UnconditionalAuthorizer) *Plugin {
	return &Plugin{
		Handler:    admission.NewHandler(admission.Create, admission.Update, admission.Delete),
		lookups:    lookups{objects},
		authorizer: authorizer,
	}
}

// A request is one write of a node.
type request struct {
	admission.Attributes
	// node is the name of who asks.
	node string
}

// Admit refuses what is not the node's. It changes nothing, yet it belongs to the
// mutating half, so that no other plugin does work for a write that cannot be.
func (p *Plugin) Admit(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	name, isNode := node.Of(a.GetUserInfo())
	if !isNode {
		return nil
	}
	if name == "" {
		return admission.NewForbidden(a, fmt.Errorf("could not determine node from user %q", a.GetUserInfo().GetName()))
	}
	if rule := p.ruleFor(a.GetResource().GroupResource()); rule != nil {
		return rule(ctx, request{a, name})
	}
	return nil
}

// ruleFor returns what nodes are held to with a resource, or nil where the
// authorizer's word is enough.
func (p *Plugin) ruleFor(resource schema.GroupResource) func(context.Context, request) error {
	switch resource {
	case schema.GroupResource{Resource: "pods"}:
		return p.admitPods
	case schema.GroupResource{Resource: "nodes"}:
		return p.admitNode
	case schema.GroupResource{Resource: "serviceaccounts"}:
		return p.admitToken
	case schema.GroupResource{Group: "coordination.k8s.io", Resource: "leases"}:
		return p.admitLease
	case schema.GroupResource{Group: "storage.k8s.io", Resource: "csinodes"}:
		return p.admitCSINode
	case schema.GroupResource{Group: "certificates.k8s.io", Resource: "certificatesigningrequests"}:
		return p.admitCSR
	case schema.GroupResource{Group: "certificates.k8s.io", Resource: "podcertificaterequests"}:
		return p.admitPodCertificateRequest
	default:
		return nil
	}
}

// forbid refuses the request (403).
func (r request) forbid(format string, args ...any) error {
	return admission.NewForbidden(r, fmt.Errorf(format, args...))
}

// object is what the request wants to store, if it is of the type that it has to be.
func object[T any](r request) (T, error) {
	obj, ok := r.GetObject().(T)
	if !ok {
		return obj, r.forbid("unexpected type %T", r.GetObject())
	}
	return obj, nil
}

// oldObject is what the request wants to change.
func oldObject[T any](r request) (T, error) {
	obj, ok := r.GetOldObject().(T)
	if !ok {
		return obj, r.forbid("unexpected type %T", r.GetOldObject())
	}
	return obj, nil
}

// mayRequest asks for a verb on something that tokens or certificates are
// requested for, on behalf of an account.
func (p *Plugin) mayRequest(ctx context.Context, r request, verb, resource, account string) (bool, error) {
	decision, _, err := p.authorizer.Authorize(ctx, authorizer.AttributesRecord{
		User:            r.GetUserInfo(),
		Verb:            verb,
		APIGroup:        r.GetResource().Group,
		APIVersion:      r.GetResource().Version,
		Resource:        resource,
		Namespace:       r.GetNamespace(),
		Name:            account,
		ResourceRequest: true,
	})
	// A role that is missing does not outweigh another that allows it.
	if decision == authorizer.DecisionAllow {
		return true, nil
	}
	return false, err
}

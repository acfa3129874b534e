// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/apiserver/pkg/authorization/authorizer"
)

// verdict is whether a node may do something; if not, why, in words that
// Kubernetes' clients see.
type verdict struct {
	allowed bool
	reason  string
}

var allowed = verdict{allowed: true}

func because(reason string) verdict { return verdict{reason: reason} }

// A judge knows what nodes may do with one resource.
type judge func(g *Graph, node string, attrs authorizer.Attributes) verdict

// judgeOf returns the judge of a resource; nil for those that are open to all
// nodes alike.
func judgeOf(group, resource string) judge {
	type place struct{ group, resource string }
	switch (place{group, resource}) {
	case place{"", "secrets"}:
		return judgeSecret
	case place{"", "configmaps"}:
		return judgeConfigMap
	case place{"", "serviceaccounts"}:
		return judgeServiceAccount
	case place{"", "pods"}:
		return judgePod
	case place{"", "nodes"}:
		return judgeNode
	case place{"coordination.k8s.io", "leases"}:
		return judgeLease
	case place{"certificates.k8s.io", "podcertificaterequests"}:
		return judgePodCertificateRequest
	case place{"", "persistentvolumeclaims"}:
		return judgeClaim
	case place{"resource.k8s.io", "resourceclaims"}:
		return judgeResourceClaim
	case place{"", "persistentvolumes"}, place{"storage.k8s.io", "volumeattachments"}:
		return judgeUnserved
	case place{"storage.k8s.io", "csinodes"}:
		return judgeCSINode
	case place{"resource.k8s.io", "resourceslices"}:
		return judgeResourceSlice
	default:
		return nil
	}
}

func judgeSecret(g *Graph, node string, attrs authorizer.Attributes) verdict {
	return read(g, node, secret, attrs)
}

func judgeConfigMap(g *Graph, node string, attrs authorizer.Attributes) verdict {
	return read(g, node, configMap, attrs)
}

func judgeResourceClaim(g *Graph, node string, attrs authorizer.Attributes) verdict {
	return get(g, node, resourceClaim, attrs)
}

func judgeUnserved(g *Graph, node string, attrs authorizer.Attributes) verdict {
	return get(g, node, unserved, attrs)
}

func judgeClaim(g *Graph, node string, attrs authorizer.Attributes) verdict {
	if attrs.GetSubresource() != "status" {
		return get(g, node, claim, attrs)
	}
	switch attrs.GetVerb() {
	case "update", "patch":
		return related(g, node, claim, attrs)
	default:
		return because("can only get/update/patch this type")
	}
}

// judgeServiceAccount lets a node read the accounts of its pods, and request
// tokens for them, which NodeRestriction wants bound to one of these pods.
func judgeServiceAccount(g *Graph, node string, attrs authorizer.Attributes) verdict {
	switch {
	case attrs.GetVerb() == "get" && attrs.GetSubresource() == "":
		return read(g, node, serviceAccount, attrs)
	case attrs.GetVerb() != "create" || attrs.GetName() == "":
		return because("can only create tokens for individual service accounts")
	case attrs.GetSubresource() != "token":
		return because("can only create token subresource of serviceaccount")
	default:
		return related(g, node, serviceAccount, attrs)
	}
}

// judgePod lets a node read its pods. Whose pods it creates, deletes, evicts and
// reports the status of, NodeRestriction looks at.
func judgePod(g *Graph, node string, attrs authorizer.Attributes) verdict {
	type deed struct{ subresource, verb string }
	switch (deed{attrs.GetSubresource(), attrs.GetVerb()}) {
	case deed{"", "get"}:
		return get(g, node, pod, attrs)
	case deed{"", "list"}, deed{"", "watch"}:
		if selects(attrs, "spec.nodeName", node) {
			return allowed
		}
		if attrs.GetName() != "" {
			return related(g, node, pod, attrs)
		}
		return because("can only list/watch pods with spec.nodeName field selector")
	case deed{"", "create"}, deed{"", "delete"}, deed{"status", "update"}, deed{"status", "patch"}, deed{"eviction", "create"}:
		return allowed
	default:
		return verdict{}
	}
}

// judgeNode lets a node read itself, also before it exists. Whom it writes,
// NodeRestriction looks at.
func judgeNode(_ *Graph, node string, attrs authorizer.Attributes) verdict {
	type deed struct{ subresource, verb string }
	switch (deed{attrs.GetSubresource(), attrs.GetVerb()}) {
	case deed{"", "create"}, deed{"", "update"}, deed{"", "patch"}, deed{"status", "update"}, deed{"status", "patch"}:
		return allowed
	case deed{"", "get"}, deed{"", "list"}, deed{"", "watch"}:
		switch name := attrs.GetName(); name {
		case node:
			return allowed
		case "":
			return because(fmt.Sprintf("node '%s' cannot read all nodes, only its own Node object", node))
		default:
			return because(fmt.Sprintf("node '%s' cannot read '%s', only its own Node object", node, name))
		}
	default:
		return verdict{}
	}
}

// judgeLease lets a node keep its own lease. A creation names it in the body, at
// which NodeRestriction looks.
func judgeLease(_ *Graph, node string, attrs authorizer.Attributes) verdict {
	switch {
	case !keepsOne(attrs.GetVerb()):
		return because("can only get, create, update, patch, or delete a node lease")
	case attrs.GetNamespace() != corev1.NamespaceNodeLease:
		return because(fmt.Sprintf("can only access leases in the %q system namespace", corev1.NamespaceNodeLease))
	case attrs.GetVerb() != "create" && attrs.GetName() != node:
		return because("can only access node lease with the same name as the requesting node")
	default:
		return allowed
	}
}

// judgePodCertificateRequest lets a node ask for certificates, and follow what
// becomes of that. For which pods it asks, NodeRestriction looks at.
func judgePodCertificateRequest(g *Graph, node string, attrs authorizer.Attributes) verdict {
	if attrs.GetSubresource() != "" {
		return because("nodes may not access the status subresource of PodCertificateRequests")
	}
	switch attrs.GetVerb() {
	case "create":
		return allowed
	case "get":
		return related(g, node, podCertificateRequest, attrs)
	case "list", "watch":
		if selects(attrs, "spec.nodeName", node) {
			return allowed
		}
		return because("can only list/watch podcertificaterequests with nodeName field selector")
	default:
		return because(fmt.Sprintf("nodes may not %s podcertificaterequests", attrs.GetVerb()))
	}
}

// keepsOne are the verbs of who keeps one object of its own.
func keepsOne(verb string) bool {
	switch verb {
	case "get", "create", "update", "patch", "delete":
		return true
	}
	return false
}

// selects tells whether a request asks for those objects alone whose field has a
// value.
func selects(attrs authorizer.Attributes, field, value string) bool {
	requirements, _ := attrs.GetFieldSelector() // what was understood of it is all the same required
	for _, r := range requirements {
		if r.Field == field && r.Operator == selection.Equals && r.Value == value {
			return true
		}
	}
	return false
}

// get allows the verb get on a related object.
func get(g *Graph, node string, kind kind, attrs authorizer.Attributes) verdict {
	switch {
	case attrs.GetVerb() != "get":
		return because("can only get individual resources of this type")
	case attrs.GetSubresource() != "":
		return because("cannot get subresource")
	default:
		return related(g, node, kind, attrs)
	}
}

// read allows to get a related object, and to list and watch it alone.
func read(g *Graph, node string, kind kind, attrs authorizer.Attributes) verdict {
	switch attrs.GetVerb() {
	case "get", "list", "watch":
	default:
		return because("can only read resources of this type")
	}
	switch {
	case attrs.GetSubresource() != "":
		return because("cannot read subresource")
	case attrs.GetNamespace() == "":
		return because("can only read namespaced object of this type")
	default:
		return related(g, node, kind, attrs)
	}
}

// related allows what is done to an object that is related to the node.
func related(g *Graph, node string, kind kind, attrs authorizer.Attributes) verdict {
	if attrs.GetName() == "" {
		return because("No Object name found")
	}
	if !g.related(node, kind, attrs.GetNamespace(), attrs.GetName()) {
		return because(fmt.Sprintf("no relationship found between node '%s' and this object", node))
	}
	return allowed
}

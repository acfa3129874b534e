// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package node

import (
	"slices"
	"sync"

	"github.com/muster-identity/muster/live"
)

// kind is a kind of objects that nodes are related to.
type kind uint8

const (
	// unserved are the kinds that do not exist here: no node is related to them.
	unserved kind = iota
	pod
	serviceAccount
	secret
	configMap
	claim
	resourceClaim
	podCertificateRequest
)

// An edge leads from an object to a node.
type edge struct {
	kind                  kind
	node, namespace, name string
}

// Graph knows which nodes are related to which objects. Its methods may be called
// from any goroutine.
//
// Upstream walks from an object over pods to nodes. Here each pair that is related
// is one entry, so that the answer is one lookup, however many pods refer to an
// object. Pods themselves are not in it, nor what nodes ask for themselves: live
// knows where they are.
type Graph struct {
	whereabouts Whereabouts

	mu sync.RWMutex
	// edges counts the pods by which an object is related to a node. Guarded by mu.
	edges map[edge]uint32
}

// Whereabouts tells where things are. Calls may overlap.
type Whereabouts interface {
	// NodeOf is the node that a pod is bound to, or "" for none.
	NodeOf(namespace, pod string) string
	// NodeOfRequest is the node that a PodCertificateRequest is of, or "" for none.
	NodeOfRequest(namespace, name string) string
}

// NewGraph makes a graph without edges.
func NewGraph(w Whereabouts) *Graph {
	return &Graph{whereabouts: w, edges: map[edge]uint32{}}
}

// Move takes a change of a pod: what it was and what it is, nil for nothing. The
// change is in force when Move returns. The changes of one pod must come in order.
func (g *Graph) Move(was, is *live.Pod) {
	if was != nil && is != nil && samePlace(was, is) {
		return // almost all changes are of the status
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	visit(was, g.remove)
	visit(is, g.add)
}

func samePlace(was, is *live.Pod) bool {
	return was.NodeName == is.NodeName && was.Mirror == is.Mirror && was.ServiceAccount == is.ServiceAccount &&
		slices.Equal(was.References, is.References)
}

// visit shows all edges of a pod. A mirror pod has none: its node has made it up,
// and would give itself rights by it.
func visit(p *live.Pod, show func(edge)) {
	if p == nil || p.NodeName == "" || p.Mirror {
		return
	}
	if p.ServiceAccount != "" {
		show(edge{serviceAccount, p.NodeName, p.Namespace, p.ServiceAccount})
	}
	for _, ref := range p.References {
		if kind := kindOf(ref.Kind); kind != unserved {
			show(edge{kind, p.NodeName, p.Namespace, ref.Name})
		}
	}
}

// kindOf is unserved for what is no object of the pod's namespace.
func kindOf(reference live.ReferenceKind) kind {
	switch reference {
	case live.SecretReference:
		return secret
	case live.ConfigMapReference:
		return configMap
	case live.ClaimReference:
		return claim
	case live.ResourceClaimReference:
		return resourceClaim
	default:
		return unserved
	}
}

func (g *Graph) add(e edge) { g.edges[e]++ }

func (g *Graph) remove(e edge) {
	if g.edges[e] > 1 {
		g.edges[e]--
		return
	}
	delete(g.edges, e)
}

// related tells whether an object is related to a node.
func (g *Graph) related(node string, kind kind, namespace, name string) bool {
	switch kind {
	case pod:
		return g.whereabouts.NodeOf(namespace, name) == node
	case podCertificateRequest:
		return g.whereabouts.NodeOfRequest(namespace, name) == node
	}
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.edges[edge{kind, node, namespace, name}] > 0
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package node

import (
	"slices"
	"strings"

	"k8s.io/apiserver/pkg/authentication/user"
)

// UserPrefix is what the user name of a node begins with; its own name follows.
const UserPrefix = "system:node:"

// Of tells whether a user is a node, and which. A node has the user name
// system:node:NAME and is in the group system:nodes; whoever lacks either is none.
// A name that is empty is that of no node in particular: nobody may be let do
// anything by it. (Kubernetes: pkg/auth/nodeidentifier.)
func Of(u user.Info) (name string, isNode bool) {
	if u == nil {
		return "", false
	}
	name, prefixed := strings.CutPrefix(u.GetName(), UserPrefix)
	if !prefixed || !slices.Contains(u.GetGroups(), user.NodesGroup) {
		return "", false
	}
	return name, true
}

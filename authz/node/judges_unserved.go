// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package node

import "k8s.io/apiserver/pkg/authorization/authorizer"

// These judge kinds that are not served. A review may ask about them all the same,
// and is answered as by Kubernetes where no object exists.

func judgeCSINode(_ *Graph, node string, attrs authorizer.Attributes) verdict {
	switch {
	case attrs.GetSubresource() == "status":
		return because("CSINode status access requires CSIVolumeHealth feature")
	case attrs.GetSubresource() != "":
		return because("cannot authorize CSINode subresources")
	case !keepsOne(attrs.GetVerb()):
		return because("can only get, create, update, patch, or delete a CSINode")
	case attrs.GetVerb() != "create" && attrs.GetName() != node:
		return because("can only access CSINode with the same name as the requesting node")
	default:
		return allowed
	}
}

func judgeResourceSlice(g *Graph, node string, attrs authorizer.Attributes) verdict {
	if attrs.GetSubresource() != "" {
		return because("cannot authorize ResourceSlice subresources")
	}
	switch attrs.GetVerb() {
	case "create":
		return allowed
	case "get", "update", "patch", "delete":
		return related(g, node, unserved, attrs)
	case "watch", "list", "deletecollection":
		if selects(attrs, "spec.nodeName", node) {
			return allowed
		}
		return because("can only list/watch/deletecollection resourceslices with nodeName field selector")
	default:
		return because("only the following verbs are allowed for a ResourceSlice: get, watch, list, create, update, patch, delete, deletecollection")
	}
}

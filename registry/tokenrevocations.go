// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"k8s.io/apimachinery/pkg/runtime"

	identityv1 "github.com/muster-identity/muster/identity/v1"
)

func tokenRevocations() Resource {
	return &Definition[*identityv1.TokenRevocation]{
		GroupVersion: identityv1.SchemeGroupVersion,
		Kind:         "TokenRevocation", Plural: "tokenrevocations", Singular: "tokenrevocation",
		ShortNames:    []string{"trev"},
		ClusterScoped: true,
		New:           func() *identityv1.TokenRevocation { return &identityv1.TokenRevocation{} },
		NewList:       func() runtime.Object { return &identityv1.TokenRevocationList{} },
	}
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

// Package authz decides whether a caller may do what they ask for.
//
// It makes of the answers of rbac what k8s.io/apiserver asks an authorizer for:
// a decision on each request, the rules that a user has in a namespace, and,
// for registry, whether somebody may hand rights on. live feeds it with the RBAC
// objects; server puts it behind the authorizer that lets members of
// system:masters do everything. Who the caller is, authn has found out before.
package authz

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

// Package authz decides whether a caller may do what they ask for.
//
// A Chain asks authorizers in the order of a configuration, which may be replaced
// while requests come in: RBAC, which makes of the answers of rbac what
// k8s.io/apiserver asks an authorizer for; nodes (authz/node); webhooks. It puts
// members of system:masters before all of them, who may do everything. It also
// lists the rules that a user has in a namespace, and, for registry, RBAC tells
// whether somebody may hand rights on. live feeds RBAC and the graph of nodes.
// Who the caller is, authn has found out before.
package authz

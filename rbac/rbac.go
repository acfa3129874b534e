// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

// Package rbac is the algebra of RBAC rules, and the index that answers with it.
//
// The algebra is pure: does a rule match a request (Matches), do held rules
// cover wanted ones (Uncovered, ConfirmNoEscalation), what is an aggregated
// ClusterRole made of (Aggregate). The Index applies it to the roles and
// bindings that exist: it leads from a subject to the rules that it is bound to,
// so that a decision costs what the subject's own bindings cost, however many
// others there are.
//
//	user ─┐                       ┌─ grant ─ binding ─ role ─ rules
//	      ├─ holder (per scope) ──┼─ grant ─ binding ─ role ─ rules
//	groups┘                       └─ grant ─ binding ─ role (missing)
//
// The index is fed one object at a time by authz, which has them from live. The
// package knows nothing of servers, stores or clients; what an answer means for
// a request is for authz to say, and what a refusal looks like for registry.
// Which roles exist from the start is in rbac/bootstrap.
package rbac

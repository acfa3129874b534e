// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

// Package bootstrap is the roles and bindings that exist from the start.
//
// They are those of Kubernetes 1.37 (plugin/pkg/auth/authorizer/rbac/bootstrappolicy)
// as far as they concern what is served here: same names, same meaning, less the
// rules on resources that are not there, so that manifests that bind or
// aggregate them work unchanged. Left out are the roles of components that have
// nothing to do here. Muster's own controllers run with the server's identity;
// roles of Kubernetes' controllers are there for those that can be attached.
//
// What is to exist is data (ClusterRoles and its like). How an object that exists
// already is brought to it is decided by pure functions (ReconcileRole and its
// like): what is missing is added, what is more stays, and an object that carries
// the annotation rbac.authorization.kubernetes.io/autoupdate=false is left alone.
// Reconcile does it, through the clients that server hands in, at each start.
package bootstrap

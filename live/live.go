// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

// Package live owns what exists now: the few fields of accounts, pods, secrets,
// nodes, namespaces, revocations, RBAC objects and webhook configurations that
// decisions need, each with the revision of the store at which it was written.
//
// Two mouths feed it the same objects. The registry hands over each committed
// write before the answer to that write goes out (Commit), so that whoever made
// a change finds it in force when its request returns. The watch hands over
// everything, in order, on every replica (Feed). Whichever comes first counts;
// the revision decides, so an old event never undoes a newer write.
//
// What other replicas do is known here as soon as the watch tells. Who needs it
// before asks a Barrier to wait.
//
// Decisions read it without asking the store. What it does not know, it reads
// from the store, consistently, once (Reader). It does not know what the fields
// mean: that is for authn, authz, issuer and admission.
package live

import (
	"crypto/sha256"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Meta is what every kept object has.
type Meta struct {
	Namespace, Name string
	UID             types.UID
	// Revision is that of the store at the object's last write.
	Revision int64
	// DeletedAt is metadata.deletionTimestamp; zero means not being deleted.
	DeletedAt time.Time
}

// ServiceAccount is what exists of a v1 ServiceAccount.
type ServiceAccount struct {
	Meta
	// Secrets are the names in .secrets.
	Secrets []string
}

// Pod is what exists of a v1 Pod.
type Pod struct {
	Meta
	// ServiceAccount and NodeName are those of the spec.
	ServiceAccount, NodeName string
	// Mirror tells that the pod only shows what a node runs by itself
	// (annotation kubernetes.io/config.mirror).
	Mirror bool
	// References are what else the pod names, without order. What a node may
	// read and ask for follows from them.
	References []Reference
}

// Secret is what exists of a v1 Secret. Its data is not kept.
type Secret struct {
	Meta
	Type corev1.SecretType
	// TokenDigest is the SHA-256 of the token of a service account that is kept
	// in the secret, or zero without one.
	TokenDigest [sha256.Size]byte
	// InvalidSince and LastUsed are the labels
	// kubernetes.io/legacy-token-invalid-since and -last-used.
	InvalidSince, LastUsed string
	// Bootstrap is set for the type bootstrap.kubernetes.io/token.
	Bootstrap *BootstrapToken
}

// BootstrapToken is what exists of a bootstrap token's data.
type BootstrapToken struct {
	// Digest is the SHA-256 of data.token-secret, which itself is not kept.
	Digest [sha256.Size]byte
	// Data are the other entries that make a token good: token-id, expiration,
	// usage-bootstrap-authentication, auth-extra-groups.
	Data map[string][]byte
}

// Node is what exists of a v1 Node.
type Node struct {
	Meta
}

// Namespace is what exists of a v1 Namespace.
type Namespace struct {
	Meta
	Phase corev1.NamespacePhase
}

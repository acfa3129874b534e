// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package v1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// TokenRevocation makes service account tokens void before they expire. It is in force from the moment at which the
// request that created it is answered, for as long as it exists: deleting it makes the tokens good again, as far as
// they have not expired.
//
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object
type TokenRevocation struct {
	metav1.TypeMeta `json:",inline"`
	// Standard object's metadata.
	// More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec says which tokens are void. It cannot be changed.
	Spec TokenRevocationSpec `json:"spec"`
}

// TokenRevocationSpec says which tokens are void: exactly one of token, serviceAccount, key and node is set.
type TokenRevocationSpec struct {
	// token makes one token void.
	// +optional
	Token *RevokedToken `json:"token,omitempty"`
	// serviceAccount makes void what was issued to an account before a point in time.
	// +optional
	ServiceAccount *RevokedServiceAccount `json:"serviceAccount,omitempty"`
	// key makes void what is signed with a key, whenever it was or will be.
	// +optional
	Key *RevokedKey `json:"key,omitempty"`
	// node makes void what names a node, whenever it was or will be issued: the tokens of the pods that run there, and
	// those bound to the node itself.
	// +optional
	Node *RevokedNode `json:"node,omitempty"`

	// reason is told to whoever asks for a review of a token that this makes void. It is free text of at most 1024
	// characters on one line.
	// +optional
	Reason string `json:"reason,omitempty"`
	// expirationTimestamp is when the last of the tokens has expired: soon after, this object is deleted. If it is not
	// given, the server reckons it from the longest life of the tokens that its keys have signed. By key and by node it
	// stays empty: such tokens can still be made, so there is no last one.
	// +optional
	ExpirationTimestamp *metav1.Time `json:"expirationTimestamp,omitempty"`
}

// RevokedToken names one token, by what it says of itself.
type RevokedToken struct {
	// issuer is the token's claim "iss".
	Issuer string `json:"issuer"`
	// jti is the token's claim of that name. Audit logs and user info have it after "JTI=".
	JTI string `json:"jti"`
}

// RevokedServiceAccount names the tokens of an account up to a point in time.
type RevokedServiceAccount struct {
	// namespace is that of the account.
	Namespace string `json:"namespace"`
	// name is that of the account.
	Name string `json:"name"`
	// uid is that of the account; empty means whatever account has the name.
	// +optional
	UID types.UID `json:"uid,omitempty"`
	// issuedBefore spares the tokens that are issued then or later. Tokens tell the second of their issue and no more.
	// If it is not given, it is the first full second that this object does not see: what has been issued is void.
	// +optional
	IssuedBefore *metav1.Time `json:"issuedBefore,omitempty"`
}

// RevokedKey names a signing key.
type RevokedKey struct {
	// id is the key's "kid" in the header of tokens and in the JWKS.
	ID string `json:"id"`
}

// RevokedNode names a node.
type RevokedNode struct {
	// name is that of the node.
	Name string `json:"name"`
	// uid is that of the node; empty means whatever node has the name.
	// +optional
	UID types.UID `json:"uid,omitempty"`
}

// TokenRevocationList is a list of TokenRevocations.
//
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object
type TokenRevocationList struct {
	metav1.TypeMeta `json:",inline"`
	// Standard list metadata.
	// More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#types-kinds
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	// items are the revocations.
	Items []TokenRevocation `json:"items"`
}

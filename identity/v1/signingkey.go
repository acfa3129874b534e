// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package v1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// SigningKey is the public side of a key that service account tokens are signed with. The private key is not in the API.
//
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object
type SigningKey struct {
	metav1.TypeMeta `json:",inline"`
	// Standard object's metadata.
	// More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is the key itself. It cannot be changed.
	Spec SigningKeySpec `json:"spec"`
	// status is what the key is used for now.
	// +optional
	Status SigningKeyStatus `json:"status,omitempty"`
}

// SigningKeySpec is a public key.
type SigningKeySpec struct {
	// keyID is the key's "kid" in the header of tokens and in the JWKS.
	KeyID string `json:"keyID"`
	// algorithm is the JWA name of the signatures: ES256, ES384, ES512 or RS256.
	Algorithm string `json:"algorithm"`
	// publicKey is the key, PKIX in PEM.
	PublicKey string `json:"publicKey"`
}

// SigningKeyState is a stage in the life of a key.
type SigningKeyState string

const (
	// SigningKeyPublished is the state of a key that is in the JWKS and does not sign yet.
	SigningKeyPublished SigningKeyState = "Published"
	// SigningKeySigning is the state of the key that signs.
	SigningKeySigning SigningKeyState = "Signing"
	// SigningKeyVerifying is the state of a key that signs no more, while tokens that it has signed may be good.
	SigningKeyVerifying SigningKeyState = "Verifying"
	// SigningKeyRetired is the state of a key whose tokens are refused.
	SigningKeyRetired SigningKeyState = "Retired"
)

// SigningKeyStatus is what a key is used for.
type SigningKeyStatus struct {
	// state is the stage that the key is in.
	// +optional
	State SigningKeyState `json:"state,omitempty"`
	// since is when the key came into its state.
	// +optional
	Since *metav1.Time `json:"since,omitempty"`
	// until is when the key will leave its state; empty means that nothing is planned.
	// +optional
	Until *metav1.Time `json:"until,omitempty"`
}

// SigningKeyList is a list of SigningKeys.
//
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object
type SigningKeyList struct {
	metav1.TypeMeta `json:",inline"`
	// Standard list metadata.
	// More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#types-kinds
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	// items are the keys.
	Items []SigningKey `json:"items"`
}

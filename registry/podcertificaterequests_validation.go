// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

const (
	// maxStubRequestSize is the size of the DER encoding in bytes.
	maxStubRequestSize = 10 << 10
	maxUIDLength       = 128
)

// validatePodCertificateRequest checks a new request (Kubernetes:
// pkg/apis/certificates/validation, ValidatePodCertificateRequestCreate).
func validatePodCertificateRequest(obj pcrObject) field.ErrorList {
	spec, path := &obj.Spec, field.NewPath("spec")
	errs := validateSignerName(spec.SignerName, path.Child("signerName"))
	errs = append(errs, validateUserAnnotations(spec.UnverifiedUserAnnotations, path.Child("unverifiedUserAnnotations"))...)
	for _, of := range []struct {
		kind, name string
		rule       validation.ValidateNameFunc
		uid        types.UID
	}{
		{"pod", spec.PodName, validation.NameIsDNSSubdomain, spec.PodUID},
		{"serviceAccount", spec.ServiceAccountName, validation.ValidateServiceAccountName, spec.ServiceAccountUID},
		{"node", string(spec.NodeName), validation.NameIsDNSSubdomain, spec.NodeUID},
	} {
		for _, message := range of.rule(of.name, false) {
			errs = append(errs, field.Invalid(path.Child(of.kind+"Name"), of.name, message))
		}
		errs = append(errs, validateNamedUID(of.uid, path.Child(of.kind+"UID"))...)
	}
	if spec.MaxExpirationSeconds == nil {
		return append(errs, field.Required(path.Child("maxExpirationSeconds"), "must be set"))
	}
	longest := int32(maxCertificateSeconds)
	if isKubernetesSigner(spec.SignerName) {
		longest = maxKubernetesCertificateSeconds
	}
	if asked := *spec.MaxExpirationSeconds; asked < minCertificateSeconds || asked > longest {
		errs = append(errs, field.Invalid(path.Child("maxExpirationSeconds"), asked, fmt.Sprintf("must be in the range [%d, %d]", minCertificateSeconds, longest)))
	}
	if len(spec.StubPKCS10Request) == 0 {
		// Kubernetes names two older fields here, which v1 does not have.
		return append(errs, field.Invalid(path, field.OmitValueType{}, "exactly one of (stubPKCS10Request) or (pkixPublicKey, proofOfPossession) must be set"))
	}
	_, wrong := stubKey(spec.StubPKCS10Request)
	return append(errs, wrong...)
}

// isKubernetesSigner tells whether a signer is one of Kubernetes' own.
func isKubernetesSigner(signer string) bool {
	host, _, _ := strings.Cut(signer, "/")
	return host == "kubernetes.io" || strings.HasSuffix(host, ".kubernetes.io")
}

func validateNamedUID(uid types.UID, path *field.Path) field.ErrorList {
	switch {
	case len(uid) == 0:
		return field.ErrorList{field.Invalid(path, uid, "must not be empty")}
	case len(uid) > maxUIDLength:
		return field.ErrorList{field.TooLong(path, uid, maxUIDLength)}
	}
	return nil
}

// publicKey is what all keys of a request can be: compared.
type publicKey interface {
	Equal(crypto.PublicKey) bool
}

// stubKey is the public key of a request, whose maker has shown to have the
// private one by signing it. What else the request says counts for nothing: the
// signer goes by the pod.
func stubKey(der []byte) (publicKey, field.ErrorList) {
	path := field.NewPath("spec", "stubPKCS10Request")
	refuse := func(value any, message string) (publicKey, field.ErrorList) {
		return nil, field.ErrorList{field.Invalid(path, value, message)}
	}
	if len(der) > maxStubRequestSize {
		return nil, field.ErrorList{field.TooLong(path, der, maxStubRequestSize)}
	}
	request, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return refuse(field.OmitValueType{}, "must be a valid PKCS#10 CSR")
	}
	var public publicKey
	switch key := request.PublicKey.(type) {
	case ed25519.PublicKey:
		public = key
	case *ecdsa.PublicKey:
		if !slices.Contains([]elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()}, key.Curve) {
			return refuse("curve "+key.Curve.Params().Name, "elliptic public keys must use curve P256, P384, or P521")
		}
		public = key
	case *rsa.PublicKey:
		if bits := key.Size() * 8; bits != 3072 && bits != 4096 {
			return refuse(fmt.Sprintf("%d-bit modulus", bits), "RSA keys must have modulus size 3072 or 4096")
		}
		public = key
	default:
		return refuse(field.OmitValueType{}, "unknown public key type; supported types are Ed25519, ECDSA, and RSA")
	}
	if err := request.CheckSignature(); err != nil {
		return refuse(field.OmitValueType{}, "invalid signature")
	}
	return public, nil
}

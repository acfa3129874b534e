// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"

	certificatesv1 "k8s.io/api/certificates/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/client-go/util/cert"
)

// maxTrustBundleSize is the size of the PEM text in bytes.
const maxTrustBundleSize = 1 << 20

func clusterTrustBundles() Resource {
	type bundle = *certificatesv1.ClusterTrustBundle
	return &Definition[bundle]{
		GroupVersion: certificatesv1.SchemeGroupVersion,
		Kind:         "ClusterTrustBundle", Plural: "clustertrustbundles", Singular: "clustertrustbundle",
		ClusterScoped: true,
		New:           func() bundle { return &certificatesv1.ClusterTrustBundle{} },
		NewList:       func() runtime.Object { return &certificatesv1.ClusterTrustBundleList{} },
		// The rule of names needs the signer: see validateTrustBundleName.
		Name:     func(string, bool) []string { return nil },
		Validate: validateTrustBundleNames,
		ValidateCreate: func(b bundle) field.ErrorList {
			return validateTrustAnchors(b.Spec.TrustBundle, field.NewPath("spec", "trustBundle"))
		},
		ValidateUpdate: validateTrustBundleUpdate,
		Fields:         func(b bundle) fields.Set { return fields.Set{"spec.signerName": b.Spec.SignerName} },
		Columns: []metav1.TableColumnDefinition{
			nameColumn(),
			column("SignerName", "string", certificatesv1.ClusterTrustBundleSpec{}.SwaggerDoc()["signerName"]),
		},
		Row: func(b bundle) []any {
			if b.Spec.SignerName == "" {
				return []any{b.Name, "<none>"}
			}
			return []any{b.Name, b.Spec.SignerName}
		},
		RequireVersion: true,
	}
}

// validateTrustBundleNames checks the name of a bundle, which begins with its
// signer's name if it has one, and that of the signer.
func validateTrustBundleNames(b *certificatesv1.ClusterTrustBundle) field.ErrorList {
	var errs field.ErrorList
	path := field.NewPath("metadata", "name")
	signer := b.Spec.SignerName
	for _, message := range trustBundleNameOf(signer)(b.Name) {
		errs = append(errs, field.Invalid(path, b.Name, message))
	}
	if signer != "" {
		errs = append(errs, validateSignerName(signer, field.NewPath("spec", "signerName"))...)
	}
	return errs
}

// trustBundleNameOf is the rule of the names of a signer's bundles (Kubernetes:
// pkg/apis/core/validation, ValidateClusterTrustBundleName).
func trustBundleNameOf(signer string) func(name string) []string {
	return func(name string) []string {
		if signer == "" {
			if strings.Contains(name, ":") {
				return []string{`ClusterTrustBundle without signer name must not have ":" in its name`}
			}
			return validation.NameIsDNSSubdomain(name, false)
		}
		prefix := strings.ReplaceAll(signer, "/", ":") + ":"
		rest, found := strings.CutPrefix(name, prefix)
		if !found {
			return []string{fmt.Sprintf("ClusterTrustBundle for signerName %s must be named with prefix %s", signer, prefix)}
		}
		return validation.NameIsDNSSubdomain(rest, false)
	}
}

// validateTrustBundleUpdate reads the certificates only if they have changed:
// what was good once may not be by a later library.
func validateTrustBundleUpdate(b, old *certificatesv1.ClusterTrustBundle) field.ErrorList {
	path := field.NewPath("spec")
	var errs field.ErrorList
	if b.Spec.TrustBundle != old.Spec.TrustBundle {
		errs = validateTrustAnchors(b.Spec.TrustBundle, path.Child("trustBundle"))
	}
	return append(errs, validation.ValidateImmutableField(b.Spec.SignerName, old.Spec.SignerName, path.Child("signerName"))...)
}

// validateTrustAnchors wants certificates of authorities, at least one and none
// twice (Kubernetes: pkg/apis/certificates/validation, validateTrustBundle).
func validateTrustAnchors(bundle string, path *field.Path) field.ErrorList {
	if len(bundle) > maxTrustBundleSize {
		return field.ErrorList{field.TooLong(path, "", maxTrustBundleSize)}
	}
	var errs field.ErrorList
	refuse := func(format string, values ...any) {
		errs = append(errs, field.Invalid(path, "<value omitted>", fmt.Sprintf(format, values...)))
	}
	places := map[string][]int{}
	rest := []byte(bundle)
	for i := 0; ; i++ {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if wrong := wrongAnchor(block); wrong != "" {
			refuse("entry %d %s", i, wrong)
			continue
		}
		places[string(block.Bytes)] = append(places[string(block.Bytes)], i)
	}
	if len(errs) > 0 {
		return errs
	}
	if len(places) == 0 {
		refuse("at least one trust anchor must be provided")
	}
	var repeated [][]int
	for _, at := range places {
		if len(at) > 1 {
			repeated = append(repeated, at)
		}
	}
	slices.SortFunc(repeated, func(a, b []int) int { return a[0] - b[0] })
	for _, at := range repeated {
		refuse("duplicate trust anchor (indices %v)", at)
	}
	return errs
}

// wrongAnchor is what keeps a block from being a trust anchor; empty for nothing.
func wrongAnchor(block *pem.Block) string {
	if block.Type != cert.CertificateBlockType {
		return fmt.Sprintf("has bad block type: %v", block.Type)
	}
	if len(block.Headers) != 0 {
		return "has PEM block headers"
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	switch {
	case err != nil:
		return "does not parse as X.509"
	case !certificate.IsCA:
		return "does not have the CA bit set"
	case !certificate.BasicConstraintsValid:
		return "has invalid basic constraints"
	}
	return ""
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// The lives that a pod may ask of a projected certificate, in seconds. Signers
// of Kubernetes itself sign for a day at most.
const (
	minCertificateSeconds           = 60 * 60
	maxCertificateSeconds           = 91 * 24 * 60 * 60
	maxKubernetesCertificateSeconds = 24 * 60 * 60
)

// trustBundle checks a projected set of trust anchors, found by name or by
// signer.
func (c *projectionCheck) trustBundle(bundle *corev1.ClusterTrustBundleProjection, at *field.Path) {
	switch {
	case bundle.Name != nil && bundle.SignerName != nil:
		c.add(field.Invalid(at, bundle, "only one of name and signerName may be used"))
	case bundle.Name != nil:
		if *bundle.Name == "" {
			c.add(field.Required(at.Child("name"), "must be a valid object name"))
		}
		for _, message := range trustBundleName(*bundle.Name) {
			c.add(field.Invalid(at.Child("name"), *bundle.Name, "not a valid clustertrustbundlename: "+message))
		}
		if bundle.LabelSelector != nil {
			c.add(field.Invalid(at.Child("labelSelector"), bundle.LabelSelector, "labelSelector must be unset if name is specified"))
		}
	case bundle.SignerName != nil:
		if *bundle.SignerName == "" {
			c.add(field.Required(at.Child("signerName"), "must be a valid signer name"))
		}
		c.add(validateSignerName(*bundle.SignerName, at.Child("signerName"))...)
		c.add(metavalidation.ValidateLabelSelector(bundle.LabelSelector, metavalidation.LabelSelectorValidationOptions{}, at.Child("labelSelector"))...)
	default:
		c.add(field.Required(at, "either name or signerName must be specified"))
	}
	c.add(requireName(bundle.Path, at.Child("path"))...)
	c.add(validateProjectedPath(bundle.Path, at.Child("path"))...)
	c.claim(bundle.Path, bundle.Path)
}

// trustBundleName checks the name of a bundle, which begins with its signer's
// name if it has one: "example.com:signer:name".
func trustBundleName(name string) []string {
	return validation.NameIsDNSSubdomain(name[strings.LastIndex(name, ":")+1:], false)
}

// certificate checks a projected key and certificate.
func (c *projectionCheck) certificate(certificate *corev1.PodCertificateProjection, at *field.Path) {
	c.add(validateSignerName(certificate.SignerName, at.Child("signerName"))...)
	c.add(validateUserAnnotations(certificate.UserAnnotations, at.Child("userAnnotations"))...)
	if types := certificateKeyTypes(); !slices.Contains(types, certificate.KeyType) {
		c.add(field.NotSupported(at.Child("keyType"), certificate.KeyType, types))
	}
	if certificate.MaxExpirationSeconds != nil {
		c.add(validateCertificateSeconds(*certificate.MaxExpirationSeconds, certificate.SignerName, at.Child("maxExpirationSeconds"))...)
	}
	files := 0
	for _, file := range []struct{ name, path string }{
		{"credentialBundlePath", certificate.CredentialBundlePath},
		{"keyPath", certificate.KeyPath},
		{"certificateChainPath", certificate.CertificateChainPath},
	} {
		if file.path == "" {
			continue
		}
		files++
		c.add(validateProjectedPath(file.path, at.Child(file.name))...)
		c.claim(file.path, file.path)
	}
	if files == 0 {
		c.add(field.Required(at, "specify at least one of credentialBundlePath, keyPath, and certificateChainPath"))
	}
}

func certificateKeyTypes() []string {
	return []string{"RSA3072", "RSA4096", "ECDSAP256", "ECDSAP384", "ECDSAP521", "ED25519"}
}

func validateCertificateSeconds(seconds int32, signer string, at *field.Path) field.ErrorList {
	longest := int32(maxCertificateSeconds)
	if isKubernetesSigner(signer) {
		longest = maxKubernetesCertificateSeconds
	}
	switch {
	case seconds < minCertificateSeconds:
		return field.ErrorList{field.Invalid(at, seconds, fmt.Sprintf("if provided, maxExpirationSeconds must be >= %d", minCertificateSeconds))}
	case seconds > longest:
		return field.ErrorList{field.Invalid(at, seconds, fmt.Sprintf("if provided, maxExpirationSeconds must be <= %d", longest))}
	}
	return nil
}

func validateUserAnnotations(annotations map[string]string, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, key := range slices.Sorted(maps.Keys(annotations)) {
		errs = append(errs, utilvalidation.IsDomainPrefixedKey(at, strings.ToLower(key))...)
	}
	if validation.ValidateAnnotationsSize(annotations) != nil {
		errs = append(errs, field.TooLong(at, "", validation.TotalAnnotationSizeLimitB))
	}
	return errs
}

// validateSignerName asks for "example.com/name": a domain of two labels or
// more, and a name of subdomains (Kubernetes: pkg/apis/core/validation,
// ValidateSignerName).
func validateSignerName(name string, at *field.Path) field.ErrorList {
	if name == "" {
		return field.ErrorList{field.Required(at, "")}
	}
	domain, rest, found := strings.Cut(name, "/")
	if !found || strings.Contains(rest, "/") {
		return field.ErrorList{field.Invalid(at, name, "must be a fully qualified domain and path of the form 'example.com/signer-name'")}
	}
	var errs field.ErrorList
	if len(domain) > utilvalidation.DNS1123SubdomainMaxLength {
		errs = append(errs, field.TooLong(at, "", utilvalidation.DNS1123SubdomainMaxLength))
	}
	labels := strings.Split(domain, ".")
	errs = append(errs, firstWrong(labels, domain, utilvalidation.IsDNS1123Label, at)...)
	if len(labels) < 2 {
		errs = append(errs, field.Invalid(at, domain, "should be a domain with at least two segments separated by dots"))
	}
	errs = append(errs, firstWrong(strings.Split(rest, "."), rest, utilvalidation.IsDNS1123Subdomain, at)...)
	// After the domain and the slash there is room for a namespace, a dot and a name.
	longest := utilvalidation.DNS1123SubdomainMaxLength + 1 + utilvalidation.DNS1123LabelMaxLength + 1 + utilvalidation.DNS1123SubdomainMaxLength
	if len(name) > longest {
		errs = append(errs, field.TooLong(at, "", longest))
	}
	return errs
}

// firstWrong reports on the first wrong part of a dotted whole: the others
// would repeat it.
func firstWrong(parts []string, whole string, rule func(string) []string, at *field.Path) field.ErrorList {
	for _, part := range parts {
		var errs field.ErrorList
		for _, message := range rule(part) {
			errs = append(errs, field.Invalid(at, whole, fmt.Sprintf("validating label %q: %s", part, message)))
		}
		if len(errs) > 0 {
			return errs
		}
	}
	return nil
}

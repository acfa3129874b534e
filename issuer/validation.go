// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package issuer

import (
	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

const (
	minSeconds = 10 * 60
	maxSeconds = 1 << 32
)

// validate is step 5: what can be said of a request without looking anything
// up. Attestations without a webhook are told alone, whatever else is wrong.
// Kubernetes: pkg/apis/authentication/validation.
func validate(spec *authenticationv1.TokenRequestSpec) field.ErrorList {
	var errs field.ErrorList
	path := field.NewPath("spec")
	seconds := *spec.ExpirationSeconds
	if seconds < minSeconds {
		errs = append(errs, field.Invalid(path.Child("expirationSeconds"), seconds, "may not specify a duration less than 10 minutes"))
	}
	if seconds > maxSeconds {
		errs = append(errs, field.Invalid(path.Child("expirationSeconds"), seconds, "may not specify a duration larger than 2^32 seconds"))
	}
	if to := spec.BoundObjectRef; to != nil && isWebhook(to.APIVersion, to.Kind) {
		return append(errs, validateWebhook(spec, path)...)
	}
	if len(spec.Attestations) > 0 {
		return field.ErrorList{field.Invalid(path.Child("attestations"), spec.Attestations, "attestations may only be specified with a webhook bound object reference")}
	}
	return errs
}

// validateWebhook checks what a request bound to a webhook configuration needs,
// whether the feature gate is on or not: told first is what Kubernetes tells
// first.
func validateWebhook(spec *authenticationv1.TokenRequestSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if len(spec.Audiences) != 1 {
		errs = append(errs, field.Invalid(path.Child("audiences"), spec.Audiences, "must be length 1 when bound to a webhook config"))
	}
	path = path.Child("attestations")
	if len(spec.Attestations) != 1 {
		return append(errs, field.Invalid(path, spec.Attestations, "webhook bound requests require exactly one admissionReviewAPIGroups attestation"))
	}
	for key, values := range spec.Attestations {
		errs = append(errs, validateAttestation(key, values, path.Key(key))...)
	}
	return errs
}

func validateAttestation(key string, values authenticationv1.AttestationValue, path *field.Path) field.ErrorList {
	const known = authenticationv1.AttestationAdmissionReviewAPIGroups
	if key != known {
		return field.ErrorList{field.NotSupported(path, key, []string{known})}
	}
	if len(values) != 1 {
		return field.ErrorList{field.Invalid(path, values, "must specify a single value")}
	}
	group, path := values[0], path.Index(0)
	switch group {
	case "":
		return field.ErrorList{field.Invalid(path, group, "may not be an empty string")}
	case "*":
		return nil
	}
	var errs field.ErrorList
	for _, reason := range validation.IsDNS1123Subdomain(group) {
		errs = append(errs, field.Invalid(path, group, "must specify a valid API Group: "+reason))
	}
	return errs
}

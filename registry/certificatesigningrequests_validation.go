// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/diff"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/client-go/util/cert"

	"github.com/muster-identity/muster/authority"
)

const (
	// legacyUnknownSigner is the signer of requests from before they had one;
	// stored ones may still name it.
	legacyUnknownSigner = "kubernetes.io/legacy-unknown"
	minCSRSeconds       = 600
)

// csrTolerance is what is tolerated in a request because it was stored with it.
// The zero value is that of a new one.
type csrTolerance struct {
	legacySigner, unknownUsages, repeatedUsages        bool
	bothVerdicts, repeatedConditions, untypedCondition bool
	anyCertificate                                     bool
}

// toleranceFor is what a change of old may leave as it is.
func toleranceFor(obj, old csrObject) csrTolerance {
	usages, conditions := old.Spec.Usages, old.Status.Conditions
	types := map[certificatesv1.RequestConditionType]int{}
	for _, condition := range conditions {
		types[condition.Type]++
	}
	return csrTolerance{
		legacySigner:       old.Spec.SignerName == legacyUnknownSigner,
		unknownUsages:      slices.ContainsFunc(usages, func(u certificatesv1.KeyUsage) bool { return !slices.Contains(keyUsages(), u) }),
		repeatedUsages:     repeats(usages),
		bothVerdicts:       types[certificatesv1.CertificateApproved] > 0 && types[certificatesv1.CertificateDenied] > 0,
		repeatedConditions: len(types) < len(conditions),
		untypedCondition:   types[""] > 0,
		anyCertificate:     bytes.Equal(obj.Status.Certificate, old.Status.Certificate) || checkCertificates(old.Status.Certificate) != nil,
	}
}

func repeats[T comparable](all []T) bool {
	seen := map[T]bool{}
	for _, one := range all {
		seen[one] = true
	}
	return len(seen) < len(all)
}

func validateNewCSR(obj csrObject) field.ErrorList { return validateCSR(obj, csrTolerance{}) }

// validateCSR checks a request (Kubernetes: pkg/apis/certificates/validation,
// validateCertificateSigningRequest).
func validateCSR(obj csrObject, tolerate csrTolerance) field.ErrorList {
	var errs field.ErrorList
	spec, path := &obj.Spec, field.NewPath("spec")
	if err := checkSignedRequest(spec.Request); err != nil {
		errs = append(errs, field.Invalid(path.Child("request"), spec.Request, err.Error()))
	}
	errs = append(errs, validateUsages(spec.Usages, tolerate, path.Child("usages"))...)
	if spec.SignerName == legacyUnknownSigner && !tolerate.legacySigner {
		errs = append(errs, field.Invalid(path.Child("signerName"), spec.SignerName, "the legacy signerName is not allowed via this API version"))
	} else {
		errs = append(errs, validateSignerName(spec.SignerName, path.Child("signerName"))...)
	}
	if seconds := spec.ExpirationSeconds; seconds != nil && *seconds < minCSRSeconds {
		errs = append(errs, field.Invalid(path.Child("expirationSeconds"), *seconds, "may not specify a duration less than 600 seconds (10 minutes)"))
	}
	errs = append(errs, validateCSRConditions(obj, tolerate, field.NewPath("status", "conditions"))...)
	if err := checkCertificates(obj.Status.Certificate); err != nil && !tolerate.anyCertificate {
		errs = append(errs, field.Invalid(field.NewPath("status", "certificate"), "<certificate data>", err.Error()))
	}
	return errs
}

// checkSignedRequest reads a PKCS#10 request, and whether whoever made it has the
// key.
func checkSignedRequest(data []byte) error {
	request, err := authority.ParseRequest(data)
	if err != nil {
		return err
	}
	return request.CheckSignature()
}

// checkCertificates reads the certificates of an answer; there need be none.
func checkCertificates(data []byte) error {
	if len(data) == 0 {
		return nil
	}
	found := false
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		found = true
		if block.Type != cert.CertificateBlockType {
			return fmt.Errorf("only CERTIFICATE PEM blocks are allowed, found %q", block.Type)
		}
		if len(block.Headers) != 0 {
			return errors.New("no PEM block headers are permitted")
		}
		certificates, err := x509.ParseCertificates(block.Bytes)
		if err != nil {
			return err
		}
		if len(certificates) == 0 {
			return errors.New("found CERTIFICATE PEM block containing 0 certificates")
		}
	}
	if !found {
		return errors.New("must contain at least one CERTIFICATE PEM block")
	}
	return nil
}

func validateUsages(usages []certificatesv1.KeyUsage, tolerate csrTolerance, path *field.Path) field.ErrorList {
	if len(usages) == 0 {
		return field.ErrorList{field.Required(path, "")}
	}
	var errs field.ErrorList
	known := keyUsages()
	for i, usage := range usages {
		if !tolerate.unknownUsages && !slices.Contains(known, usage) {
			errs = append(errs, field.NotSupported(path.Index(i), usage, known))
		}
	}
	for i, usage := range usages {
		if !tolerate.repeatedUsages && slices.Contains(usages[:i], usage) {
			errs = append(errs, field.Duplicate(path.Index(i), usage))
		}
	}
	return errs
}

// keyUsages are those that a request may name, in the order of the alphabet.
func keyUsages() []certificatesv1.KeyUsage {
	return []certificatesv1.KeyUsage{
		certificatesv1.UsageAny, certificatesv1.UsageCertSign, certificatesv1.UsageClientAuth, certificatesv1.UsageCodeSigning,
		certificatesv1.UsageContentCommitment, certificatesv1.UsageCRLSign, certificatesv1.UsageDataEncipherment,
		certificatesv1.UsageDecipherOnly, certificatesv1.UsageDigitalSignature, certificatesv1.UsageEmailProtection,
		certificatesv1.UsageEncipherOnly, certificatesv1.UsageIPsecEndSystem, certificatesv1.UsageIPsecTunnel,
		certificatesv1.UsageIPsecUser, certificatesv1.UsageKeyAgreement, certificatesv1.UsageKeyEncipherment,
		certificatesv1.UsageMicrosoftSGC, certificatesv1.UsageNetscapeSGC, certificatesv1.UsageOCSPSigning,
		certificatesv1.UsageSMIME, certificatesv1.UsageServerAuth, certificatesv1.UsageSigning, certificatesv1.UsageTimestamping,
	}
}

func validateCSRConditions(obj csrObject, tolerate csrTolerance, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	seen := map[certificatesv1.RequestConditionType]bool{}
	for i, condition := range obj.Status.Conditions {
		at := path.Index(i)
		if condition.Type == "" && !tolerate.untypedCondition {
			errs = append(errs, field.Required(at.Child("type"), ""))
		}
		errs = append(errs, validateCSRConditionStatus(condition, at.Child("status"))...)
		if seen[condition.Type] && !tolerate.repeatedConditions {
			errs = append(errs, field.Duplicate(at.Child("type"), condition.Type))
		}
		seen[condition.Type] = true
	}
	if seen[certificatesv1.CertificateApproved] && seen[certificatesv1.CertificateDenied] && !tolerate.bothVerdicts {
		errs = append(errs, bothVerdicts(path))
	}
	return errs
}

// bothVerdicts is the error of a request that is approved and denied. Kubernetes
// makes it from its declarative rules, in these words.
func bothVerdicts(path *field.Path) *field.Error {
	const approved, denied = `conditions[{"type": "Approved"}]`, `conditions[{"type": "Denied"}]`
	return field.Invalid(path, "{"+approved+", "+denied+"}", "must specify at most one of: `"+approved+"`, `"+denied+"`")
}

// validateCSRConditionStatus lets what is final be true and nothing else.
func validateCSRConditionStatus(condition certificatesv1.CertificateSigningRequestCondition, path *field.Path) field.ErrorList {
	allowed := []corev1.ConditionStatus{corev1.ConditionFalse, corev1.ConditionTrue, corev1.ConditionUnknown}
	if slices.Contains(finalCSRConditions(), condition.Type) {
		allowed = []corev1.ConditionStatus{corev1.ConditionTrue}
	}
	switch {
	case condition.Status == "":
		return field.ErrorList{field.Required(path, "")}
	case !slices.Contains(allowed, condition.Status):
		return field.ErrorList{field.NotSupported(path, condition.Status, allowed)}
	}
	return nil
}

// finalCSRConditions are those that stay once they are there.
func finalCSRConditions() []certificatesv1.RequestConditionType {
	return append(approvals(), certificatesv1.CertificateFailed)
}

// validate checks a change through a side (Kubernetes:
// pkg/apis/certificates/validation, validateCertificateSigningRequestUpdate).
func (s csrSide) validate(obj, old csrObject) field.ErrorList {
	errs := validateCSR(obj, toleranceFor(obj, old))
	path := field.NewPath("status", "conditions")
	for _, kind := range finalCSRConditions() {
		if len(csrConditions(obj, kind)) < len(csrConditions(old, kind)) {
			errs = append(errs, field.Forbidden(path, fmt.Sprintf("updates may not remove a condition of type %q", kind)))
		}
	}
	if !s.approves {
		errs = append(errs, validateVerdictKept(obj, old, path)...)
	}
	return append(errs, s.validateCertificate(obj.Status.Certificate, old.Status.Certificate)...)
}

// validateVerdictKept refuses additions to the verdict and changes of it.
func validateVerdictKept(obj, old csrObject, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, kind := range approvals() {
		now, before := csrConditions(obj, kind), csrConditions(old, kind)
		switch {
		case len(now) > len(before):
			errs = append(errs, field.Forbidden(path, fmt.Sprintf("updates may not add a condition of type %q", kind)))
		case len(now) == len(before) && !equality.Semantic.DeepEqual(before, now):
			errs = append(errs, field.Forbidden(path, fmt.Sprintf("updates may not modify a condition of type %q\n%v", kind, diff.Diff(before, now))))
		}
	}
	return errs
}

func (s csrSide) validateCertificate(now, before []byte) field.ErrorList {
	path := field.NewPath("status", "certificate")
	switch {
	case bytes.Equal(now, before):
		return nil
	case !s.signs:
		return field.ErrorList{field.Forbidden(path, "updates may not set certificate content")}
	case len(before) > 0:
		return field.ErrorList{field.Forbidden(path, "updates may not modify existing certificate content")}
	}
	return nil
}

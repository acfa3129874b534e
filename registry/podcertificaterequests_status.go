// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/mail"
	"slices"
	"strings"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/client-go/util/cert"
	"k8s.io/utils/ptr"
)

const (
	// maxChainSize is the size of the PEM text in bytes.
	maxChainSize = 100 << 10
	// chainSkew is how far the clocks of signer and server may be apart, and
	// refreshMargin how long before and after a certificate is no time to ask for
	// the next.
	chainSkew     = 5 * time.Minute
	refreshMargin = 10 * time.Minute
)

// pcrVerdicts are the conditions of a request that has been answered.
func pcrVerdicts() []string {
	return []string{
		certificatesv1.PodCertificateRequestConditionTypeIssued,
		certificatesv1.PodCertificateRequestConditionTypeDenied,
		certificatesv1.PodCertificateRequestConditionTypeFailed,
	}
}

// pcrVerdict is how a request was answered, empty for not yet.
func pcrVerdict(obj pcrObject) string {
	for _, condition := range obj.Status.Conditions {
		if condition.Status == metav1.ConditionTrue && slices.Contains(pcrVerdicts(), condition.Type) {
			return condition.Type
		}
	}
	return ""
}

// validatePodCertificateStatus checks an answer: there is one, it is final, and a
// certificate in it is for the key of the request and lives as long as it says
// (Kubernetes: pkg/apis/certificates/validation,
// ValidatePodCertificateRequestStatusUpdate).
func validatePodCertificateStatus(obj, old pcrObject, now time.Time) field.ErrorList {
	path := field.NewPath("status")
	errs := validatePCRConditions(obj.Status.Conditions, path.Child("conditions"))
	if len(errs) > 0 {
		return errs
	}
	mustEqual := func(wanted certificatesv1.PodCertificateRequestStatus, why string) field.ErrorList {
		if equality.Semantic.DeepEqual(obj.Status, wanted) {
			return nil
		}
		return field.ErrorList{field.Invalid(path, field.OmitValueType{}, why)}
	}
	if pcrVerdict(old) != "" {
		return mustEqual(old.Status, "immutable after PodCertificateRequest is issued, denied, or failed")
	}
	switch pcrVerdict(obj) {
	case "":
		return mustEqual(old.Status, `status is immutable unless transitioning to "Issued", "Denied", or "Failed"`)
	case certificatesv1.PodCertificateRequestConditionTypeIssued:
		return validateIssued(obj, old, now)
	}
	return mustEqual(certificatesv1.PodCertificateRequestStatus{Conditions: obj.Status.Conditions},
		"non-condition status fields must be empty when denying or failing the PodCertificateRequest")
}

func validatePCRConditions(conditions []metav1.Condition, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	known := 0
	for i, condition := range conditions {
		// Kubernetes writes the index as a field of its own.
		at := path.Child(fmt.Sprintf("[%d]", i))
		if !slices.Contains(pcrVerdicts(), condition.Type) {
			errs = append(errs, field.NotSupported(at.Child("type"), condition.Type, pcrVerdicts()))
			continue
		}
		if known++; known > 1 {
			errs = append(errs, field.Invalid(at.Child("type"), condition.Type, `There may be at most one condition with type "Issued", "Denied", or "Failed"`))
		}
		if condition.Status != metav1.ConditionTrue {
			errs = append(errs, field.NotSupported(at.Child("status"), condition.Status, []metav1.ConditionStatus{metav1.ConditionTrue}))
		}
	}
	return append(errs, metavalidation.ValidateConditions(conditions, path)...)
}

// validateIssued checks the chain of certificates, the leaf first, and the times
// that are repeated beside it. The first thing that is wrong is told.
func validateIssued(obj, old pcrObject, now time.Time) field.ErrorList {
	path := field.NewPath("status", "certificateChain")
	chain := obj.Status.CertificateChain
	if len(chain) > maxChainSize {
		return field.ErrorList{field.TooLong(path, chain, maxChainSize)}
	}
	refuse := func(why string) field.ErrorList { return field.ErrorList{field.Invalid(path, chain, why)} }
	block, rest := pem.Decode([]byte(chain))
	switch {
	case block == nil:
		return refuse("issued certificate chain must contain at least one certificate")
	case block.Type != cert.CertificateBlockType:
		return refuse("issued certificate chain must consist entirely of CERTIFICATE PEM blocks")
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return refuse("leaf certificate does not parse as valid X.509")
	}
	errs := validateLeafNames(leaf, path)
	key, wrong := stubKey(old.Spec.StubPKCS10Request)
	if len(wrong) > 0 {
		return append(errs, wrong...)
	}
	if !key.Equal(leaf.PublicKey) {
		return append(errs, refuse("leaf certificate was not issued to the requested public key")...)
	}
	if errs = append(errs, requireTimes(&obj.Status)...); len(errs) > 0 {
		return errs
	}
	if err := checkTimes(obj, leaf, now); err != nil {
		return field.ErrorList{err}
	}
	for block, rest = pem.Decode(rest); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != cert.CertificateBlockType {
			return refuse("issued certificate chain must consist entirely of CERTFICATE PEM blocks")
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return refuse("intermediate certificate does not parse as valid X.509")
		}
	}
	return nil
}

// validateLeafNames refuses names by which other libraries would refuse the whole
// certificate.
func validateLeafNames(leaf *x509.Certificate, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	refuse := func(when bool, value, why string) {
		if when {
			errs = append(errs, field.Invalid(path, value, why))
		}
	}
	for _, name := range leaf.DNSNames {
		refuse(name == "", name, "leaf certificate should not contain empty DNSName")
		refuse(strings.Contains(name, ".."), name, "leaf certificate's DNSName should not contain '..'")
		refuse(strings.HasPrefix(name, ".") || strings.HasSuffix(name, "."), name, "leaf certificate's DNSName should not start or end with '.'")
	}
	for _, address := range leaf.EmailAddresses {
		_, err := mail.ParseAddress(address)
		refuse(err != nil, address, "leaf certificate should not contain invalid EmailAddress")
	}
	return errs
}

func requireTimes(status *certificatesv1.PodCertificateRequestStatus) field.ErrorList {
	var errs field.ErrorList
	path := field.NewPath("status")
	const consistent = "must be present and consistent with the issued certificate"
	for _, time := range []struct {
		name, why string
		value     *metav1.Time
	}{
		{"notBefore", consistent, status.NotBefore},
		{"notAfter", consistent, status.NotAfter},
		{"beginRefreshAt", "must be present and in the range [notbefore+10min, notafter-10min]", status.BeginRefreshAt},
	} {
		if time.value == nil {
			errs = append(errs, field.Required(path.Child(time.name), time.why))
		}
	}
	return errs
}

// checkTimes is the first of the rules on times that an answer breaks.
func checkTimes(obj pcrObject, leaf *x509.Certificate, now time.Time) *field.Error {
	path, status := field.NewPath("status"), &obj.Status
	begin, end, refresh := status.NotBefore.Time, status.NotAfter.Time, status.BeginRefreshAt.Time
	life, longest := leaf.NotAfter.Sub(leaf.NotBefore), ptr.Deref(obj.Spec.MaxExpirationSeconds, 0)
	for _, rule := range []struct {
		broken bool
		field  string
		value  any
		why    string
	}{
		{!begin.Equal(leaf.NotBefore), "notBefore", begin, "must be set to the NotBefore time encoded in the leaf certificate"},
		{begin.Sub(now).Abs() >= chainSkew, "notBefore", begin, "must be set to within 5 minutes of kube-apiserver's current time"},
		{!end.Equal(leaf.NotAfter), "notAfter", end, "must be set to the NotAfter time encoded in the leaf certificate"},
		{life < minCertificateSeconds*time.Second, "certificateChain", life, "leaf certificate lifetime must be >= 1 hour"},
		{life > time.Duration(longest)*time.Second, "certificateChain", life, fmt.Sprintf("leaf certificate lifetime must be <= spec.maxExpirationSeconds (%v)", longest)},
		{refresh.Before(begin.Add(refreshMargin)), "beginRefreshAt", refresh, "must be at least 10 minutes after status.notBefore"},
		{refresh.After(end.Add(-refreshMargin)), "beginRefreshAt", refresh, "must be at least 10 minutes before status.notAfter"},
	} {
		if rule.broken {
			return field.Invalid(path.Child(rule.field), rule.value, rule.why)
		}
	}
	return nil
}

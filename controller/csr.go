// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apiserver/pkg/authentication/user"
)

// nodePrefix begins the names of nodes' users.
const nodePrefix = "system:node:"

// verdict is what has been decided on a request. A denial outweighs an approval.
func verdict(csr *certificatesv1.CertificateSigningRequest) (approved, denied bool) {
	_, approved = conditionOf(csr, certificatesv1.CertificateApproved)
	_, denied = conditionOf(csr, certificatesv1.CertificateDenied)
	return approved && !denied, denied
}

func conditionOf(csr *certificatesv1.CertificateSigningRequest, kind certificatesv1.RequestConditionType) (certificatesv1.CertificateSigningRequestCondition, bool) {
	i := slices.IndexFunc(csr.Status.Conditions, func(c certificatesv1.CertificateSigningRequestCondition) bool { return c.Type == kind })
	if i < 0 {
		return certificatesv1.CertificateSigningRequestCondition{}, false
	}
	return csr.Status.Conditions[i], true
}

// addCondition sets a condition that stays.
func addCondition(csr *certificatesv1.CertificateSigningRequest, kind certificatesv1.RequestConditionType, reason, message string) {
	csr.Status.Conditions = append(csr.Status.Conditions, certificatesv1.CertificateSigningRequestCondition{
		Type: kind, Status: corev1.ConditionTrue, Reason: reason, Message: message,
	})
}

// checkSignable tells what is wrong with an approved request by the rules of its
// signer, in the words of Kubernetes: pkg/apis/certificates/helpers.go and
// pkg/controller/certificates/signer.
func checkSignable(signer string, request *x509.CertificateRequest, usages []certificatesv1.KeyUsage) error {
	switch signer {
	case certificatesv1.KubeAPIServerClientSignerName:
		return checkClientUsages(usages)
	case certificatesv1.KubeAPIServerClientKubeletSignerName:
		return checkKubeletClient(request, usages)
	case certificatesv1.KubeletServingSignerName:
		return checkKubeletServing(request, usages)
	}
	return nil // legacy-unknown has no rules
}

func checkClientUsages(usages []certificatesv1.KeyUsage) error {
	for _, usage := range usages {
		switch usage {
		case certificatesv1.UsageDigitalSignature, certificatesv1.UsageKeyEncipherment, certificatesv1.UsageClientAuth:
		default:
			return fmt.Errorf("invalid usage for client certificate: %s", usage)
		}
	}
	if !slices.Contains(usages, certificatesv1.UsageClientAuth) {
		return fmt.Errorf("missing required usage for client certificate: %s", certificatesv1.UsageClientAuth)
	}
	return nil
}

func checkKubeletClient(request *x509.CertificateRequest, usages []certificatesv1.KeyUsage) error {
	if err := checkNodeGroup(request); err != nil {
		return err
	}
	switch {
	case len(request.DNSNames) > 0:
		return errors.New("DNS subjectAltNames are not allowed")
	case len(request.EmailAddresses) > 0:
		//lint:ignore ST1005 the words are Kubernetes'
		return errors.New("Email subjectAltNames are not allowed")
	case len(request.IPAddresses) > 0:
		return errors.New("IP subjectAltNames are not allowed")
	case len(request.URIs) > 0:
		return errors.New("URI subjectAltNames are not allowed")
	}
	if err := checkNodeName(request); err != nil {
		return err
	}
	return checkExactUsages(usages, certificatesv1.UsageClientAuth)
}

func checkKubeletServing(request *x509.CertificateRequest, usages []certificatesv1.KeyUsage) error {
	if err := checkNodeGroup(request); err != nil {
		return err
	}
	switch {
	case len(request.DNSNames) == 0 && len(request.IPAddresses) == 0:
		return errors.New("DNS or IP subjectAltName is required")
	case len(request.EmailAddresses) > 0:
		//lint:ignore ST1005 the words are Kubernetes'
		return errors.New("Email subjectAltNames are not allowed")
	case len(request.URIs) > 0:
		return errors.New("URI subjectAltNames are not allowed")
	}
	if err := checkExactUsages(usages, certificatesv1.UsageServerAuth); err != nil {
		return err
	}
	return checkNodeName(request)
}

func checkNodeGroup(request *x509.CertificateRequest) error {
	if !slices.Equal(request.Subject.Organization, []string{user.NodesGroup}) {
		return fmt.Errorf("subject organization is not %s", user.NodesGroup)
	}
	return nil
}

func checkNodeName(request *x509.CertificateRequest) error {
	if !strings.HasPrefix(request.Subject.CommonName, nodePrefix) {
		return fmt.Errorf("subject common name does not begin with %s", nodePrefix)
	}
	return nil
}

// checkExactUsages wants a digital signature and the purpose, and lets there be
// key encipherment, which RSA keys need.
func checkExactUsages(usages []certificatesv1.KeyUsage, purpose certificatesv1.KeyUsage) error {
	wanted := []certificatesv1.KeyUsage{certificatesv1.UsageDigitalSignature, certificatesv1.UsageKeyEncipherment, purpose}
	slices.Sort(wanted)
	got := slices.Clone(usages)
	slices.Sort(got)
	got = slices.Compact(got)
	without := slices.DeleteFunc(slices.Clone(wanted), func(u certificatesv1.KeyUsage) bool { return u == certificatesv1.UsageKeyEncipherment })
	if !slices.Equal(got, wanted) && !slices.Equal(got, without) {
		return fmt.Errorf("usages did not match %v", wanted)
	}
	return nil
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/util/dryrun"
	"k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/certificate/csr"
	"k8s.io/component-base/metrics"
	"k8s.io/klog/v2"
)

// CertificateMetrics count the certificates that were issued to requests which name
// a duration, and those that last about as long, under Kubernetes' names
// (pkg/registry/certificates/certificates/storage/metrics.go). They count from when
// they are registered.
type CertificateMetrics struct {
	requested, honored *metrics.CounterVec
}

// NewCertificateMetrics makes counters of one server.
func NewCertificateMetrics() *CertificateMetrics {
	counter := func(name, help string) *metrics.CounterVec {
		return metrics.NewCounterVec(&metrics.CounterOpts{
			Namespace: "apiserver", Subsystem: "certificates_registry", Name: name, Help: help, StabilityLevel: metrics.ALPHA,
		}, []string{"signerName"})
	}
	return &CertificateMetrics{
		requested: counter("csr_requested_duration_total", "Total number of issued CSRs with a requested duration, sliced by signer (only kubernetes.io signer names are specifically identified)"),
		honored:   counter("csr_honored_duration_total", "Total number of issued CSRs with a requested duration that was honored, sliced by signer (only kubernetes.io signer names are specifically identified)"),
	}
}

// Register adds the counters to those of a server.
func (m *CertificateMetrics) Register(registry metrics.KubeRegistry) error {
	for _, counter := range []*metrics.CounterVec{m.requested, m.honored} {
		if err := registry.Register(counter); err != nil {
			return fmt.Errorf("registering the metric %s: %w", counter.Name, err)
		}
	}
	return nil
}

// beginUpdate counts an update once it is stored.
func (m *CertificateMetrics) beginUpdate(_ context.Context, obj, old runtime.Object, options *metav1.UpdateOptions) (genericregistry.FinishFunc, error) {
	return func(_ context.Context, stored bool) {
		if stored && !dryrun.IsDryRun(options.DryRun) {
			m.count(obj.(csrObject), old.(csrObject))
		}
	}, nil
}

// count counts what becomes of a request for a duration when its certificate is
// issued: only then is it known whether the signer goes by it.
func (m *CertificateMetrics) count(obj, old csrObject) {
	wanted := old.Spec.ExpirationSeconds
	if wanted == nil || len(old.Status.Certificate) > 0 || len(obj.Status.Certificate) == 0 {
		return
	}
	signer := old.Spec.SignerName
	if !strings.HasPrefix(signer, "kubernetes.io/") {
		signer = "other" // there may be any number
	}
	m.requested.WithLabelValues(signer).Inc()
	issued, err := cert.ParseCertsPEM(obj.Status.Certificate)
	if err != nil { // validation has read it
		klog.ErrorS(err, "reading a certificate that was issued", "csr", old.Name)
		return
	}
	if honored(csr.ExpirationSecondsToDuration(*wanted), issued[0].NotAfter.Sub(issued[0].NotBefore)) {
		m.honored.WithLabelValues(signer).Inc()
	}
}

// honored tells whether a certificate lasts about as long as was wanted: signers
// date short-lived ones back.
func honored(wanted, got time.Duration) bool {
	return (wanted - got).Abs() < 5*time.Minute+wanted/20
}

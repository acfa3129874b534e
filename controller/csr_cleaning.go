// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

const (
	// answeredCSRs stay for this long after their answer, and unansweredCSRs
	// after they were made or approved.
	answeredCSRs   = time.Hour
	unansweredCSRs = 24 * time.Hour
	// csrPeriod is after how long at most a request is looked at again: a
	// timer does not notice that the clock was set.
	csrPeriod = time.Hour
)

// csrCleaning deletes requests that have served their purpose, or that nobody
// answers (Kubernetes: pkg/controller/certificates/cleaner/cleaner.go).
type csrCleaning struct {
	client client.Client
	now    func() time.Time
}

func newCSRCleaning(c client.Client, now func() time.Time) *csrCleaning {
	return &csrCleaning{client: c, now: now}
}

func (c *csrCleaning) register(m manager.Manager) error {
	return watching(m, "csr-cleaning", 1).
		For(&certificatesv1.CertificateSigningRequest{}).
		Complete(ordinary(c))
}

// Reconcile deletes a request whose time is up, or comes back when it is.
func (c *csrCleaning) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	csr := &certificatesv1.CertificateSigningRequest{}
	if err := c.client.Get(ctx, request.NamespacedName, csr); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	if !csr.DeletionTimestamp.IsZero() {
		return reconcile.Result{}, nil
	}
	if remains := csrEnd(csr).Sub(c.now()); remains >= 0 {
		return reconcile.Result{RequeueAfter: min(remains+time.Second, csrPeriod)}, nil
	}
	log.FromContext(ctx).Info("Deleting a certificate signing request whose time is up", "csr", csr.Name)
	// One that was answered in the meantime has a later version, and stays.
	err := c.client.Delete(ctx, csr, client.Preconditions{UID: &csr.UID, ResourceVersion: &csr.ResourceVersion})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return reconcile.Result{}, fmt.Errorf("deleting certificate signing request %q: %w", csr.Name, err)
	}
	return reconcile.Result{}, nil
}

// never is when what has no end ends.
var never = time.Unix(1<<40, 0)

// csrEnd is when a request is to go: the first of the ends that it has.
func csrEnd(csr *certificatesv1.CertificateSigningRequest) time.Time {
	end := never
	until := func(t time.Time, d time.Duration) {
		if at := t.Add(d); !t.IsZero() && at.Before(end) {
			end = at
		}
	}
	if len(csr.Status.Conditions) == 0 {
		until(csr.CreationTimestamp.Time, unansweredCSRs)
	}
	issued := len(csr.Status.Certificate) > 0
	for _, condition := range csr.Status.Conditions {
		at := condition.LastUpdateTime.Time
		switch {
		case condition.Type == certificatesv1.CertificateDenied, condition.Type == certificatesv1.CertificateFailed:
			until(at, answeredCSRs)
		case condition.Type == certificatesv1.CertificateApproved && issued:
			until(at, answeredCSRs)
			until(certificateEnd(csr.Status.Certificate), 0)
		case condition.Type == certificatesv1.CertificateApproved:
			until(at, unansweredCSRs)
		}
	}
	return end
}

// certificateEnd is when a certificate (PEM) expires; zero if it cannot be read.
func certificateEnd(data []byte) time.Time {
	block, _ := pem.Decode(data)
	if block == nil {
		return time.Time{}
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return time.Time{}
	}
	return certificate.NotAfter
}

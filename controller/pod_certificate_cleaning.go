// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

const (
	// podCertificateRequests stay for this long, answered or not: by then the node
	// has its certificate, or has given up.
	podCertificateLife = 15 * time.Minute
	// podCertificatePeriod is after how long at most one is looked at again.
	podCertificatePeriod = 5 * time.Minute
)

// podCertificateCleaning deletes requests for certificates of pods (Kubernetes:
// pkg/controller/certificates/cleaner/pcrcleaner.go).
type podCertificateCleaning struct {
	client client.Client
	now    func() time.Time
}

func newPodCertificateCleaning(c client.Client, now func() time.Time) *podCertificateCleaning {
	return &podCertificateCleaning{client: c, now: now}
}

func (p *podCertificateCleaning) register(m manager.Manager) error {
	return watching(m, "pod-certificate-cleaning", 1).
		For(&certificatesv1.PodCertificateRequest{}).
		Complete(ordinary(p))
}

// Reconcile deletes a request whose time is up, or comes back when it is.
func (p *podCertificateCleaning) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	found := &certificatesv1.PodCertificateRequest{}
	if err := p.client.Get(ctx, request.NamespacedName, found); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	if remains := found.CreationTimestamp.Add(podCertificateLife).Sub(p.now()); remains > 0 {
		return reconcile.Result{RequeueAfter: min(remains, podCertificatePeriod)}, nil
	}
	err := p.client.Delete(ctx, found, client.Preconditions{UID: &found.UID})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return reconcile.Result{}, fmt.Errorf("deleting pod certificate request %q: %w", request.NamespacedName, err)
	}
	return reconcile.Result{}, nil
}

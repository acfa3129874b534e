// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// servingTrustBundle keeps the ClusterTrustBundles of the signer of API servers:
// those that the servers of the store announce, and no others (Kubernetes:
// pkg/controller/certificates/clustertrustbundlepublisher, for one server).
type servingTrustBundle struct {
	announcement
	// authorities reads those of this server (PEM).
	authorities func() ([]byte, error)
	counts      *syncs
}

func newServingTrustBundle(c client.Client, authorities func() ([]byte, error), now func() time.Time, counts *syncs) *servingTrustBundle {
	return &servingTrustBundle{announcement: announcement{c, now}, authorities: authorities, counts: counts}
}

func (s *servingTrustBundle) register(m manager.Manager) error {
	one := types.NamespacedName{Name: servingSigner}
	return watching(m, "serving-trust-bundle", 1).
		Watches(&certificatesv1.ClusterTrustBundle{}, handler.EnqueueRequestsFromMapFunc(func(context.Context, client.Object) []reconcile.Request {
			return []reconcile.Request{{NamespacedName: one}}
		})).
		WatchesRawSource(atStart(one)).
		Complete(ordinary(s.counts.of(s)))
}

// Reconcile announces the authorities of this server, and removes bundles that no
// server says are its own.
func (s *servingTrustBundle) Reconcile(ctx context.Context, _ reconcile.Request) (reconcile.Result, error) {
	read, err := s.authorities()
	if err != nil {
		return reconcile.Result{}, err
	}
	own, err := s.make(ctx, read)
	if err != nil {
		return reconcile.Result{}, err
	}
	published := &certificatesv1.ClusterTrustBundleList{}
	if err := s.client.List(ctx, published, client.UnsafeDisableDeepCopy); err != nil {
		return reconcile.Result{}, fmt.Errorf("listing the trust bundles of %s: %w", servingSigner, err)
	}
	for i := range published.Items {
		other := &published.Items[i]
		if other.Name == own || s.since(other) < announcedFor {
			continue
		}
		if err := s.client.Delete(ctx, other, client.Preconditions{UID: &other.UID, ResourceVersion: &other.ResourceVersion}); client.IgnoreNotFound(err) != nil {
			return reconcile.Result{}, fmt.Errorf("removing trust bundle %q: %w", other.Name, err)
		}
	}
	return reconcile.Result{RequeueAfter: servingPeriod}, nil
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/cert"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

const (
	// servingSigner is who vouches for API servers.
	servingSigner = "kubernetes.io/kube-apiserver-serving"
	// servingPeriod is how often the authorities of the server are read again.
	servingPeriod = time.Minute
)

// servingTrustBundle keeps one ClusterTrustBundle of the signer of API servers:
// that of this server's authorities. Its name has a hash of them in it, so that
// others replace it when they change (Kubernetes:
// pkg/controller/certificates/clustertrustbundlepublisher).
type servingTrustBundle struct {
	client client.Client
	// authorities reads the bundle (PEM).
	authorities func() ([]byte, error)
	counts      *syncs
}

func newServingTrustBundle(c client.Client, authorities func() ([]byte, error), counts *syncs) *servingTrustBundle {
	return &servingTrustBundle{client: c, authorities: authorities, counts: counts}
}

func (s *servingTrustBundle) register(m manager.Manager) error {
	if s.authorities == nil {
		return nil
	}
	one := types.NamespacedName{Name: servingSigner}
	return watching(m, "serving-trust-bundle", 1).
		Watches(&certificatesv1.ClusterTrustBundle{}, handler.EnqueueRequestsFromMapFunc(func(context.Context, client.Object) []reconcile.Request {
			return []reconcile.Request{{NamespacedName: one}}
		})).
		WatchesRawSource(atStart(one)).
		Complete(ordinary(s.counts.of(s)))
}

// Reconcile publishes the bundle, or restores it, and removes those of other
// authorities.
func (s *servingTrustBundle) Reconcile(ctx context.Context, _ reconcile.Request) (reconcile.Result, error) {
	read, err := s.authorities()
	if err != nil {
		return reconcile.Result{}, err
	}
	wanted, err := servingBundle(read)
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("publishing the authorities of the server: %w", err)
	}
	published := &certificatesv1.ClusterTrustBundleList{}
	if err := s.client.List(ctx, published); err != nil {
		return reconcile.Result{}, fmt.Errorf("listing the trust bundles of %s: %w", servingSigner, err)
	}
	if err := s.publish(ctx, wanted, published.Items); err != nil {
		return reconcile.Result{}, fmt.Errorf("publishing trust bundle %q: %w", wanted.Name, err)
	}
	for i := range published.Items {
		if other := &published.Items[i]; other.Name != wanted.Name {
			if err := s.client.Delete(ctx, other); client.IgnoreNotFound(err) != nil {
				return reconcile.Result{}, fmt.Errorf("removing trust bundle %q: %w", other.Name, err)
			}
		}
	}
	return reconcile.Result{RequeueAfter: servingPeriod}, nil
}

func (s *servingTrustBundle) publish(ctx context.Context, wanted *certificatesv1.ClusterTrustBundle, published []certificatesv1.ClusterTrustBundle) error {
	for i := range published {
		found := &published[i]
		if found.Name != wanted.Name {
			continue
		}
		if found.Spec.TrustBundle == wanted.Spec.TrustBundle {
			return nil
		}
		found.Spec.TrustBundle = wanted.Spec.TrustBundle
		return client.IgnoreNotFound(s.client.Update(ctx, found)) // if it is gone, its event comes
	}
	err := s.client.Create(ctx, wanted)
	if apierrors.IsAlreadyExists(err) { // its event comes
		return nil
	}
	return err
}

// servingBundle is the object for a bundle: of that the authorities, each once.
func servingBundle(read []byte) (*certificatesv1.ClusterTrustBundle, error) {
	var bundle bytes.Buffer
	seen := map[string]bool{}
	for block, rest := pem.Decode(read); block != nil; block, rest = pem.Decode(rest) {
		certificate, err := x509.ParseCertificate(block.Bytes)
		if block.Type != cert.CertificateBlockType || err != nil || !certificate.IsCA || seen[string(block.Bytes)] {
			continue
		}
		seen[string(block.Bytes)] = true
		bundle.Write(pem.EncodeToMemory(&pem.Block{Type: cert.CertificateBlockType, Bytes: block.Bytes}))
	}
	if bundle.Len() == 0 {
		return nil, errors.New("there are none in the bundle")
	}
	hash := sha256.Sum256(bundle.Bytes())
	return &certificatesv1.ClusterTrustBundle{
		ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("%s:%x", strings.ReplaceAll(servingSigner, "/", ":"), hash[:12])},
		Spec:       certificatesv1.ClusterTrustBundleSpec{SignerName: servingSigner, TrustBundle: bundle.String()},
	}, nil
}

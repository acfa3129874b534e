// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	// servingSigner is who vouches for API servers.
	servingSigner = "kubernetes.io/kube-apiserver-serving"
	// announcedAnnotation is when a server last said that the authorities of a
	// trust bundle are its own.
	announcedAnnotation = "identity.muster.id/announced"

	// servingPeriod is how often a server reads its authorities, announcePeriod how
	// often one that is not the leader looks whether its bundle is still there.
	servingPeriod  = 5 * time.Second
	announcePeriod = time.Minute
	// announcedFor is how long a bundle stays of which no server says any more that
	// it is its own, and announceAgain after how long a server says so again.
	announcedFor  = 24 * time.Hour
	announceAgain = time.Hour
)

// announcement is the ClusterTrustBundle by which a server tells the others, and
// everybody who reads such bundles, by which authorities it is known. Its name has a
// hash of them in it: servers with the same authorities share it.
type announcement struct {
	client client.Client
	now    func() time.Time
}

// make publishes a bundle, restores it, or says again whose it is. It returns the
// name.
func (a announcement) make(ctx context.Context, authorities []byte) (string, error) {
	wanted, err := servingBundle(authorities)
	if err != nil {
		return "", fmt.Errorf("publishing the authorities of the server: %w", err)
	}
	metav1.SetMetaDataAnnotation(&wanted.ObjectMeta, announcedAnnotation, a.now().UTC().Format(time.RFC3339))
	found := &certificatesv1.ClusterTrustBundle{}
	err = a.client.Get(ctx, client.ObjectKeyFromObject(wanted), found)
	switch {
	case apierrors.IsNotFound(err):
		err = a.client.Create(ctx, wanted)
		if apierrors.IsAlreadyExists(err) { // it is seen at the next look
			err = nil
		}
	case err == nil && (found.Spec.TrustBundle != wanted.Spec.TrustBundle || a.since(found) >= announceAgain):
		found.Spec.TrustBundle = wanted.Spec.TrustBundle
		metav1.SetMetaDataAnnotation(&found.ObjectMeta, announcedAnnotation, wanted.Annotations[announcedAnnotation])
		err = client.IgnoreNotFound(a.client.Update(ctx, found))
	}
	if err != nil {
		return "", fmt.Errorf("publishing trust bundle %q: %w", wanted.Name, err)
	}
	return wanted.Name, nil
}

// since is for how long no server has said that a bundle is its own; announcedFor
// for one of which none ever did.
func (a announcement) since(bundle *certificatesv1.ClusterTrustBundle) time.Duration {
	at, err := time.Parse(time.RFC3339, bundle.Annotations[announcedAnnotation])
	if err != nil {
		return announcedFor
	}
	return a.now().Sub(at)
}

// keep makes the announcement of one of several servers until ctx ends: at once
// when its authorities change, and now and then.
func (a announcement) keep(ctx context.Context, authorities func() ([]byte, error)) {
	var announced []byte
	var next time.Time
	for ctx.Err() == nil {
		read, err := authorities()
		if err == nil && (!bytes.Equal(read, announced) || !time.Now().Before(next)) {
			if _, err = a.make(ctx, read); err == nil {
				announced, next = read, time.Now().Add(announcePeriod)
			}
		}
		if err != nil && !apierrors.IsConflict(err) && ctx.Err() == nil {
			klog.ErrorS(err, "announcing the authorities of this server")
		}
		pause(ctx, servingPeriod)
	}
}

// servingBundle is the object for a bundle: of that the authorities, each once.
func servingBundle(read []byte) (*certificatesv1.ClusterTrustBundle, error) {
	bundle := encodeCertificates(slices.DeleteFunc(certificatesIn(read), isNoAuthority))
	if len(bundle) == 0 {
		return nil, errors.New("there are none in the bundle")
	}
	hash := sha256.Sum256(bundle)
	return &certificatesv1.ClusterTrustBundle{
		ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("%s:%x", strings.ReplaceAll(servingSigner, "/", ":"), hash[:12])},
		Spec:       certificatesv1.ClusterTrustBundleSpec{SignerName: servingSigner, TrustBundle: string(bundle)},
	}, nil
}

func isNoAuthority(der []byte) bool {
	certificate, err := x509.ParseCertificate(der)
	return err != nil || !certificate.IsCA
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package live

import (
	"bytes"
	"crypto/sha256"
	"strconv"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	bootstrapapi "k8s.io/cluster-bootstrap/token/api"
)

// Each of these takes from an object the fields that decisions need. Nothing of
// the object is kept, so its owner may go on changing it.

func metaOf(obj metav1.Object) Meta {
	m := Meta{Namespace: obj.GetNamespace(), Name: obj.GetName(), UID: obj.GetUID(), Revision: revisionOf(obj.GetResourceVersion())}
	if at := obj.GetDeletionTimestamp(); at != nil {
		m.DeletedAt = at.Time
	}
	return m
}

func serviceAccountOf(obj runtime.Object) ServiceAccount {
	account := obj.(*corev1.ServiceAccount)
	var secrets []string
	for _, ref := range account.Secrets {
		secrets = append(secrets, ref.Name)
	}
	return ServiceAccount{Meta: metaOf(account), Secrets: secrets}
}

func podOf(obj runtime.Object) Pod {
	pod := obj.(*corev1.Pod)
	_, mirror := pod.Annotations[corev1.MirrorPodAnnotationKey]
	return Pod{
		Meta: metaOf(pod), ServiceAccount: pod.Spec.ServiceAccountName, NodeName: pod.Spec.NodeName,
		Mirror: mirror, References: ReferencesOf(pod),
	}
}

// requesterOf is the node that a PodCertificateRequest is of.
func requesterOf(obj runtime.Object) string {
	return string(obj.(*certificatesv1.PodCertificateRequest).Spec.NodeName)
}

func secretOf(obj runtime.Object) Secret {
	secret := obj.(*corev1.Secret)
	kept := Secret{
		Meta: metaOf(secret), Type: secret.Type,
		InvalidSince: secret.Labels["kubernetes.io/legacy-token-invalid-since"],
		LastUsed:     secret.Labels["kubernetes.io/legacy-token-last-used"],
		Bootstrap:    bootstrapTokenOf(secret),
	}
	if token := secret.Data[corev1.ServiceAccountTokenKey]; len(token) > 0 {
		kept.TokenDigest = sha256.Sum256(token)
	}
	return kept
}

func bootstrapTokenOf(secret *corev1.Secret) *BootstrapToken {
	if secret.Type != bootstrapapi.SecretTypeBootstrapToken {
		return nil
	}
	data := map[string][]byte{}
	for _, key := range []string{
		bootstrapapi.BootstrapTokenIDKey, bootstrapapi.BootstrapTokenExpirationKey,
		bootstrapapi.BootstrapTokenUsageAuthentication, bootstrapapi.BootstrapTokenExtraGroupsKey,
	} {
		if value, ok := secret.Data[key]; ok {
			data[key] = bytes.Clone(value)
		}
	}
	return &BootstrapToken{Digest: sha256.Sum256(secret.Data[bootstrapapi.BootstrapTokenSecretKey]), Data: data}
}

func nodeOf(obj runtime.Object) Node {
	return Node{Meta: metaOf(obj.(*corev1.Node))}
}

func namespaceOf(obj runtime.Object) Namespace {
	namespace := obj.(*corev1.Namespace)
	return Namespace{Meta: metaOf(namespace), Phase: namespace.Status.Phase}
}

// copyOf keeps the whole object, for those who need all of it (RBAC).
func copyOf(obj runtime.Object) runtime.Object { return obj.DeepCopyObject() }

// revisionOf reads a resourceVersion. The store's are decimal numbers; anything
// else counts as the beginning of time, which never wins over what is known.
func revisionOf(resourceVersion string) int64 {
	revision, err := strconv.ParseInt(resourceVersion, 10, 64)
	if err != nil {
		return 0
	}
	return revision
}

// Deleted tells whether the object's deletion counts by now: its
// deletionTimestamp is set, and that moment plus grace has come.
func (m Meta) Deleted(now time.Time, grace time.Duration) bool {
	return !m.DeletedAt.IsZero() && !now.Before(m.DeletedAt.Add(grace))
}

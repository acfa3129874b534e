// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"crypto/tls"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
)

func secrets() Resource {
	doc := corev1.Secret{}.SwaggerDoc()
	return &Definition[*corev1.Secret]{
		GroupVersion: corev1.SchemeGroupVersion,
		Kind:         "Secret", Plural: "secrets", Singular: "secret",
		New:            func() *corev1.Secret { return &corev1.Secret{} },
		NewList:        func() runtime.Object { return &corev1.SecretList{} },
		Default:        defaultSecret,
		Validate:       validateSecret,
		ValidateUpdate: validateSecretUpdate,
		Warnings:       secretWarnings,
		Fields:         func(secret *corev1.Secret) fields.Set { return fields.Set{"type": string(secret.Type)} },
		Columns: []metav1.TableColumnDefinition{
			nameColumn(),
			column("Type", "string", doc["type"]),
			column("Data", "string", doc["data"]),
			ageColumn(),
		},
		Row: func(secret *corev1.Secret) []any {
			return []any{secret.Name, string(secret.Type), int64(len(secret.Data)), age(secret)}
		},
	}
}

// defaultSecret names the type and moves stringData into data. The field is for
// writing only: nothing that is stored or answered has it. It is done at every
// decoding, so that a patch of stringData ends in data too (Kubernetes does it
// in the conversion of v1 secrets).
func defaultSecret(secret *corev1.Secret) {
	if secret.Type == "" {
		secret.Type = corev1.SecretTypeOpaque
	}
	if secret.Data == nil && len(secret.StringData) > 0 {
		secret.Data = make(map[string][]byte, len(secret.StringData))
	}
	for key, value := range secret.StringData {
		secret.Data[key] = []byte(value)
	}
	secret.StringData = nil
}

// secretWarnings tells of a certificate and key that do not belong together.
func secretWarnings(_ context.Context, secret, _ *corev1.Secret) []string {
	if secret.Type != corev1.SecretTypeTLS {
		return nil
	}
	if _, err := tls.X509KeyPair(secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey]); err != nil {
		return []string{err.Error()}
	}
	return nil
}

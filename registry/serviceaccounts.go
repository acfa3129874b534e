// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
)

func serviceAccounts() Resource {
	return &Definition[*corev1.ServiceAccount]{
		GroupVersion: corev1.SchemeGroupVersion,
		Kind:         "ServiceAccount", Plural: "serviceaccounts", Singular: "serviceaccount",
		ShortNames:    []string{"sa"},
		New:           func() *corev1.ServiceAccount { return &corev1.ServiceAccount{} },
		NewList:       func() runtime.Object { return &corev1.ServiceAccountList{} },
		Name:          validation.ValidateServiceAccountName,
		PrepareCreate: func(_ context.Context, account *corev1.ServiceAccount) { keepSecretNames(account) },
		PrepareUpdate: func(_ context.Context, account, _ *corev1.ServiceAccount) { keepSecretNames(account) },
		Warnings:      serviceAccountWarnings,
		Columns:       []metav1.TableColumnDefinition{nameColumn(), ageColumn()},
		Row:           func(account *corev1.ServiceAccount) []any { return []any{account.Name, age(account)} },
		ReturnDeleted: true,
		Extend: func(env Environment, _ *genericregistry.Store, storage map[string]rest.Storage) error {
			storage["serviceaccounts/token"] = tokenStorage(env.Services.TokenIssuer)
			return nil
		},
	}
}

// keepSecretNames drops all but the names: the secrets are in the account's own
// namespace, whatever a client says (Kubernetes: registry/core/serviceaccount).
func keepSecretNames(account *corev1.ServiceAccount) {
	for i := range account.Secrets {
		account.Secrets[i] = corev1.ObjectReference{Name: account.Secrets[i].Name}
	}
}

// enforceMountableSecrets is the annotation that restricts the secrets which an
// account's pods may use. It is deprecated since Kubernetes 1.32.
const enforceMountableSecrets = "kubernetes.io/enforce-mountable-secrets"

func serviceAccountWarnings(_ context.Context, account, old *corev1.ServiceAccount) []string {
	if _, set := account.Annotations[enforceMountableSecrets]; !set {
		return nil
	}
	if old != nil {
		if _, was := old.Annotations[enforceMountableSecrets]; was {
			return nil
		}
	}
	return []string{"metadata.annotations[" + enforceMountableSecrets + "]: deprecated in v1.32+; prefer separate namespaces to isolate access to mounted secrets"}
}

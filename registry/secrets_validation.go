// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"
)

// immutableOnceSet is the refusal to change what "immutable: true" has frozen,
// in secrets and config maps alike.
const immutableOnceSet = "field is immutable when `immutable` is set"

// validateSecret checks the keys, the size and what the type asks for
// (Kubernetes: pkg/apis/core/validation, ValidateSecret).
func validateSecret(secret *corev1.Secret) field.ErrorList {
	path := field.NewPath("data")
	errs := validateDataKeys(secret.Data, path)
	size := 0
	for _, value := range secret.Data {
		size += len(value)
	}
	if size > corev1.MaxSecretSize {
		errs = append(errs, field.TooLong(path, "", corev1.MaxSecretSize))
	}
	return append(errs, validateSecretType(secret, path)...)
}

// validateDataKeys checks that every key can be the name of a file. It goes
// through them in order, so that the same object gets the same answer.
func validateDataKeys[V any](data map[string]V, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, key := range slices.Sorted(maps.Keys(data)) {
		for _, msg := range utilvalidation.IsConfigMapKey(key) {
			errs = append(errs, field.Invalid(path.Key(key), key, msg))
		}
	}
	return errs
}

func validateSecretType(secret *corev1.Secret, path *field.Path) field.ErrorList {
	switch secret.Type {
	case corev1.SecretTypeServiceAccountToken:
		// The token and the account's UID are added later, by the controller.
		if secret.Annotations[corev1.ServiceAccountNameKey] == "" {
			return field.ErrorList{field.Required(field.NewPath("metadata", "annotations").Key(corev1.ServiceAccountNameKey), "")}
		}
	case corev1.SecretTypeDockercfg:
		return validateJSONObject(secret, path, corev1.DockerConfigKey)
	case corev1.SecretTypeDockerConfigJson:
		return validateJSONObject(secret, path, corev1.DockerConfigJsonKey)
	case corev1.SecretTypeBasicAuth:
		// Either may be left out, and both may be empty.
		errs := requireKeys(secret, path, corev1.BasicAuthUsernameKey, corev1.BasicAuthPasswordKey)
		if len(errs) == 2 {
			return errs
		}
	case corev1.SecretTypeSSHAuth:
		if len(secret.Data[corev1.SSHAuthPrivateKey]) == 0 {
			return field.ErrorList{field.Required(path.Key(corev1.SSHAuthPrivateKey), "")}
		}
	case corev1.SecretTypeTLS:
		return requireKeys(secret, path, corev1.TLSCertKey, corev1.TLSPrivateKeyKey)
	}
	return nil
}

func requireKeys(secret *corev1.Secret, path *field.Path, keys ...string) field.ErrorList {
	var errs field.ErrorList
	for _, key := range keys {
		if _, ok := secret.Data[key]; !ok {
			errs = append(errs, field.Required(path.Key(key), ""))
		}
	}
	return errs
}

func validateJSONObject(secret *corev1.Secret, path *field.Path, key string) field.ErrorList {
	if errs := requireKeys(secret, path, key); len(errs) > 0 {
		return errs
	}
	if err := json.Unmarshal(secret.Data[key], &map[string]any{}); err != nil {
		return field.ErrorList{field.Invalid(path.Key(key), "<secret contents redacted>", err.Error())}
	}
	return nil
}

// validateSecretUpdate holds the type still, and everything once immutable.
func validateSecretUpdate(secret, old *corev1.Secret) field.ErrorList {
	errs := validation.ValidateImmutableField(secret.Type, old.Type, field.NewPath("type"))
	if !ptr.Deref(old.Immutable, false) {
		return errs
	}
	if !ptr.Deref(secret.Immutable, false) {
		errs = append(errs, field.Forbidden(field.NewPath("immutable"), immutableOnceSet))
	}
	if !reflect.DeepEqual(secret.Data, old.Data) {
		errs = append(errs, field.Forbidden(field.NewPath("data"), immutableOnceSet))
	}
	return errs
}

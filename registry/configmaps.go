// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"maps"
	"reflect"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"
)

func configMaps() Resource {
	return &Definition[*corev1.ConfigMap]{
		GroupVersion: corev1.SchemeGroupVersion,
		Kind:         "ConfigMap", Plural: "configmaps", Singular: "configmap",
		ShortNames:     []string{"cm"},
		New:            func() *corev1.ConfigMap { return &corev1.ConfigMap{} },
		NewList:        func() runtime.Object { return &corev1.ConfigMapList{} },
		Default:        defaultConfigMap,
		Validate:       validateConfigMap,
		ValidateUpdate: validateConfigMapUpdate,
		Columns: []metav1.TableColumnDefinition{
			nameColumn(),
			column("Data", "string", corev1.ConfigMap{}.SwaggerDoc()["data"]),
			ageColumn(),
		},
		Row: func(config *corev1.ConfigMap) []any {
			return []any{config.Name, int64(len(config.Data) + len(config.BinaryData)), age(config)}
		},
	}
}

// defaultConfigMap makes absent and empty data the same, for the comparison of
// immutable ones.
func defaultConfigMap(config *corev1.ConfigMap) {
	if config.Data == nil {
		config.Data = map[string]string{}
	}
}

// validateConfigMap checks the keys, that no key is in both halves, and the
// size of both together (Kubernetes: pkg/apis/core/validation, ValidateConfigMap).
func validateConfigMap(config *corev1.ConfigMap) field.ErrorList {
	data, binary := field.NewPath("data"), field.NewPath("binaryData")
	errs := validateDataKeys(config.Data, data)
	size := 0
	for _, key := range slices.Sorted(maps.Keys(config.Data)) {
		if _, both := config.BinaryData[key]; both {
			errs = append(errs, field.Invalid(data.Key(key), key, "duplicate of key present in binaryData"))
		}
		size += len(config.Data[key])
	}
	errs = append(errs, validateDataKeys(config.BinaryData, binary)...)
	for _, value := range config.BinaryData {
		size += len(value)
	}
	if size > corev1.MaxSecretSize {
		// The empty path says that the error is of the whole object.
		errs = append(errs, field.TooLong(field.NewPath(""), "", corev1.MaxSecretSize))
	}
	return errs
}

func validateConfigMapUpdate(config, old *corev1.ConfigMap) field.ErrorList {
	if !ptr.Deref(old.Immutable, false) {
		return nil
	}
	var errs field.ErrorList
	if !ptr.Deref(config.Immutable, false) {
		errs = append(errs, field.Forbidden(field.NewPath("immutable"), immutableOnceSet))
	}
	if !reflect.DeepEqual(config.Data, old.Data) {
		errs = append(errs, field.Forbidden(field.NewPath("data"), immutableOnceSet))
	}
	if !reflect.DeepEqual(config.BinaryData, old.BinaryData) {
		errs = append(errs, field.Forbidden(field.NewPath("binaryData"), immutableOnceSet))
	}
	return errs
}

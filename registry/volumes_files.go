// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// validateFiles checks the files of a secret or config map.
func validateFiles(mode *int32, items []corev1.KeyToPath, at *field.Path) field.ErrorList {
	errs := validateMode(mode, at.Child("defaultMode"))
	for i := range items {
		errs = append(errs, validateKeyToPath(&items[i], at.Child("items").Index(i))...)
	}
	return errs
}

func validateKeyToPath(item *corev1.KeyToPath, at *field.Path) field.ErrorList {
	errs := requireName(item.Key, at.Child("key"))
	errs = append(errs, requireName(item.Path, at.Child("path"))...)
	errs = append(errs, validateProjectedPath(item.Path, at.Child("path"))...)
	return append(errs, validateMode(item.Mode, at.Child("mode"))...)
}

func validateMode(mode *int32, at *field.Path) field.ErrorList {
	if mode == nil || *mode >= 0 && *mode <= 0o777 {
		return nil
	}
	return field.ErrorList{field.Invalid(at, *mode, notFileMode)}
}

// validateDownwardFile checks a file made of a field of the pod or of the
// resources of a container.
func validateDownwardFile(file *corev1.DownwardAPIVolumeFile, at *field.Path) field.ErrorList {
	errs := requireName(file.Path, at.Child("path"))
	errs = append(errs, validateProjectedPath(file.Path, at.Child("path"))...)
	switch {
	case file.FieldRef != nil:
		errs = append(errs, validateFieldRef(file.FieldRef, volumeFieldPaths(), at.Child("fieldRef"))...)
		if file.ResourceFieldRef != nil {
			errs = append(errs, field.Invalid(at, "resource", "fieldRef and resourceFieldRef can not be specified simultaneously"))
		}
	case file.ResourceFieldRef != nil:
		errs = append(errs, validateResourceRef(file.ResourceFieldRef, true, at.Child("resourceFieldRef"))...)
	default:
		errs = append(errs, field.Required(at, "one of fieldRef and resourceFieldRef is required"))
	}
	return append(errs, validateMode(file.Mode, at.Child("mode"))...)
}

// volumeFieldPaths are the fields of a pod that can be files.
func volumeFieldPaths() []string {
	return []string{"metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"}
}

// validateProjectedPath keeps a file inside its volume, and out of the names
// with which the node swaps the files of a volume ("..data").
func validateProjectedPath(file string, at *field.Path) field.ErrorList {
	errs := validateDescending(file, at)
	if strings.HasPrefix(file, "..") && !strings.HasPrefix(file, "../") {
		errs = append(errs, field.Invalid(at, file, "must not start with '..'"))
	}
	return errs
}

func validateDescending(file string, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if path.IsAbs(file) {
		errs = append(errs, field.Invalid(at, file, "must be a relative path"))
	}
	return append(errs, validateNoBacksteps(file, at)...)
}

func validateNoBacksteps(file string, at *field.Path) field.ErrorList {
	if slices.Contains(strings.Split(file, "/"), "..") {
		return field.ErrorList{field.Invalid(at, file, "must not contain '..'")}
	}
	return nil
}

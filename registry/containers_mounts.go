// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"
)

// validateMounts checks that each mount is of a volume of the pod and has a
// path of its own (Kubernetes: pkg/apis/core/validation, ValidateVolumeMounts).
func (p *podCheck) validateMounts(container *corev1.Container, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	paths := sets.Set[string]{}
	for i := range container.VolumeMounts {
		mount, path := &container.VolumeMounts[i], at.Index(i)
		errs = append(errs, requireName(mount.Name, path.Child("name"))...)
		if _, found := p.volumes[mount.Name]; !found {
			errs = append(errs, field.NotFound(path.Child("name"), mount.Name))
		}
		errs = append(errs, requireName(mount.MountPath, path.Child("mountPath"))...)
		if paths.Has(mount.MountPath) {
			errs = append(errs, field.Invalid(path.Child("mountPath"), mount.MountPath, "must be unique"))
		}
		paths.Insert(mount.MountPath)
		if slices.ContainsFunc(container.VolumeDevices, func(device corev1.VolumeDevice) bool { return device.Name == mount.Name }) {
			errs = append(errs, field.Invalid(path.Child("name"), mount.Name, "must not already exist in volumeDevices"))
		}
		errs = append(errs, validateSubPaths(mount, at, path)...)
		errs = append(errs, validatePropagation(mount, container, at)...)
	}
	return errs
}

// validateSubPaths reports backsteps at the list of mounts: clients know them
// there.
func validateSubPaths(mount *corev1.VolumeMount, list, at *field.Path) field.ErrorList {
	errs := validateDescending(mount.SubPath, list.Child("subPath"))
	if mount.SubPathExpr != "" && mount.SubPath != "" {
		errs = append(errs, field.Invalid(at.Child("subPathExpr"), mount.SubPathExpr, "subPathExpr and subPath are mutually exclusive"))
	}
	return append(errs, validateDescending(mount.SubPathExpr, list.Child("subPathExpr"))...)
}

// validatePropagation keeps mounts from leaking to the host, except from
// privileged containers.
func validatePropagation(mount *corev1.VolumeMount, container *corev1.Container, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if mode := mount.MountPropagation; mode != nil {
		at := at.Child("mountPropagation")
		errs = append(errs, supported(*mode, at, corev1.MountPropagationBidirectional, corev1.MountPropagationHostToContainer, corev1.MountPropagationNone)...)
		privileged := container.SecurityContext != nil && ptr.Deref(container.SecurityContext.Privileged, false)
		if *mode == corev1.MountPropagationBidirectional && !privileged {
			errs = append(errs, field.Forbidden(at, "Bidirectional mount propagation is available only to privileged containers"))
		}
	}
	mode := mount.RecursiveReadOnly
	if mode == nil || *mode == corev1.RecursiveReadOnlyDisabled {
		return errs
	}
	at = at.Child("recursiveReadOnly")
	errs = append(errs, supported(*mode, at, corev1.RecursiveReadOnlyDisabled, corev1.RecursiveReadOnlyEnabled, corev1.RecursiveReadOnlyIfPossible)...)
	if !mount.ReadOnly {
		errs = append(errs, field.Forbidden(at, "may only be specified when readOnly is true"))
	}
	if mount.MountPropagation != nil && *mount.MountPropagation != corev1.MountPropagationNone {
		errs = append(errs, field.Forbidden(at, "may only be specified when mountPropagation is None or not specified"))
	}
	return errs
}

// validateDevices checks block devices as validateMounts checks mounts.
func (p *podCheck) validateDevices(container *corev1.Container, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	names, paths := sets.Set[string]{}, sets.Set[string]{}
	for i, device := range container.VolumeDevices {
		at := at.Index(i)
		errs = append(errs, requireName(device.Name, at.Child("name"))...)
		volume, found := p.volumes[device.Name]
		switch {
		case !found:
			errs = append(errs, field.NotFound(at.Child("name"), device.Name))
		case volume.PersistentVolumeClaim == nil && volume.Ephemeral == nil:
			errs = append(errs, field.Invalid(at.Child("name"), device.Name, "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode"))
		}
		if names.Has(device.Name) {
			errs = append(errs, field.Invalid(at.Child("name"), device.Name, "must be unique"))
		}
		errs = append(errs, requireName(device.DevicePath, at.Child("devicePath"))...)
		if paths.Has(device.DevicePath) {
			errs = append(errs, field.Invalid(at.Child("devicePath"), device.DevicePath, "must be unique"))
		}
		if len(validateNoBacksteps(device.DevicePath, at)) > 0 {
			errs = append(errs, field.Invalid(at.Child("devicePath"), device.DevicePath, "can not contain backsteps ('..')"))
		}
		names.Insert(device.Name)
		paths.Insert(device.DevicePath)
	}
	return errs
}

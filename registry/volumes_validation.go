// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"path"
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

const (
	notFileMode    = "must be a number between 0 and 0777 (octal), both inclusive"
	oneVolumeType  = "may not specify more than 1 volume type"
	noVolumeType   = "must specify a volume type"
	volumeReferred = "must not reference a PVC that gets created for an ephemeral volume"
)

// volumesByName are the valid volumes of a pod, which mounts may refer to.
type volumesByName map[string]corev1.VolumeSource

// validateVolumes checks the volumes of a pod. The kinds that hold identities
// are checked to the last field, the disks of storage vendors not at all: it is
// the node that mounts them (Kubernetes: pkg/apis/core/validation,
// ValidateVolumes).
func validateVolumes(volumes []corev1.Volume, podName string, at *field.Path) (volumesByName, field.ErrorList) {
	var errs field.ErrorList
	valid := volumesByName{}
	for i := range volumes {
		volume, at := &volumes[i], at.Index(i)
		wrong := validateVolumeSource(&volume.VolumeSource, at)
		wrong = append(wrong, requireLabel(volume.Name, at.Child("name"))...)
		if _, taken := valid[volume.Name]; taken {
			wrong = append(wrong, field.Duplicate(at.Child("name"), volume.Name))
		}
		if len(wrong) == 0 {
			valid[volume.Name] = volume.VolumeSource
		}
		errs = append(errs, wrong...)
		if claim := volume.PersistentVolumeClaim; claim != nil && podName != "" && claimsOf(volumes, podName, claim.ClaimName) {
			errs = append(errs, field.Invalid(at.Child("persistentVolumeClaim", "claimName"), claim.ClaimName, volumeReferred))
		}
	}
	return valid, errs
}

// claimsOf tells whether a claim is made for an ephemeral volume of the pod.
func claimsOf(volumes []corev1.Volume, podName, claim string) bool {
	return slices.ContainsFunc(volumes, func(volume corev1.Volume) bool {
		return volume.Ephemeral != nil && claim == podName+"-"+volume.Name
	})
}

// requireLabel asks for a DNS label (RFC 1123).
func requireLabel(name string, at *field.Path) field.ErrorList {
	if name == "" {
		return field.ErrorList{field.Required(at, "")}
	}
	return invalid(at, name, utilvalidation.IsDNS1123Label(name))
}

// invalid makes an error of each message about a value.
func invalid(at *field.Path, value any, messages []string) field.ErrorList {
	var errs field.ErrorList
	for _, message := range messages {
		errs = append(errs, field.Invalid(at, value, message))
	}
	return errs
}

// volumeTypes are the names of the sources that a volume has.
func volumeTypes(source *corev1.VolumeSource) []string {
	var names []string
	value := reflect.ValueOf(*source)
	for i := range value.NumField() {
		if !value.Field(i).IsNil() {
			name, _, _ := strings.Cut(value.Type().Field(i).Tag.Get("json"), ",")
			names = append(names, name)
		}
	}
	return names
}

func validateVolumeSource(source *corev1.VolumeSource, at *field.Path) field.ErrorList {
	types := volumeTypes(source)
	if len(types) == 0 {
		return field.ErrorList{field.Required(at, noVolumeType)}
	}
	errs := validateFileVolume(source, at)
	errs = append(errs, validateOtherVolume(source, at)...)
	for _, more := range types[1:] {
		errs = append(errs, field.Forbidden(at.Child(more), oneVolumeType))
	}
	return errs
}

// validateFileVolume checks the volumes of files that the API provides.
func validateFileVolume(source *corev1.VolumeSource, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if secret := source.Secret; secret != nil {
		at := at.Child("secret")
		errs = append(errs, requireName(secret.SecretName, at.Child("secretName"))...)
		errs = append(errs, validateFiles(secret.DefaultMode, secret.Items, at)...)
	}
	if config := source.ConfigMap; config != nil {
		at := at.Child("configMap")
		errs = append(errs, requireName(config.Name, at.Child("name"))...)
		errs = append(errs, validateFiles(config.DefaultMode, config.Items, at)...)
	}
	if downward := source.DownwardAPI; downward != nil {
		at := at.Child("downwardAPI")
		errs = append(errs, validateMode(downward.DefaultMode, at.Child("defaultMode"))...)
		for i := range downward.Items {
			errs = append(errs, validateDownwardFile(&downward.Items[i], at)...)
		}
	}
	if source.Projected != nil {
		errs = append(errs, validateProjected(source.Projected, at.Child("projected"))...)
	}
	return errs
}

func validateOtherVolume(source *corev1.VolumeSource, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if directory := source.EmptyDir; directory != nil && directory.SizeLimit != nil && directory.SizeLimit.Sign() < 0 {
		errs = append(errs, field.Forbidden(at.Child("emptyDir", "sizeLimit"), "SizeLimit field must be a valid resource quantity"))
	}
	if source.HostPath != nil {
		errs = append(errs, validateHostPath(source.HostPath, at.Child("hostPath"))...)
	}
	if claim := source.PersistentVolumeClaim; claim != nil {
		errs = append(errs, requireName(claim.ClaimName, at.Child("persistentVolumeClaim", "claimName"))...)
	}
	if source.Ephemeral != nil && source.Ephemeral.VolumeClaimTemplate == nil {
		errs = append(errs, field.Required(at.Child("ephemeral", "volumeClaimTemplate"), ""))
	}
	if source.CSI != nil {
		errs = append(errs, validateDriver(source.CSI.Driver, at.Child("csi", "driver"))...)
	}
	if image := source.Image; image != nil {
		errs = append(errs, requireName(image.Reference, at.Child("image", "reference"))...)
		errs = append(errs, oneOf(image.PullPolicy, at.Child("image", "pullPolicy"), pullPolicies()...)...)
	}
	if nfs := source.NFS; nfs != nil {
		errs = append(errs, requireName(nfs.Server, at.Child("nfs", "server"))...)
		errs = append(errs, requireName(nfs.Path, at.Child("nfs", "path"))...)
		if !path.IsAbs(nfs.Path) {
			errs = append(errs, field.Invalid(at.Child("nfs", "path"), nfs.Path, "must be an absolute path"))
		}
	}
	return errs
}

// validateDriver checks the name of a driver for storage, which may have upper
// case and be as long as a label.
func validateDriver(name string, at *field.Path) field.ErrorList {
	if name == "" {
		return field.ErrorList{field.Required(at, "")}
	}
	var errs field.ErrorList
	if len(name) > utilvalidation.DNS1123LabelMaxLength {
		errs = append(errs, field.TooLong(at, "", utilvalidation.DNS1123LabelMaxLength))
	}
	return append(errs, invalid(at, name, utilvalidation.IsDNS1123Subdomain(strings.ToLower(name)))...)
}

func validateHostPath(source *corev1.HostPathVolumeSource, at *field.Path) field.ErrorList {
	if source.Path == "" {
		return field.ErrorList{field.Required(at.Child("path"), "")}
	}
	errs := validateNoBacksteps(source.Path, at.Child("path"))
	if source.Type != nil {
		errs = append(errs, supported(*source.Type, at.Child("type"),
			corev1.HostPathUnset, corev1.HostPathBlockDev, corev1.HostPathCharDev, corev1.HostPathDirectory, corev1.HostPathDirectoryOrCreate,
			corev1.HostPathFile, corev1.HostPathFileOrCreate, corev1.HostPathSocket)...)
	}
	return errs
}

func requireName(name string, at *field.Path) field.ErrorList {
	if name == "" {
		return field.ErrorList{field.Required(at, "")}
	}
	return nil
}

// oneOf asks for a value, and for one that Kubernetes knows.
func oneOf[T ~string](value T, at *field.Path, known ...T) field.ErrorList {
	if value == "" {
		return field.ErrorList{field.Required(at, "")}
	}
	return supported(value, at, known...)
}

// supported is oneOf for fields that can be left out: "" is no value of theirs.
func supported[T ~string](value T, at *field.Path, known ...T) field.ErrorList {
	if slices.Contains(known, value) {
		return nil
	}
	return field.ErrorList{field.NotSupported(at, value, known)}
}

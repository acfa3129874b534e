// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/api/validation"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

const oneEnvSource = "may not have more than one field specified at a time"

// validateEnv checks the variables of a container and where their values come
// from (Kubernetes: pkg/apis/core/validation, ValidateEnv).
func (p *podCheck) validateEnv(variables []corev1.EnvVar, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i := range variables {
		variable, at := &variables[i], at.Index(i)
		if variable.Name == "" {
			errs = append(errs, field.Required(at.Child("name"), ""))
		} else {
			errs = append(errs, invalid(at.Child("name"), variable.Name, utilvalidation.IsRelaxedEnvVarName(variable.Name))...)
		}
		if variable.ValueFrom != nil {
			errs = append(errs, p.validateEnvSource(variable, at.Child("valueFrom"))...)
		}
	}
	return errs
}

func (p *podCheck) validateEnvSource(variable *corev1.EnvVar, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	source, kinds := variable.ValueFrom, 0
	if source.FieldRef != nil {
		kinds++
		errs = append(errs, validateFieldRef(source.FieldRef, envFieldPaths(), at.Child("fieldRef"))...)
	}
	if source.ResourceFieldRef != nil {
		kinds++
		errs = append(errs, validateResourceRef(source.ResourceFieldRef, false, at.Child("resourceFieldRef"))...)
	}
	if ref := source.ConfigMapKeyRef; ref != nil {
		kinds++
		errs = append(errs, validateKeyRef(ref.Name, ref.Key, at.Child("configMapKeyRef"))...)
	}
	if ref := source.SecretKeyRef; ref != nil {
		kinds++
		errs = append(errs, validateKeyRef(ref.Name, ref.Key, at.Child("secretKeyRef"))...)
	}
	if source.FileKeyRef != nil {
		kinds++
		errs = append(errs, p.validateFileRef(source.FileKeyRef, at.Child("fileKeyRef"))...)
	}
	switch {
	case kinds == 0:
		errs = append(errs, field.Invalid(at, "", "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"))
	case variable.Value != "":
		errs = append(errs, field.Invalid(at, "", "may not be specified when `value` is not empty"))
	case kinds > 1:
		errs = append(errs, field.Invalid(at, "", oneEnvSource))
	}
	return errs
}

// envFieldPaths are the fields of a pod that can be variables.
func envFieldPaths() []string {
	return []string{
		"metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName",
		"status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs",
	}
}

// knownFieldPaths are the fields that the downward API has names for, though
// not all are of use in each place.
func knownFieldPaths() []string {
	return append([]string{"metadata.annotations", "metadata.labels", "spec.restartPolicy", "spec.schedulerName", "status.phase"}, envFieldPaths()...)
}

// validateFieldRef checks a reference to a field of the pod, or to one label or
// annotation ("metadata.labels['key']").
func validateFieldRef(ref *corev1.ObjectFieldSelector, allowed []string, at *field.Path) field.ErrorList {
	switch {
	case ref.APIVersion == "":
		return field.ErrorList{field.Required(at.Child("apiVersion"), "")}
	case ref.FieldPath == "":
		return field.ErrorList{field.Required(at.Child("fieldPath"), "")}
	case ref.APIVersion != "v1":
		return unknownField(ref, at, "unsupported pod version: "+ref.APIVersion)
	}
	if path, key, found := strings.Cut(strings.TrimSuffix(ref.FieldPath, "']"), "['"); found && path != "" && strings.HasSuffix(ref.FieldPath, "']") {
		switch path {
		case "metadata.annotations":
			key = strings.ToLower(key)
		case "metadata.labels":
		default:
			return unknownField(ref, at, "field label does not support subscript: "+ref.FieldPath)
		}
		return invalid(at, key, utilvalidation.IsQualifiedName(key))
	}
	path := ref.FieldPath
	if path == "spec.host" {
		path = "spec.nodeName" // the name that the first clients knew
	}
	if !slices.Contains(knownFieldPaths(), path) {
		return unknownField(ref, at, "field label not supported: "+ref.FieldPath)
	}
	if !slices.Contains(allowed, path) {
		return field.ErrorList{field.NotSupported(at.Child("fieldPath"), path, allowed)}
	}
	return nil
}

func unknownField(ref *corev1.ObjectFieldSelector, at *field.Path, why string) field.ErrorList {
	return field.ErrorList{field.Invalid(at.Child("fieldPath"), ref.FieldPath, "error converting fieldPath: "+why)}
}

// validateResourceRef checks a reference to a resource of a container.
func validateResourceRef(ref *corev1.ResourceFieldSelector, inVolume bool, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	kind, name, _ := strings.Cut(ref.Resource, ".")
	known := []string{"limits.cpu", "limits.ephemeral-storage", "limits.memory", "requests.cpu", "requests.ephemeral-storage", "requests.memory"}
	hugePage := (kind == "limits" || kind == "requests") && strings.HasPrefix(name, corev1.ResourceHugePagesPrefix)
	switch {
	case inVolume && ref.ContainerName == "":
		errs = append(errs, field.Required(at.Child("containerName"), ""))
	case ref.Resource == "":
		errs = append(errs, field.Required(at.Child("resource"), ""))
	case !slices.Contains(known, ref.Resource) && !hugePage:
		errs = append(errs, field.NotSupported(at.Child("resource"), ref.Resource, known))
	}
	return append(errs, validateDivisor(ref, name, at.Child("divisor"))...)
}

func validateDivisor(ref *corev1.ResourceFieldSelector, name string, at *field.Path) field.ErrorList {
	if ref.Divisor.Cmp(resource.Quantity{}) == 0 {
		return nil
	}
	kinds := map[string]string{"memory": "memory", "ephemeral-storage": "local ephemeral storage"}
	if strings.HasPrefix(name, corev1.ResourceHugePagesPrefix) {
		kinds[name] = "hugepages"
	}
	bytes := []string{"1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"}
	switch kind, known := kinds[name]; {
	case name == "cpu" && !slices.Contains([]string{"1m", "1"}, ref.Divisor.String()):
		return field.ErrorList{field.Invalid(at, ref.Resource, "only divisor's values 1m and 1 are supported with the cpu resource")}
	case known && !slices.Contains(bytes, ref.Divisor.String()):
		return field.ErrorList{field.Invalid(at, ref.Resource, fmt.Sprintf("only divisor's values %s are supported with the %s resource", strings.Join(bytes, ", "), kind))}
	}
	return nil
}

// validateKeyRef checks a reference to a key of a secret or config map.
func validateKeyRef(name, key string, at *field.Path) field.ErrorList {
	errs := invalid(at.Child("name"), name, validation.NameIsDNSSubdomain(name, false))
	if key == "" {
		return append(errs, field.Required(at.Child("key"), ""))
	}
	return append(errs, invalid(at.Child("key"), key, utilvalidation.IsConfigMapKey(key))...)
}

// validateFileRef checks a reference to a variable in a file, which an init
// container writes into an empty directory.
func (p *podCheck) validateFileRef(ref *corev1.FileKeySelector, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if ref.Key == "" {
		errs = append(errs, field.Required(at.Child("key"), ""))
	} else {
		errs = append(errs, invalid(at.Child("key"), ref.Key, utilvalidation.IsRelaxedEnvVarName(ref.Key))...)
	}
	errs = append(errs, requireLabel(ref.VolumeName, at.Child("volumeName"))...)
	errs = append(errs, requireName(ref.Path, at.Child("path"))...)
	errs = append(errs, validateNoBacksteps(ref.Path, at.Child("path"))...)
	volume, found := p.volumes[ref.VolumeName]
	switch {
	case !found:
		errs = append(errs, field.NotFound(at.Child("volumeName"), ref.VolumeName))
	case volume.EmptyDir == nil:
		errs = append(errs, field.Invalid(at.Child("volumeName"), ref.VolumeName, "referenced volume must be of type emptyDir"))
	}
	return errs
}

// validateEnvFrom checks whole secrets and config maps that become variables.
func validateEnvFrom(sources []corev1.EnvFromSource, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, source := range sources {
		path, kinds := at.Index(i), 0
		if source.Prefix != "" {
			errs = append(errs, invalid(path.Child("prefix"), source.Prefix, utilvalidation.IsRelaxedEnvVarName(source.Prefix))...)
		}
		if source.ConfigMapRef != nil {
			kinds++
			errs = append(errs, validateSourceName(source.ConfigMapRef.Name, path.Child("configMapRef", "name"))...)
		}
		if source.SecretRef != nil {
			kinds++
			errs = append(errs, validateSourceName(source.SecretRef.Name, path.Child("secretRef", "name"))...)
		}
		switch {
		case kinds == 0:
			errs = append(errs, field.Invalid(at, "", "must specify one of: `configMapRef` or `secretRef`"))
		case kinds > 1:
			errs = append(errs, field.Invalid(at, "", oneEnvSource))
		}
	}
	return errs
}

func validateSourceName(name string, at *field.Path) field.ErrorList {
	if name == "" {
		return field.ErrorList{field.Required(at, "")}
	}
	return invalid(at, name, validation.NameIsDNSSubdomain(name, true))
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// The shortest and the longest life that a pod may ask of a projected token,
// in seconds.
const (
	minTokenSeconds = 10 * 60
	maxTokenSeconds = 1 << 32
)

// validateProjected checks a volume that joins several sources (Kubernetes:
// pkg/apis/core/validation, validateProjectionSources).
func validateProjected(volume *corev1.ProjectedVolumeSource, at *field.Path) field.ErrorList {
	errs := validateMode(volume.DefaultMode, at.Child("defaultMode"))
	check := projectionCheck{volume: at, paths: sets.Set[string]{}}
	for i := range volume.Sources {
		check.source(&volume.Sources[i], at.Child("sources").Index(i))
	}
	return append(errs, check.errs...)
}

// projectionCheck goes through the sources of one volume, whose files must not
// be in each other's way. It reports those conflicts, and the path of a token,
// at the volume: clients know them there.
type projectionCheck struct {
	volume *field.Path
	paths  sets.Set[string]
	errs   field.ErrorList
}

func (c *projectionCheck) source(source *corev1.VolumeProjection, at *field.Path) {
	kinds := 0
	if secret := source.Secret; secret != nil {
		kinds++
		c.keys(secret.Name, secret.Items, at.Child("secret"))
	}
	if config := source.ConfigMap; config != nil {
		kinds++
		c.keys(config.Name, config.Items, at.Child("configMap"))
	}
	if source.DownwardAPI != nil {
		kinds++
		c.downward(source.DownwardAPI.Items, at.Child("downwardAPI"))
	}
	if source.ServiceAccountToken != nil {
		kinds++
		c.token(source.ServiceAccountToken, at.Child("serviceAccountToken"))
	}
	if source.ClusterTrustBundle != nil {
		kinds++
		c.trustBundle(source.ClusterTrustBundle, at.Child("clusterTrustBundle"))
	}
	if source.PodCertificate != nil {
		kinds++
		c.certificate(source.PodCertificate, at.Child("podCertificate"))
	}
	if kinds > 1 {
		c.add(field.Forbidden(at, "may not specify more than 1 volume type per source"))
	}
}

func (c *projectionCheck) add(errs ...*field.Error) { c.errs = append(c.errs, errs...) }

// claim takes a path for a file; value is what the error shows if another
// source has it.
func (c *projectionCheck) claim(path, value string) {
	if c.paths.Has(path) {
		c.add(field.Invalid(c.volume, value, "conflicting duplicate paths"))
	}
	c.paths.Insert(path)
}

func (c *projectionCheck) keys(name string, items []corev1.KeyToPath, at *field.Path) {
	c.add(requireName(name, at.Child("name"))...)
	for i := range items {
		c.add(validateKeyToPath(&items[i], at.Child("items").Index(i))...)
		if items[i].Path != "" {
			c.claim(items[i].Path, name)
		}
	}
}

func (c *projectionCheck) downward(files []corev1.DownwardAPIVolumeFile, at *field.Path) {
	for i := range files {
		c.add(validateDownwardFile(&files[i], at)...)
		if files[i].Path != "" {
			c.claim(files[i].Path, files[i].Path)
		}
	}
}

// token checks a projected service account token. Its path may be that of
// another source: Kubernetes does not compare it.
func (c *projectionCheck) token(token *corev1.ServiceAccountTokenProjection, at *field.Path) {
	at = at.Child("expirationSeconds")
	switch seconds := token.ExpirationSeconds; {
	case seconds == nil:
		c.add(field.Required(at, ""))
	case *seconds < minTokenSeconds:
		c.add(field.Invalid(at, *seconds, "may not specify a duration less than 10 minutes"))
	case *seconds > maxTokenSeconds:
		c.add(field.Invalid(at, *seconds, "may not specify a duration larger than 2^32 seconds"))
	}
	path := c.volume.Child("path")
	c.add(requireName(token.Path, path)...)
	c.add(validateProjectedPath(token.Path, path)...)
}

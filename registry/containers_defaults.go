// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"github.com/distribution/reference"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// defaultContainer fills what a client left out of a container of any kind
// (Kubernetes: pkg/apis/core/v1, SetDefaults_Container and what is below it).
func defaultContainer(container *corev1.Container) {
	if container.ImagePullPolicy == "" { // only then: an image name takes long to read
		container.ImagePullPolicy = pullPolicy(container.Image)
	}
	setIfEmpty(&container.TerminationMessagePath, corev1.TerminationMessagePathDefault)
	setIfEmpty(&container.TerminationMessagePolicy, corev1.TerminationMessageReadFile)
	for i := range container.Ports {
		setIfEmpty(&container.Ports[i].Protocol, corev1.ProtocolTCP)
	}
	for i := range container.Env {
		defaultEnvSource(container.Env[i].ValueFrom)
	}
	roundUp(container.Resources.Limits)
	roundUp(container.Resources.Requests)
	for _, probe := range probesOf(container) {
		defaultProbe(probe)
	}
	for _, hook := range hooksOf(container) {
		defaultHTTPGet(hook.HTTPGet)
	}
}

// pullPolicy is Always for the tag "latest", spoken or implied.
func pullPolicy(image string) corev1.PullPolicy {
	if tagOf(image) == "latest" {
		return corev1.PullAlways
	}
	return corev1.PullIfNotPresent
}

// tagOf is the tag of an image name, "" for a digest alone and for what is no
// image name.
func tagOf(image string) string {
	named, err := reference.ParseNormalizedNamed(image)
	if err != nil {
		return ""
	}
	if tagged, ok := reference.TagNameOnly(named).(reference.Tagged); ok {
		return tagged.Tag()
	}
	return ""
}

func defaultEnvSource(source *corev1.EnvVarSource) {
	if source == nil {
		return
	}
	defaultFieldRef(source.FieldRef)
	if source.FileKeyRef != nil {
		setIfNil(&source.FileKeyRef.Optional, false)
	}
}

func defaultFieldRef(ref *corev1.ObjectFieldSelector) {
	if ref != nil {
		setIfEmpty(&ref.APIVersion, "v1")
	}
}

func defaultProbe(probe *corev1.Probe) {
	setIfEmpty(&probe.TimeoutSeconds, 1)
	setIfEmpty(&probe.PeriodSeconds, 10)
	setIfEmpty(&probe.SuccessThreshold, 1)
	setIfEmpty(&probe.FailureThreshold, 3)
	defaultHTTPGet(probe.HTTPGet)
	if probe.GRPC != nil {
		setIfNil(&probe.GRPC.Service, "")
	}
}

func defaultHTTPGet(action *corev1.HTTPGetAction) {
	if action != nil {
		setIfEmpty(&action.Path, "/")
		setIfEmpty(&action.Scheme, corev1.URISchemeHTTP)
	}
}

// requestLimits makes limits the requests of what is not requested.
func requestLimits(resources *corev1.ResourceRequirements) {
	if resources.Limits != nil && resources.Requests == nil {
		resources.Requests = corev1.ResourceList{}
	}
	for name, limit := range resources.Limits {
		if _, requested := resources.Requests[name]; !requested {
			resources.Requests[name] = limit.DeepCopy()
		}
	}
}

// roundUp brings quantities to whole thousandths, the finest that Kubernetes
// stores.
func roundUp(list corev1.ResourceList) {
	for name, quantity := range list {
		quantity.RoundUp(resource.Milli)
		list[name] = quantity
	}
}

func setIfEmpty[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func setIfNil[T any](field **T, value T) {
	if *field == nil {
		*field = &value
	}
}

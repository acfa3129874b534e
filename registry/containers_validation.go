// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// podCheck is what the checks of containers need to know of their pod.
type podCheck struct {
	spec    *corev1.PodSpec
	volumes volumesByName
	claims  sets.Set[string]
}

// validateContainers checks the containers of all three kinds. Their names are
// unique across the kinds (Kubernetes: pkg/apis/core/validation,
// validateContainers, validateInitContainers, validateEphemeralContainers).
func (p *podCheck) validateContainers(at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if len(p.spec.Containers) == 0 {
		errs = append(errs, field.Required(at.Child("containers"), ""))
	}
	names := sets.Set[string]{}
	for i := range p.spec.Containers {
		errs = append(errs, p.validateMain(&p.spec.Containers[i], names, at.Child("containers").Index(i))...)
	}
	errs = append(errs, uniqueHostPorts(p.spec.Containers, at.Child("containers"))...)
	for i := range p.spec.InitContainers {
		errs = append(errs, p.validateInit(&p.spec.InitContainers[i], names, at.Child("initContainers").Index(i))...)
		// Each runs alone, so that only its own ports can collide.
		errs = append(errs, uniqueHostPorts(p.spec.InitContainers[i:i+1], at.Child("initContainers"))...)
	}
	return append(errs, p.validateEphemeral(names, at.Child("ephemeralContainers"))...)
}

func (p *podCheck) validateMain(container *corev1.Container, names sets.Set[string], at *field.Path) field.ErrorList {
	errs := p.validateCommon(container, at)
	errs = append(errs, takeName(names, container.Name, at)...)
	errs = append(errs, validateHooks(container, p.spec.TerminationGracePeriodSeconds, at)...)
	return append(errs, validateRestart(container, at)...)
}

func (p *podCheck) validateInit(container *corev1.Container, names sets.Set[string], at *field.Path) field.ErrorList {
	errs := p.validateCommon(container, at)
	errs = append(errs, takeName(names, container.Name, at)...)
	errs = append(errs, validateRestart(container, at)...)
	if isSidecar(container) {
		return append(errs, validateHooks(container, p.spec.TerminationGracePeriodSeconds, at)...)
	}
	for _, hook := range []struct {
		name string
		set  bool
	}{
		{"lifecycle", container.Lifecycle != nil},
		{"livenessProbe", container.LivenessProbe != nil},
		{"readinessProbe", container.ReadinessProbe != nil},
		{"startupProbe", container.StartupProbe != nil},
	} {
		if hook.set {
			errs = append(errs, field.Forbidden(at.Child(hook.name), "may not be set for init containers without restartPolicy=Always"))
		}
	}
	return errs
}

func takeName(names sets.Set[string], name string, at *field.Path) field.ErrorList {
	if names.Has(name) {
		return field.ErrorList{field.Duplicate(at.Child("name"), name)}
	}
	if name != "" {
		names.Insert(name)
	}
	return nil
}

// validateRestart checks when a single container is started again.
func validateRestart(container *corev1.Container, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if container.RestartPolicy != nil {
		errs = append(errs, supported(*container.RestartPolicy, at.Child("restartPolicy"),
			corev1.ContainerRestartPolicyAlways, corev1.ContainerRestartPolicyNever, corev1.ContainerRestartPolicyOnFailure)...)
	} else if len(container.RestartPolicyRules) > 0 {
		errs = append(errs, field.Required(at.Child("restartPolicy"), "must specify restartPolicy when restart rules are used"))
	}
	if len(container.RestartPolicyRules) > 20 {
		errs = append(errs, field.TooMany(at.Child("restartPolicyRules"), len(container.RestartPolicyRules), 20))
	}
	for i, rule := range container.RestartPolicyRules {
		at := at.Child("restartPolicyRules").Index(i)
		errs = append(errs, supported(rule.Action, at.Child("action"), corev1.ContainerRestartRuleActionRestart, corev1.ContainerRestartRuleActionRestartAllContainers)...)
		if rule.ExitCodes == nil {
			errs = append(errs, field.Required(at.Child("exitCodes"), "must be specified"))
			continue
		}
		errs = append(errs, supported(rule.ExitCodes.Operator, at.Child("exitCodes", "operator"), corev1.ContainerRestartRuleOnExitCodesOpIn, corev1.ContainerRestartRuleOnExitCodesOpNotIn)...)
	}
	return errs
}

// validateCommon checks what containers of all kinds have.
func (p *podCheck) validateCommon(container *corev1.Container, at *field.Path) field.ErrorList {
	errs := requireLabel(container.Name, at.Child("name"))
	errs = append(errs, requireName(container.Image, at.Child("image"))...)
	errs = append(errs, oneOf(container.TerminationMessagePolicy, at.Child("terminationMessagePolicy"),
		corev1.TerminationMessageReadFile, corev1.TerminationMessageFallbackToLogsOnError)...)
	errs = append(errs, oneOf(container.ImagePullPolicy, at.Child("imagePullPolicy"), pullPolicies()...)...)
	errs = append(errs, validatePorts(container.Ports, at.Child("ports"))...)
	errs = append(errs, p.validateEnv(container.Env, at.Child("env"))...)
	errs = append(errs, validateEnvFrom(container.EnvFrom, at.Child("envFrom"))...)
	errs = append(errs, p.validateMounts(container, at.Child("volumeMounts"))...)
	errs = append(errs, p.validateDevices(container, at.Child("volumeDevices"))...)
	errs = append(errs, validateResources(&container.Resources, containerResourceName, at.Child("resources"))...)
	errs = append(errs, p.validateClaims(container.Resources.Claims, at.Child("resources", "claims"))...)
	return append(errs, validateSecurity(container.SecurityContext, at.Child("securityContext"))...)
}

func pullPolicies() []corev1.PullPolicy {
	return []corev1.PullPolicy{corev1.PullAlways, corev1.PullIfNotPresent, corev1.PullNever}
}

// untrimmedImage refuses an image that hides in white space. Templates may have
// it: some systems put the image in later.
func untrimmedImage(image string, at *field.Path) field.ErrorList {
	if strings.TrimSpace(image) == image {
		return nil
	}
	return field.ErrorList{field.Invalid(at, image, "must not have leading or trailing whitespace")}
}

func validatePorts(ports []corev1.ContainerPort, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	names := sets.Set[string]{}
	for i, port := range ports {
		at := at.Index(i)
		if port.Name != "" {
			wrong := invalid(at.Child("name"), port.Name, utilvalidation.IsValidPortName(port.Name))
			if len(wrong) == 0 {
				wrong = takeName(names, port.Name, at)
			}
			errs = append(errs, wrong...)
		}
		if port.ContainerPort == 0 {
			errs = append(errs, field.Required(at.Child("containerPort"), ""))
		} else {
			errs = append(errs, invalid(at.Child("containerPort"), port.ContainerPort, utilvalidation.IsValidPortNum(int(port.ContainerPort)))...)
		}
		if port.HostPort != 0 {
			errs = append(errs, invalid(at.Child("hostPort"), port.HostPort, utilvalidation.IsValidPortNum(int(port.HostPort)))...)
		}
		errs = append(errs, oneOf(port.Protocol, at.Child("protocol"), corev1.ProtocolSCTP, corev1.ProtocolTCP, corev1.ProtocolUDP)...)
	}
	return errs
}

func uniqueHostPorts(containers []corev1.Container, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	taken := sets.Set[string]{}
	for i, container := range containers {
		for j, port := range container.Ports {
			if port.HostPort == 0 {
				continue
			}
			key := fmt.Sprintf("%s/%s/%d", port.Protocol, port.HostIP, port.HostPort)
			if taken.Has(key) {
				errs = append(errs, field.Duplicate(at.Index(i).Child("ports").Index(j).Child("hostPort"), key))
			}
			taken.Insert(key)
		}
	}
	return errs
}

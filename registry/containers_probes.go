// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/intstr"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// validateHooks checks the probes and the lifecycle of a container. grace is
// the time that its pod has to end, in seconds.
func validateHooks(container *corev1.Container, grace *int64, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if probe := container.LivenessProbe; probe != nil {
		errs = append(errs, validateProbe(probe, at.Child("livenessProbe"))...)
		errs = append(errs, succeedsOnce(probe, at.Child("livenessProbe"))...)
	}
	if probe := container.ReadinessProbe; probe != nil {
		at := at.Child("readinessProbe")
		errs = append(errs, validateProbe(probe, at)...)
		if probe.TerminationGracePeriodSeconds != nil {
			errs = append(errs, field.Invalid(at.Child("terminationGracePeriodSeconds"), probe.TerminationGracePeriodSeconds, "must not be set for readinessProbes"))
		}
	}
	if probe := container.StartupProbe; probe != nil {
		errs = append(errs, validateProbe(probe, at.Child("startupProbe"))...)
		errs = append(errs, succeedsOnce(probe, at.Child("startupProbe"))...)
	}
	if container.Lifecycle == nil {
		return errs
	}
	errs = append(errs, validateHook(container.Lifecycle.PostStart, grace, at.Child("lifecycle", "postStart"))...)
	return append(errs, validateHook(container.Lifecycle.PreStop, grace, at.Child("lifecycle", "preStop"))...)
}

func succeedsOnce(probe *corev1.Probe, at *field.Path) field.ErrorList {
	if probe.SuccessThreshold == 1 {
		return nil
	}
	return field.ErrorList{field.Invalid(at.Child("successThreshold"), probe.SuccessThreshold, "must be 1")}
}

func validateProbe(probe *corev1.Probe, at *field.Path) field.ErrorList {
	errs := validateAction(action{exec: probe.Exec, http: probe.HTTPGet, tcp: probe.TCPSocket, grpc: probe.GRPC}, nil, at)
	for _, number := range []struct {
		name  string
		value int32
	}{
		{"initialDelaySeconds", probe.InitialDelaySeconds},
		{"timeoutSeconds", probe.TimeoutSeconds},
		{"periodSeconds", probe.PeriodSeconds},
		{"successThreshold", probe.SuccessThreshold},
		{"failureThreshold", probe.FailureThreshold},
	} {
		errs = append(errs, validation.ValidateNonnegativeField(int64(number.value), at.Child(number.name))...)
	}
	if grace := probe.TerminationGracePeriodSeconds; grace != nil && *grace <= 0 {
		errs = append(errs, field.Invalid(at.Child("terminationGracePeriodSeconds"), *grace, "must be greater than 0"))
	}
	return errs
}

func validateHook(hook *corev1.LifecycleHandler, grace *int64, at *field.Path) field.ErrorList {
	if hook == nil {
		return nil
	}
	return validateAction(action{exec: hook.Exec, http: hook.HTTPGet, tcp: hook.TCPSocket, sleep: hook.Sleep}, grace, at)
}

// action is what a probe or a hook does: exactly one of these.
type action struct {
	exec  *corev1.ExecAction
	http  *corev1.HTTPGetAction
	tcp   *corev1.TCPSocketAction
	grpc  *corev1.GRPCAction
	sleep *corev1.SleepAction
}

func validateAction(does action, grace *int64, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	kinds := 0
	check := func(name string, set bool, validate func(at *field.Path) field.ErrorList) {
		if !set {
			return
		}
		kinds++
		if kinds > 1 {
			errs = append(errs, field.Forbidden(at.Child(name), "may not specify more than 1 handler type"))
			return
		}
		errs = append(errs, validate(at.Child(name))...)
	}
	check("exec", does.exec != nil, func(at *field.Path) field.ErrorList {
		if len(does.exec.Command) == 0 {
			return field.ErrorList{field.Required(at.Child("command"), "")}
		}
		return nil
	})
	check("httpGet", does.http != nil, func(at *field.Path) field.ErrorList { return validateHTTPGet(does.http, at) })
	check("tcpSocket", does.tcp != nil, func(at *field.Path) field.ErrorList { return validatePortOrName(does.tcp.Port, at.Child("port")) })
	check("grpc", does.grpc != nil, func(at *field.Path) field.ErrorList {
		return validatePortOrName(intstr.FromInt32(does.grpc.Port), at.Child("port"))
	})
	check("sleep", does.sleep != nil, func(at *field.Path) field.ErrorList {
		if grace != nil && (does.sleep.Seconds < 0 || does.sleep.Seconds > *grace) {
			return field.ErrorList{field.Invalid(at, does.sleep.Seconds, fmt.Sprintf("must be non-negative and less than terminationGracePeriodSeconds (%d)", *grace))}
		}
		return nil
	})
	if kinds == 0 {
		errs = append(errs, field.Required(at, "must specify a handler type"))
	}
	return errs
}

func validateHTTPGet(get *corev1.HTTPGetAction, at *field.Path) field.ErrorList {
	errs := requireName(get.Path, at.Child("path"))
	errs = append(errs, validatePortOrName(get.Port, at.Child("port"))...)
	errs = append(errs, supported(get.Scheme, at.Child("scheme"), corev1.URISchemeHTTP, corev1.URISchemeHTTPS)...)
	for _, header := range get.HTTPHeaders {
		errs = append(errs, invalid(at.Child("httpHeaders"), header.Name, utilvalidation.IsHTTPHeaderName(header.Name))...)
	}
	return errs
}

func validatePortOrName(port intstr.IntOrString, at *field.Path) field.ErrorList {
	if port.Type == intstr.String {
		return invalid(at, port.StrVal, utilvalidation.IsValidPortName(port.StrVal))
	}
	return invalid(at, port.IntValue(), utilvalidation.IsValidPortNum(port.IntValue()))
}

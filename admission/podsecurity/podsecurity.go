// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

// Package podsecurity is the admission plugin that holds pods to the Pod
// Security Standards, as the labels of their namespace say. The standards, the
// labels, the exemptions and all texts are those of
// k8s.io/pod-security-admission; this package hands requests to it and what it
// says back. The server room puts the plugin after those that change pods.
// Kubernetes: plugin/pkg/admission/security/podsecurity.
package podsecurity

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/audit"
	"k8s.io/apiserver/pkg/warning"
	"k8s.io/component-base/metrics/legacyregistry"
	podsecurity "k8s.io/pod-security-admission/admission"
	"k8s.io/pod-security-admission/admission/api/load"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/metrics"
	"k8s.io/pod-security-admission/policy"
)

// Name is what the plugin is called in flags, as in Kubernetes.
const Name = "PodSecurity"

// Plugin is the admission plugin. Make one with New.
type Plugin struct {
	*admission.Handler
	standards *podsecurity.Admission
}

var _ admission.ValidationInterface = &Plugin{}

// New makes a plugin with a PodSecurityConfiguration (YAML or JSON; nil for the
// defaults, which allow everything where no label says otherwise). It reads the
// labels of a namespace from namespaces, as they are now, and warns of the pods
// that a changed label would refuse, which pods lists.
func New(config io.Reader, namespaces podsecurity.NamespaceGetter, pods podsecurity.PodLister) (*Plugin, error) {
	configuration, err := load.LoadFromReader(config)
	if err != nil {
		return nil, fmt.Errorf("reading the configuration of %s: %w", Name, err)
	}
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		return nil, fmt.Errorf("making the checks of %s: %w", Name, err)
	}
	standards := &podsecurity.Admission{
		Configuration: configuration, Evaluator: evaluator, Metrics: recorder(),
		PodSpecExtractor: podsecurity.DefaultPodSpecExtractor{}, NamespaceGetter: namespaces, PodLister: pods,
	}
	if err := errors.Join(standards.CompleteConfiguration(), standards.ValidateConfiguration()); err != nil {
		return nil, fmt.Errorf("the configuration of %s: %w", Name, err)
	}
	return &Plugin{Handler: admission.NewHandler(admission.Create, admission.Update), standards: standards}, nil
}

// recorder counts for all servers of the process, as other metrics of the
// libraries do.
var recorder = sync.OnceValue(func() metrics.Recorder {
	recorder := metrics.NewPrometheusRecorder(api.GetAPIVersion())
	recorder.MustRegister(legacyregistry.MustRegister)
	return recorder
})

// Validate refuses what the namespace does not allow, warns and notes for audit.
func (p *Plugin) Validate(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	resource := a.GetResource().GroupResource()
	if resource != corev1.Resource("pods") && resource != corev1.Resource("namespaces") && !p.standards.PodSpecExtractor.HasPodSpec(resource) {
		return nil
	}
	verdict := p.standards.Validate(ctx, attributes{a})
	for _, text := range verdict.Warnings {
		warning.AddWarning(ctx, "", text)
	}
	for key, value := range verdict.AuditAnnotations {
		audit.AddAuditAnnotation(ctx, api.AuditAnnotationPrefix+key, value)
	}
	if verdict.Allowed {
		return nil
	}
	return refusal(a, verdict.Result)
}

// refusal is a Status with what the verdict says of it.
func refusal(a admission.Attributes, result *metav1.Status) error {
	//lint:ignore ST1005 the words are those of k8s.io/pod-security-admission
	err := admission.NewForbidden(a, errors.New("Not allowed by PodSecurity"))
	status, ok := errors.AsType[*apierrors.StatusError](err)
	if !ok || result == nil {
		return err
	}
	if result.Message != "" {
		status.ErrStatus.Message = result.Message
	}
	if result.Reason != "" {
		status.ErrStatus.Reason = result.Reason
	}
	if result.Details != nil {
		status.ErrStatus.Details = result.Details
	}
	if result.Code != 0 {
		status.ErrStatus.Code = result.Code
	}
	return status
}

// attributes are a request as the standards want it.
type attributes struct{ admission.Attributes }

// GetObject is the object that is written.
func (a attributes) GetObject() (runtime.Object, error) { return a.Attributes.GetObject(), nil }

// GetOldObject is what it replaces.
func (a attributes) GetOldObject() (runtime.Object, error) { return a.Attributes.GetOldObject(), nil }

// GetOperation is what is done.
func (a attributes) GetOperation() admissionv1.Operation {
	return admissionv1.Operation(a.Attributes.GetOperation())
}

// GetUserName is who does it.
func (a attributes) GetUserName() string { return a.GetUserInfo().GetName() }

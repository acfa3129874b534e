// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// podTemplates are records: nobody makes pods of them, in Kubernetes neither.
// Test suites page through them because nothing else touches them.
func podTemplates() Resource {
	return &Definition[*corev1.PodTemplate]{
		GroupVersion: corev1.SchemeGroupVersion,
		Kind:         "PodTemplate", Plural: "podtemplates", Singular: "podtemplate",
		New:           func() *corev1.PodTemplate { return &corev1.PodTemplate{} },
		NewList:       func() runtime.Object { return &corev1.PodTemplateList{} },
		Default:       func(template *corev1.PodTemplate) { defaultPodSpec(&template.Template.Spec) },
		PrepareCreate: func(_ context.Context, template *corev1.PodTemplate) { preparePodTemplate(template) },
		PrepareUpdate: func(_ context.Context, template, old *corev1.PodTemplate) { preparePodTemplateUpdate(template, old) },
		Validate: func(template *corev1.PodTemplate) field.ErrorList {
			return validatePodTemplate(&template.Template, field.NewPath("template"))
		},
		Warnings:      podTemplateWarnings,
		ReturnDeleted: true,
		Columns: []metav1.TableColumnDefinition{
			nameColumn(),
			column("Containers", "string", "Names of each container in the template."),
			column("Images", "string", "Images referenced by each container in the template."),
			column("Pod Labels", "string", "The labels for the pod template."),
		},
		Row: func(template *corev1.PodTemplate) []any {
			names, images := containerCells(template.Template.Spec.Containers)
			return []any{template.Name, names, images, labels.FormatLabels(template.Template.Labels)}
		},
	}
}

func preparePodTemplate(template *corev1.PodTemplate) {
	template.Generation = 1
	dropUnserved(&template.Template.Spec)
	dropInitAnnotations(template.Template.Annotations)
}

// preparePodTemplateUpdate counts the changes of what the template says, not
// those of its own metadata (Kubernetes: pkg/registry/core/podtemplate).
func preparePodTemplateUpdate(template, old *corev1.PodTemplate) {
	if !usesUnserved(&old.Template.Spec) {
		dropUnserved(&template.Template.Spec)
	}
	dropInitAnnotations(template.Template.Annotations)
	if !equality.Semantic.DeepEqual(template.Template, old.Template) {
		template.Generation = old.Generation + 1
	}
}

func podTemplateWarnings(_ context.Context, template, old *corev1.PodTemplate) []string {
	if old != nil && template.Generation == old.Generation {
		return nil
	}
	return podSpecWarnings(&template.Template.Spec, field.NewPath("template"))
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"

	certificatesv1 "k8s.io/api/certificates/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// csrSide is one of the sides of a certificate signing request: who approves is
// not who signs. The zero value may write neither.
type csrSide struct {
	// approves lets Approved and Denied be set, signs the certificate.
	approves, signs bool
	prepare         func(obj, old csrObject)
	// foreign are the fields that belong to the other side.
	foreign [][]any
}

func csrStatus() csrSide {
	return csrSide{signs: true, prepare: prepareCSRStatus, foreign: [][]any{{"spec"}, {"status", "conditions"}}}
}

func csrApproval() csrSide {
	return csrSide{approves: true, prepare: prepareCSRApproval, foreign: [][]any{{"spec"}, {"status", "certificate"}}}
}

// prepareCSRStatus keeps the approval as it was. If one was added or removed, it
// is left to validation to say so.
func prepareCSRStatus(obj, old csrObject) {
	obj.Spec = old.Spec
	for _, kind := range approvals() {
		before := csrConditions(old, kind)
		if len(before) != len(csrConditions(obj, kind)) {
			continue
		}
		for i := range obj.Status.Conditions {
			if obj.Status.Conditions[i].Type == kind {
				obj.Status.Conditions[i], before = before[0], before[1:]
			}
		}
	}
	dateConditions(obj, old)
}

// prepareCSRApproval keeps everything but the conditions as it was.
func prepareCSRApproval(obj, old csrObject) {
	dateConditions(obj, old)
	conditions := obj.Status.Conditions
	obj.Spec, obj.Status = old.Spec, old.Status
	obj.Status.Conditions = conditions
}

// approvals are the conditions that only approvers set.
func approvals() []certificatesv1.RequestConditionType {
	return []certificatesv1.RequestConditionType{certificatesv1.CertificateApproved, certificatesv1.CertificateDenied}
}

// dateConditions dates the conditions that have no date. A condition that was
// there keeps the time of its last transition.
func dateConditions(obj, old csrObject) {
	now := metav1.Now()
	for i := range obj.Status.Conditions {
		condition := &obj.Status.Conditions[i]
		if condition.LastUpdateTime.IsZero() {
			condition.LastUpdateTime = now
		}
		if !condition.LastTransitionTime.IsZero() {
			continue
		}
		condition.LastTransitionTime = now
		for _, before := range csrConditions(old, condition.Type) {
			if before.Status == condition.Status && !before.LastTransitionTime.IsZero() {
				condition.LastTransitionTime = before.LastTransitionTime
				break
			}
		}
	}
}

// csrStrategy is the strategy of updates through one side.
type csrStrategy struct {
	*strategy[csrObject]
	side csrSide
}

// PrepareForUpdate keeps what this side may not change.
func (s *csrStrategy) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	s.side.prepare(obj.(csrObject), old.(csrObject))
}

// ValidateUpdate checks the metadata and what this side may change.
func (s *csrStrategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	errs := s.validateMetaUpdate(obj.(csrObject), old.(csrObject))
	return append(errs, s.side.validate(obj.(csrObject), old.(csrObject))...)
}

// GetResetFields tells server-side apply what is not for this side.
func (s *csrStrategy) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return resetFields{s.GroupVersion, s.side.foreign}.GetResetFields()
}

// resetFields tells server-side apply which fields cannot be owned somewhere.
type resetFields struct {
	version schema.GroupVersion
	paths   [][]any
}

// GetResetFields are the fields.
func (r resetFields) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	set := fieldpath.NewSet()
	for _, path := range r.paths {
		set.Insert(fieldpath.MakePathOrDie(path...))
	}
	return map[fieldpath.APIVersion]*fieldpath.Set{fieldpath.APIVersion(r.version.String()): set}
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"errors"
	"fmt"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/muster-identity/muster/authz"
)

// pcrObject is short for what this file is about.
type pcrObject = *certificatesv1.PodCertificateRequest

func podCertificateRequests() Resource {
	return &Definition[pcrObject]{
		GroupVersion: certificatesv1.SchemeGroupVersion,
		Kind:         "PodCertificateRequest", Plural: "podcertificaterequests", Singular: "podcertificaterequest",
		New:            func() pcrObject { return &certificatesv1.PodCertificateRequest{} },
		NewList:        func() runtime.Object { return &certificatesv1.PodCertificateRequestList{} },
		Default:        func(obj pcrObject) { fill(&obj.Spec.MaxExpirationSeconds, maxKubernetesCertificateSeconds) },
		PrepareCreate:  func(_ context.Context, obj pcrObject) { obj.Status = certificatesv1.PodCertificateRequestStatus{} },
		PrepareUpdate:  func(_ context.Context, obj, old pcrObject) { obj.Status = old.Status },
		ValidateCreate: validatePodCertificateRequest,
		ValidateUpdate: func(obj, old pcrObject) field.ErrorList {
			return validation.ValidateImmutableField(obj.Spec, old.Spec, field.NewPath("spec"))
		},
		Fields: func(obj pcrObject) fields.Set {
			return fields.Set{"spec.signerName": obj.Spec.SignerName, "spec.podName": obj.Spec.PodName, "spec.nodeName": string(obj.Spec.NodeName)}
		},
		Columns:        podCertificateRequestColumns(),
		Row:            podCertificateRequestRow,
		RequireVersion: true,
		Extend:         extendPodCertificateRequests,
	}
}

func podCertificateRequestColumns() []metav1.TableColumnDefinition {
	docs := certificatesv1.PodCertificateRequestSpec{}.SwaggerDoc()
	return []metav1.TableColumnDefinition{
		nameColumn(),
		column("PodName", "string", docs["podName"]),
		column("ServiceAccountName", "string", docs["serviceAccountName"]),
		column("NodeName", "string", docs["nodeName"]),
		column("SignerName", "string", docs["signerName"]),
		column("State", "string", "Is the request Pending, Issued, Denied, or Failed?"),
		column("UnverifiedUserAnnotations", "string", docs["unverifiedUserAnnotations"]),
	}
}

func podCertificateRequestRow(obj pcrObject) []any {
	state := pcrVerdict(obj)
	if state == "" {
		state = "Pending"
	}
	spec := &obj.Spec
	return []any{obj.Name, spec.PodName, spec.ServiceAccountName, string(spec.NodeName), spec.SignerName, state, labels.FormatLabels(spec.UnverifiedUserAnnotations)}
}

// extendPodCertificateRequests adds the status, which belongs to the signer.
func extendPodCertificateRequests(env Environment, store *genericregistry.Store, storage map[string]rest.Storage) error {
	if env.Services.Authorizer == nil {
		return errors.New("nobody to ask who may sign")
	}
	now := env.Services.Now
	if now == nil {
		now = time.Now
	}
	store.ResetFieldsStrategy = resetFields{certificatesv1.SchemeGroupVersion, [][]any{{"status"}}}
	main := store.UpdateStrategy.(*strategy[pcrObject])
	storage["podcertificaterequests/status"] = newStatusStorage(store, &pcrStatusStrategy{main, env.Services.Authorizer, now})
	return nil
}

// pcrStatusStrategy is the strategy of updates of the status: what a signer says,
// once.
type pcrStatusStrategy struct {
	*strategy[pcrObject]
	authorizer authorizer.UnconditionalAuthorizer
	now        func() time.Time
}

// PrepareForUpdate keeps everything but the status as it was.
func (s *pcrStatusStrategy) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	now, before := obj.(pcrObject), old.(pcrObject)
	now.Spec = before.Spec
	metav1.ResetObjectMetaForStatus(&now.ObjectMeta, &before.ObjectMeta)
}

// ValidateUpdate checks the answer of the signer, and that it is one.
func (s *pcrStatusStrategy) ValidateUpdate(ctx context.Context, obj, old runtime.Object) field.ErrorList {
	now, before := obj.(pcrObject), old.(pcrObject)
	if errs := validation.ValidateObjectMetaAccessorUpdate(now, before, field.NewPath("metadata")); len(errs) > 0 {
		return errs
	}
	errs := validatePodCertificateStatus(now, before, s.now())
	if len(errs) > 0 || equality.Semantic.DeepEqual(before.Status, now.Status) {
		return errs
	}
	path, signer := field.NewPath("spec", "signerName"), before.Spec.SignerName
	caller, ok := genericapirequest.UserFrom(ctx)
	if !ok {
		return field.ErrorList{field.Forbidden(path, `cannot determine calling user to perform "sign" check`)}
	}
	if !authz.MayAsSigner(ctx, s.authorizer, caller, "sign", signer) {
		return field.ErrorList{field.Forbidden(path, fmt.Sprintf("User %q is not permitted to \"sign\" for signer %q", caller.GetName(), signer))}
	}
	return nil
}

// WarningsOnUpdate has none.
func (s *pcrStatusStrategy) WarningsOnUpdate(context.Context, runtime.Object, runtime.Object) []string {
	return nil
}

// GetResetFields tells server-side apply what is not for this side.
func (s *pcrStatusStrategy) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return resetFields{s.GroupVersion, [][]any{{"metadata"}, {"spec"}}}.GetResetFields()
}

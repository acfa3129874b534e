// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"

	certificatesv1 "k8s.io/api/certificates/v1"
	certificatesv1beta1 "k8s.io/api/certificates/v1beta1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/duration"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/client-go/util/certificate/csr"
)

// csrObject is short for what this file is about.
type csrObject = *certificatesv1.CertificateSigningRequest

func certificateSigningRequests() Resource {
	// Kubernetes tells of its columns in the words of the version before.
	told := certificatesv1beta1.CertificateSigningRequestSpec{}.SwaggerDoc()
	return &Definition[csrObject]{
		GroupVersion: certificatesv1.SchemeGroupVersion,
		Kind:         "CertificateSigningRequest", Plural: "certificatesigningrequests", Singular: "certificatesigningrequest",
		ShortNames:    []string{"csr"},
		ClusterScoped: true,
		New:           func() csrObject { return &certificatesv1.CertificateSigningRequest{} },
		NewList:       func() runtime.Object { return &certificatesv1.CertificateSigningRequestList{} },
		// Any name will do that fits into a URL.
		Name:           func(string, bool) []string { return nil },
		PrepareCreate:  stampRequester,
		PrepareUpdate:  func(_ context.Context, obj, old csrObject) { obj.Spec, obj.Status = old.Spec, old.Status },
		ValidateCreate: validateNewCSR,
		ValidateUpdate: csrSide{}.validate,
		Fields:         func(obj csrObject) fields.Set { return fields.Set{"spec.signerName": obj.Spec.SignerName} },
		Columns: []metav1.TableColumnDefinition{
			nameColumn(), ageColumn(),
			column("SignerName", "string", told["signerName"]),
			column("Requestor", "string", told["request"]),
			column("RequestedDuration", "string", told["expirationSeconds"]),
			column("Condition", "string", certificatesv1beta1.CertificateSigningRequestStatus{}.SwaggerDoc()["conditions"]),
		},
		Row:    csrRow,
		Extend: extendCSRs,
	}
}

// extendCSRs adds the two sides by which a request changes.
func extendCSRs(env Environment, store *genericregistry.Store, storage map[string]rest.Storage) error {
	main := store.UpdateStrategy.(*strategy[csrObject])
	store.ResetFieldsStrategy = resetFields{certificatesv1.SchemeGroupVersion, [][]any{{"spec"}, {"status"}}}
	status := newStatusStorage(store, &csrStrategy{main, csrStatus()})
	if counts := env.Services.CertificateMetrics; counts != nil {
		status.store.BeginUpdate = counts.beginUpdate
	}
	storage["certificatesigningrequests/status"] = status
	storage["certificatesigningrequests/approval"] = newStatusStorage(store, &csrStrategy{main, csrApproval()})
	return nil
}

// stampRequester enters who asks, whatever the request says of that, and lets
// nothing be approved beforehand.
func stampRequester(ctx context.Context, obj csrObject) {
	spec := &obj.Spec
	spec.Username, spec.UID, spec.Groups, spec.Extra = "", "", nil, nil
	if requester, ok := genericapirequest.UserFrom(ctx); ok {
		spec.Username, spec.UID, spec.Groups = requester.GetName(), requester.GetUID(), requester.GetGroups()
		for key, values := range requester.GetExtra() {
			if spec.Extra == nil {
				spec.Extra = map[string]certificatesv1.ExtraValue{}
			}
			spec.Extra[key] = values
		}
	}
	obj.Status = certificatesv1.CertificateSigningRequestStatus{Conditions: []certificatesv1.CertificateSigningRequestCondition{}}
}

func csrRow(obj csrObject) []any {
	signer, lasting := obj.Spec.SignerName, "<none>"
	if signer == "" {
		signer = "<none>"
	}
	if seconds := obj.Spec.ExpirationSeconds; seconds != nil {
		lasting = duration.HumanDuration(csr.ExpirationSecondsToDuration(*seconds))
	}
	return []any{obj.Name, age(obj), signer, obj.Spec.Username, lasting, csrCondition(obj)}
}

// csrCondition is the state of a request in a word or three. A denial outweighs
// an approval.
func csrCondition(obj csrObject) string {
	has := func(kind certificatesv1.RequestConditionType) bool { return len(csrConditions(obj, kind)) > 0 }
	state := "Pending"
	switch {
	case has(certificatesv1.CertificateDenied):
		state = "Denied"
	case has(certificatesv1.CertificateApproved):
		state = "Approved"
	}
	if has(certificatesv1.CertificateFailed) {
		state += ",Failed"
	}
	if len(obj.Status.Certificate) > 0 {
		state += ",Issued"
	}
	return state
}

// csrConditions are the conditions of one type.
func csrConditions(obj csrObject, kind certificatesv1.RequestConditionType) []certificatesv1.CertificateSigningRequestCondition {
	var found []certificatesv1.CertificateSigningRequestCondition
	for _, condition := range obj.Status.Conditions {
		if condition.Type == kind {
			found = append(found, condition)
		}
	}
	return found
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"crypto/x509"
	"fmt"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/muster-identity/muster/authority"
)

// approvalPause is after how long a request is looked at again whose maker may
// not have it approved yet: a binding may come.
const approvalPause = 30 * time.Second

// csrApproval approves requests for the client certificates of kubelets, if
// whoever made them may have that: a node for itself (selfnodeclient), a
// bootstrapper for any node (nodeclient). All other requests wait for somebody.
// Kubernetes: pkg/controller/certificates/approver.
type csrApproval struct {
	client client.Client
	direct client.Client
}

func newCSRApproval(c, direct client.Client) *csrApproval {
	return &csrApproval{client: c, direct: direct}
}

func (a *csrApproval) register(m manager.Manager) error {
	return watching(m, "csr-approval", 2).
		For(&certificatesv1.CertificateSigningRequest{}).
		Complete(ordinary(a))
}

// Reconcile approves a request, if it is one of these and nobody has decided.
func (a *csrApproval) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	csr := &certificatesv1.CertificateSigningRequest{}
	if err := a.client.Get(ctx, request.NamespacedName, csr); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	if approved, denied := verdict(csr); approved || denied || len(csr.Status.Certificate) > 0 {
		return reconcile.Result{}, nil
	}
	parsed, err := authority.ParseRequest(csr.Spec.Request)
	if err != nil { // it was read when it was made
		return reconcile.Result{}, reconcile.TerminalError(fmt.Errorf("reading certificate signing request %q: %w", csr.Name, err))
	}
	permissions := approvable(csr, parsed)
	for _, permission := range permissions {
		allowed, err := a.may(ctx, csr, permission.subresource)
		if err != nil {
			return reconcile.Result{}, err
		}
		if allowed {
			return reconcile.Result{}, a.approve(ctx, csr, permission.message)
		}
	}
	if len(permissions) > 0 {
		return reconcile.Result{RequeueAfter: approvalPause}, nil
	}
	return reconcile.Result{}, nil
}

// approvalRight is a right by which a request is approved.
type approvalRight struct {
	subresource string // of certificatesigningrequests; the verb is create
	message     string
}

// approvable are the rights of which one is enough to have a request approved;
// none for requests that are not approved here.
func approvable(csr *certificatesv1.CertificateSigningRequest, parsed *x509.CertificateRequest) []approvalRight {
	if csr.Spec.SignerName != certificatesv1.KubeAPIServerClientKubeletSignerName || checkKubeletClient(parsed, csr.Spec.Usages) != nil {
		return nil
	}
	any := approvalRight{"nodeclient", "Auto approving kubelet client certificate after SubjectAccessReview."}
	if csr.Spec.Username != parsed.Subject.CommonName {
		return []approvalRight{any}
	}
	return []approvalRight{{"selfnodeclient", "Auto approving self kubelet client certificate after SubjectAccessReview."}, any}
}

// may asks whether whoever made the request has a right.
func (a *csrApproval) may(ctx context.Context, csr *certificatesv1.CertificateSigningRequest, subresource string) (bool, error) {
	extra := map[string]authorizationv1.ExtraValue{}
	for key, values := range csr.Spec.Extra {
		extra[key] = authorizationv1.ExtraValue(values)
	}
	review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: csr.Spec.Username, UID: csr.Spec.UID, Groups: csr.Spec.Groups, Extra: extra,
		ResourceAttributes: &authorizationv1.ResourceAttributes{
			Group: certificatesv1.GroupName, Version: "*", Resource: "certificatesigningrequests", Subresource: subresource, Verb: "create",
		},
	}}
	if err := a.direct.Create(ctx, review); err != nil {
		return false, fmt.Errorf("asking whether %q may have certificate signing request %q approved: %w", csr.Spec.Username, csr.Name, err)
	}
	return review.Status.Allowed, nil
}

func (a *csrApproval) approve(ctx context.Context, csr *certificatesv1.CertificateSigningRequest, message string) error {
	addCondition(csr, certificatesv1.CertificateApproved, "AutoApproved", message)
	if err := a.direct.SubResource("approval").Update(ctx, csr); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("approving certificate signing request %q: %w", csr.Name, err)
	}
	return nil
}

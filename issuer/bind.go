// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package issuer

import (
	"context"
	"fmt"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/muster-identity/muster/live"
	"github.com/muster-identity/muster/token"
)

// bind is step 7: it finds the object that the token is to be bound to.
// Without a UID in the reference, the object that has the name now is meant.
func (i *Issuer) bind(ctx context.Context, account live.ServiceAccount, spec *authenticationv1.TokenRequestSpec, now time.Time) (token.Binding, error) {
	to := spec.BoundObjectRef
	if to == nil {
		return token.Binding{}, nil
	}
	gvk := schema.FromAPIVersionAndKind(to.APIVersion, to.Kind)
	binding, uid, err := i.find(ctx, account, gvk, spec, now)
	if err != nil {
		return token.Binding{}, err
	}
	if to.UID != "" && to.UID != uid {
		return token.Binding{}, apierrors.NewConflict(resource(gvk.GroupKind()), to.Name, fmt.Errorf(
			"the UID in the bound object reference (%s) does not match the UID in record. The object might have been deleted and then recreated", to.UID,
		))
	}
	return binding, nil
}

// find looks the object up. Of the core kinds the version does not matter, as
// in Kubernetes.
func (i *Issuer) find(ctx context.Context, account live.ServiceAccount, gvk schema.GroupVersionKind, spec *authenticationv1.TokenRequestSpec, now time.Time) (token.Binding, types.UID, error) {
	if i.Attesters != nil && isWebhook(spec.BoundObjectRef.APIVersion, spec.BoundObjectRef.Kind) {
		return i.findWebhook(ctx, account, spec, now)
	}
	name := spec.BoundObjectRef.Name
	var look func(context.Context, live.ServiceAccount, string) (token.Binding, types.UID, error)
	switch gvk.GroupKind() {
	case schema.GroupKind{Kind: "Pod"}:
		look = i.findPod
	case schema.GroupKind{Kind: "Node"}:
		look = i.findNode
	case schema.GroupKind{Kind: "Secret"}:
		look = i.findSecret
	default:
		return token.Binding{}, "", cannotBind(gvk)
	}
	if err := checkName(name); err != nil {
		return token.Binding{}, "", err
	}
	return look(ctx, account, name)
}

// cannotBind tells of a kind that a token cannot be bound to. Webhook
// configurations are among them while their feature gate is off.
func cannotBind(gvk schema.GroupVersionKind) error {
	gated := ""
	if isWebhook(gvk.GroupVersion().String(), gvk.Kind) {
		gated = " (feature gate APIServerWebhookAuthenticationToken is disabled)"
	}
	return apierrors.NewBadRequest(fmt.Sprintf("cannot bind token to object of type %s%s", gvk, gated))
}

func isWebhook(apiVersion, kind string) bool {
	return apiVersion == admissionregistrationv1.SchemeGroupVersion.String() &&
		(kind == "ValidatingWebhookConfiguration" || kind == "MutatingWebhookConfiguration")
}

func (i *Issuer) findPod(ctx context.Context, account live.ServiceAccount, name string) (token.Binding, types.UID, error) {
	pod, err := i.Objects.Pod(ctx, account.Namespace, name)
	if err != nil {
		return token.Binding{}, "", err
	}
	if pod.ServiceAccount != account.Name {
		return token.Binding{}, "", apierrors.NewBadRequest(fmt.Sprintf(
			"cannot bind token for serviceaccount %q to pod running with different serviceaccount name.", account.Name,
		))
	}
	node, err := i.nodeOf(ctx, pod)
	if err != nil {
		return token.Binding{}, "", err
	}
	return token.ToPod(ref(pod.Meta), node), pod.UID, nil
}

// nodeOf is where the pod runs, if anywhere. Of a node that does not exist the
// token tells the name alone: a reader still learns where the pod should be.
func (i *Issuer) nodeOf(ctx context.Context, pod live.Pod) (*token.Ref, error) {
	if pod.NodeName == "" {
		return nil, nil
	}
	node, err := i.Objects.Node(ctx, pod.NodeName)
	if apierrors.IsNotFound(err) {
		return &token.Ref{Name: pod.NodeName}, nil
	}
	if err != nil {
		return nil, apierrors.NewInternalError(err)
	}
	found := ref(node.Meta)
	return &found, nil
}

func (i *Issuer) findNode(ctx context.Context, _ live.ServiceAccount, name string) (token.Binding, types.UID, error) {
	node, err := i.Objects.Node(ctx, name)
	if err != nil {
		return token.Binding{}, "", err
	}
	return token.ToNode(ref(node.Meta)), node.UID, nil
}

func (i *Issuer) findSecret(ctx context.Context, account live.ServiceAccount, name string) (token.Binding, types.UID, error) {
	secret, err := i.Objects.Secret(ctx, account.Namespace, name)
	if err != nil {
		return token.Binding{}, "", err
	}
	return token.ToSecret(ref(secret.Meta)), secret.UID, nil
}

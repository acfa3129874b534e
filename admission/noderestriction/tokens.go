// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package noderestriction

import (
	"context"
	"fmt"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/admission"

	"github.com/muster-identity/muster/live"
)

// admitToken lets a node have tokens that are bound to one of its pods, for the
// audiences that the pod asks for. The node's own claim in the token follows from
// the pod, so that a node cannot make one up.
func (p *Plugin) admitToken(ctx context.Context, r request) error {
	if r.GetOperation() != admission.Create || r.GetSubresource() != "token" {
		return nil
	}
	asked, err := object[*authenticationv1.TokenRequest](r)
	if err != nil {
		return err
	}
	ref := asked.Spec.BoundObjectRef
	if ref == nil || ref.APIVersion != "v1" || ref.Kind != "Pod" || ref.Name == "" {
		return r.forbid("node requested token not bound to a pod")
	}
	if ref.UID == "" {
		return r.forbid("node requested token with a pod binding without a uid")
	}
	pod, err := p.lookups.pod(ctx, r.GetNamespace(), ref.Name)
	switch {
	case apierrors.IsNotFound(err):
		return err
	case err != nil:
		return r.forbid("%w", err)
	case ref.UID != pod.UID:
		return r.forbid("the UID in the bound object reference (%s) does not match the UID in record. The object might have been deleted and then recreated", ref.UID)
	case pod.NodeName != r.node:
		return r.forbid("node requested token bound to a pod scheduled on a different node")
	}
	if err := p.checkAudience(ctx, r, asked.Spec.Audiences, &pod); err != nil {
		return r.forbid("%w", err)
	}
	return nil
}

// checkAudience looks for the audience in the token volumes of the pod; no
// audience is that of the API. What the drivers of volumes ask for could be known
// by their CSIDrivers alone, which are not served, so that it is up to the
// authorizer.
func (p *Plugin) checkAudience(ctx context.Context, r request, audiences []string, pod *live.Pod) error {
	if len(audiences) > 1 {
		return fmt.Errorf("node may only request 0 or 1 audiences")
	}
	audience := ""
	if len(audiences) == 1 {
		audience = audiences[0]
	}
	if pod.Refers(live.AudienceReference, audience) {
		return nil
	}
	user := r.GetUserInfo().GetName()
	may, err := p.mayRequest(ctx, r, "request-serviceaccounts-token-audience", audience, r.GetName())
	switch {
	case may:
		return nil
	case err != nil:
		return fmt.Errorf("error authorizing %s to request tokens for audience %q: %w", user, audience, err)
	default:
		return fmt.Errorf("%s is not authorized to request tokens for audience %q", user, audience)
	}
}

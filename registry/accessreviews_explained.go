// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"

	"github.com/muster-identity/muster/rbac"
)

// AccessExplainer tells why RBAC does not allow a request.
type AccessExplainer interface {
	// Nearest returns what u holds that comes nearest to a request, the nearest
	// first (rbac.Index.Nearest). Calls may overlap.
	Nearest(u user.Info, namespace string, q rbac.Request) []rbac.Miss
}

// mostMisses is how many grants a reason tells of.
const mostMisses = 3

// reasons adds to access reviews why nothing allows what they ask about.
type reasons struct {
	explainer  AccessExplainer
	authorizer authorizer.UnconditionalAuthorizer
}

// add explains a review that nobody had an opinion on to callers who may list the
// bindings of all namespaces, for bindings are what it tells of. To all others,
// and of what is allowed or denied, the review stays Kubernetes' to the letter.
func (r reasons) add(ctx context.Context, status *authorizationv1.SubjectAccessReviewStatus, about authorizer.Attributes) {
	if r.explainer == nil || status.Allowed || status.Denied || !r.entitled(ctx) {
		return
	}
	misses := r.explainer.Nearest(about.GetUser(), about.GetNamespace(), rbac.RequestOf(about))
	if len(misses) == 0 {
		return
	}
	var texts []string
	for _, miss := range misses[:min(len(misses), mostMisses)] {
		texts = append(texts, miss.Says)
	}
	nearest := "nearest: " + strings.Join(texts, "; ")
	if status.Reason != "" {
		nearest = status.Reason + "; " + nearest
	}
	status.Reason = nearest
}

// entitled tells whether the caller may list all bindings.
func (r reasons) entitled(ctx context.Context) bool {
	caller, ok := genericapirequest.UserFrom(ctx)
	if !ok {
		return false
	}
	for _, resource := range []string{"clusterrolebindings", "rolebindings"} {
		decision, _, err := r.authorizer.Authorize(ctx, authorizer.AttributesRecord{
			User: caller, Verb: "list",
			APIGroup: rbacv1.GroupName, APIVersion: rbacv1.SchemeGroupVersion.Version,
			Resource: resource, ResourceRequest: true,
		})
		if err != nil || decision != authorizer.DecisionAllow {
			return false
		}
	}
	return true
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package hotlane

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/types"
	auditinternal "k8s.io/apiserver/pkg/apis/audit"
	"k8s.io/apiserver/pkg/audit"
	genericapifilters "k8s.io/apiserver/pkg/endpoints/filters"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
)

// Audit is where the general path records requests, and how much of them. The zero
// Audit records nothing.
type Audit struct {
	Sink   audit.Sink
	Policy audit.PolicyRuleEvaluator
}

func (a Audit) enabled() bool { return a.Sink != nil && a.Policy != nil }

// wantsObjects tells whether the record of a request has its objects in it, as the
// general path decodes and encodes them: that path serves such a request.
func (a Audit) wantsObjects(p *passage) bool {
	if !a.enabled() {
		return false
	}
	ctx := genericapirequest.WithRequestInfo(context.Background(), p.route.info)
	ctx = genericapirequest.WithUser(ctx, p.caller.User)
	attributes, err := genericapifilters.GetAuthorizerAttributes(ctx)
	return err != nil || !a.Policy.EvaluatePolicyRule(attributes).Level.Less(auditinternal.LevelRequest)
}

// begin gives a request a record, into which all that follows may write.
func (a Audit) begin(ctx context.Context, id string, received time.Time) context.Context {
	if !a.enabled() {
		return ctx
	}
	ctx = audit.WithAuditContext(genericapirequest.WithReceivedTimestamp(ctx, received))
	audit.WithAuditID(ctx, types.UID(id))
	return ctx
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"maps"
	"net/http"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/group"
	"k8s.io/apiserver/pkg/authentication/request/x509"
	"k8s.io/apiserver/pkg/registry/rest"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"

	"github.com/muster-identity/muster/server/hotlane"
)

// addHotLane puts the hot lane before the handler chain, unless it is turned off
// or the chain is to do more to each request than the lane knows of.
func (h *house) addHotLane(config *genericapiserver.Config, scheme *runtime.Scheme) {
	if !h.server.Options.HotLane {
		return
	}
	build := config.BuildHandlerChainFunc
	config.BuildHandlerChainFunc = func(handler http.Handler, c *genericapiserver.Config) http.Handler {
		general := build(handler, c)
		if len(c.HSTSDirectives) > 0 || c.GoawayChance > 0 {
			return general
		}
		h.server.lane = hotlane.New(hotlane.Config{
			General: general,
			Callers: hotlane.Callers{
				Seen:         h.seen,
				Certificates: h.certificates(h.userCAs),
			},
			Authorizer: c.Authorization.Authorizer,
			Audit:      hotlane.Audit{Sink: c.AuditBackend, Policy: c.AuditPolicyRuleEvaluator},
			Admission:  c.AdmissionControl,
			Objects:    admission.NewObjectInterfacesFromScheme(scheme),
			Serializer: c.Serializer,
			Storage:    h.answerers,
			Documents:  h.documents,
			Reading:    handler,
			Patience:   c.RequestTimeout,
			Requests:   c.RequestInfoResolver,
			InFlight:   c.MaxMutatingRequestsInFlight,
			Enter:      func() error { return c.NonLongRunningRequestWaitGroup.Add(1) },
			Leave:      c.NonLongRunningRequestWaitGroup.Done,
			Now:        h.server.Now,
		})
		return h.server.lane
	}
}

// seen tells who holds a token that was verified before.
func (h *house) seen(ctx context.Context, compact string) (hotlane.Caller, bool) {
	holder, seen, err := h.tokens.CheckSeen(ctx, compact, h.tokens.APIAudiences)
	if !seen || err != nil {
		return hotlane.Caller{}, false
	}
	response := &authenticator.Response{User: holder.User, Audiences: holder.Audiences}
	return hotlane.Caller{Response: response, Used: holder.Used}, true
}

// certificates remembers verified client certificates.
func (h *house) certificates(ca dynamiccertificates.CAContentProvider) *hotlane.Certificates {
	verify := group.NewAuthenticatedGroupAdder(x509.NewDynamic(ca.VerifyOptions, x509.CommonNameUserConversion))
	known := hotlane.NewCertificates(verify, ca.CurrentCABundleContent, h.server.Now)
	ca.AddListener(known)
	return known
}

// answerersOf are the storages of the v1 groups, by the name of their resource
// alone.
func answerersOf(groups map[schema.GroupVersion]map[string]rest.Storage) map[string]rest.Storage {
	all := map[string]rest.Storage{}
	for version, storages := range groups {
		if version.Version == "v1" {
			maps.Copy(all, storages)
		}
	}
	return all
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/pflag"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"

	"github.com/muster-identity/muster/controller"
	"github.com/muster-identity/muster/keyring/rotation"
	"github.com/muster-identity/muster/registry"
	"github.com/muster-identity/muster/token"
)

// ControllerOptions are the settings of what happens without anyone asking. The
// flags are those of kube-controller-manager.
type ControllerOptions struct {
	// LeaderElect lets one of the servers of an external store keep the promises
	// (--leader-elect); without it each does. Election is by what terms.
	LeaderElect bool
	Election    controller.Election
	// LegacyTokenCleanUpPeriod is how long a token that Kubernetes once put into a
	// Secret by itself may be unused before it is refused, and then before its
	// Secret is deleted (--legacy-service-account-token-clean-up-period).
	LegacyTokenCleanUpPeriod time.Duration
	// TerminatedPodThreshold is how many pods that have ended may stay; zero or
	// less: all (--terminated-pod-gc-threshold).
	TerminatedPodThreshold int
}

func newControllerOptions() ControllerOptions {
	return ControllerOptions{
		LeaderElect:              true,
		Election:                 controller.Election{LeaseDuration: 15 * time.Second, RenewDeadline: 10 * time.Second, RetryPeriod: 2 * time.Second},
		LegacyTokenCleanUpPeriod: 365 * 24 * time.Hour,
		TerminatedPodThreshold:   12500,
	}
}

func (o *ControllerOptions) addFlags(fs *pflag.FlagSet) {
	fs.BoolVar(&o.LeaderElect, "leader-elect", o.LeaderElect, "Of several servers that share --etcd-servers, let one run the controllers. Without it each does, to the same end.")
	fs.DurationVar(&o.Election.LeaseDuration, "leader-elect-lease-duration", o.Election.LeaseDuration, "How long the other servers wait before they take over from a leader that is silent. One that is stopped hands over at once.")
	fs.DurationVar(&o.Election.RenewDeadline, "leader-elect-renew-deadline", o.Election.RenewDeadline, "After how long a leader that cannot renew its lease gives up. Less than --leader-elect-lease-duration.")
	fs.DurationVar(&o.Election.RetryPeriod, "leader-elect-retry-period", o.Election.RetryPeriod, "Time between two tries to become the leader, or to renew the lease.")
	fs.DurationVar(&o.LegacyTokenCleanUpPeriod, "legacy-service-account-token-clean-up-period", o.LegacyTokenCleanUpPeriod, "How long a token in a Secret that Kubernetes once made by itself may be unused: then it is refused, and after as long again its Secret is deleted. Secrets made by hand stay.")
	fs.IntVar(&o.TerminatedPodThreshold, "terminated-pod-gc-threshold", o.TerminatedPodThreshold, "How many pods that have ended may stay before the oldest are deleted. 0 or less: any number.")
}

func (o *ControllerOptions) validate() []error {
	var errs []error
	if err := o.Election.Validate(); o.LeaderElect && err != nil {
		errs = append(errs, err)
	}
	if period := o.LegacyTokenCleanUpPeriod; period <= 0 {
		errs = append(errs, fmt.Errorf("--legacy-service-account-token-clean-up-period %s must be longer than zero", period))
	}
	return errs
}

// election is how this server is chosen among those of its store; nil if there is
// nobody else, or each may act.
func (s *Server) election() *controller.Election {
	o := &s.Options.Controllers
	if !o.LeaderElect || len(s.Options.Etcd.StorageConfig.Transport.ServerList) == 0 {
		return nil
	}
	return &o.Election
}

// legacySigner signs the tokens of Secrets; nil with an external signer, which
// signs nothing that does not expire.
//
// Such a token lasts as long as its Secret: its key is kept for as long as any
// token can live, and is not taken out by a rotation, only by name.
func (h *house) legacySigner() func(context.Context, controller.LegacyToken) (string, error) {
	if h.server.signer != nil {
		return nil
	}
	return func(ctx context.Context, t controller.LegacyToken) (string, error) {
		payload, err := token.Claims{
			Issuer: token.LegacyIssuer, Subject: serviceaccount.MakeUsername(t.Namespace, t.Account),
			Kubernetes: token.Kubernetes{
				Namespace: t.Namespace, ServiceAccount: token.Ref{Name: t.Account, UID: string(t.AccountUID)},
				Secret: &token.Ref{Name: t.Secret},
			},
		}.EncodeLegacy()
		if err != nil {
			return "", err
		}
		return h.opened.signer.Sign(ctx, payload, rotation.MaxLongest)
	}
}

// controlled are the stored resources, each once.
func controlled(resources []registry.Resource) []controller.Resource {
	var all []controller.Resource
	for _, resource := range resources {
		name := resource.GroupVersionResource()
		kinded, ok := resource.(interface {
			GroupVersionKind() schema.GroupVersionKind
		})
		// Two groups serve the same events; one is enough.
		if !ok || !resource.Stored() || name.Group == eventsv1.GroupName {
			continue
		}
		all = append(all, controller.Resource{GroupVersionResource: name, Kind: kinded.GroupVersionKind().Kind, Namespaced: resource.Namespaced()})
	}
	return all
}

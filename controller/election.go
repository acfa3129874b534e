// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"
	"os"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/client-go/tools/record"
	"k8s.io/klog/v2"
)

// electionLease, in kube-system, names the server that keeps the promises when
// several share a store.
const electionLease = "muster-controllers"

// Election is by what terms one of several servers of a store is chosen to keep
// the promises. The values are those of kube-controller-manager's flags.
type Election struct {
	// LeaseDuration is how long the others wait for a leader that is silent
	// (--leader-elect-lease-duration).
	LeaseDuration time.Duration
	// RenewDeadline is after how long a leader that cannot renew its lease gives
	// up (--leader-elect-renew-deadline); less than LeaseDuration.
	RenewDeadline time.Duration
	// RetryPeriod is the time between two tries, to lead or to renew
	// (--leader-elect-retry-period); less than RenewDeadline.
	RetryPeriod time.Duration
}

// Validate tells what cannot work, in the names of the flags.
func (e Election) Validate() error {
	switch {
	case e.RetryPeriod <= 0:
		return fmt.Errorf("--leader-elect-retry-period %s must be longer than zero", e.RetryPeriod)
	case float64(e.RenewDeadline) <= leaderelection.JitterFactor*float64(e.RetryPeriod):
		return fmt.Errorf("--leader-elect-renew-deadline %s must be longer than %g times --leader-elect-retry-period %s", e.RenewDeadline, leaderelection.JitterFactor, e.RetryPeriod)
	case e.LeaseDuration <= e.RenewDeadline:
		return fmt.Errorf("--leader-elect-lease-duration %s must be longer than --leader-elect-renew-deadline %s", e.LeaseDuration, e.RenewDeadline)
	}
	return nil
}

// candidate is this server in the election.
type candidate struct {
	Election
	config *rest.Config
	events record.EventRecorder
	name   string
}

func newCandidate(e Election, config *rest.Config, events record.EventRecorder) (*candidate, error) {
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("standing for leader: %w", err)
	}
	config = rest.CopyConfig(config)
	config.Timeout = max(e.RenewDeadline/2, time.Second)
	return &candidate{e, config, events, host + "_" + string(uuid.NewUUID())}, nil
}

// stand does the work whenever this server leads, until ctx ends:
//
//  1. It takes the lease, or waits until it can.
//  2. It works, and renews the lease meanwhile.
//  3. If the lease is lost, the work is told to end; the next term begins when it
//     has.
//  4. When ctx ends, the work ends first, and then the lease is given back, so
//     that another server need not wait for it to expire.
func (c *candidate) stand(ctx context.Context, work func(context.Context)) error {
	for ctx.Err() == nil {
		if err := c.term(ctx, work); err != nil {
			return err
		}
	}
	return nil
}

func (c *candidate) term(ctx context.Context, work func(context.Context)) error {
	clients, err := kubernetes.NewForConfig(c.config)
	if err != nil {
		return fmt.Errorf("standing for leader: %w", err)
	}
	// The lease outlives ctx for as long as the work takes to end.
	holding, release := context.WithCancel(context.WithoutCancel(ctx))
	defer release()
	began, ended := make(chan struct{}), make(chan struct{})
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock: &resourcelock.LeaseLock{
			LeaseMeta:  metav1.ObjectMeta{Namespace: metav1.NamespaceSystem, Name: electionLease},
			Client:     clients.CoordinationV1(),
			LockConfig: resourcelock.ResourceLockConfig{Identity: c.name, EventRecorder: c.events},
		},
		LeaseDuration: c.LeaseDuration, RenewDeadline: c.RenewDeadline, RetryPeriod: c.RetryPeriod,
		ReleaseOnCancel: true,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(leading context.Context) {
				defer close(ended)
				close(began)
				if ctx.Err() != nil {
					return
				}
				working, stop := context.WithCancel(ctx)
				defer context.AfterFunc(leading, stop)()
				defer stop()
				work(working)
				release()
			},
			OnStoppedLeading: func() {},
		},
	})
	if err != nil {
		return fmt.Errorf("standing for leader: %w", err)
	}
	// Who does not lead has nothing to wait for.
	defer context.AfterFunc(ctx, func() {
		select {
		case <-began:
		default:
			release()
		}
	})()
	elector.Run(klog.NewContext(holding, logger()))
	select {
	case <-began:
		<-ended
	case <-ctx.Done(): // before it led
	}
	return nil
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"fmt"
	"net/netip"
	"sync/atomic"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apimachinery/pkg/util/wait"
	genericapiserver "k8s.io/apiserver/pkg/server"
	rbacv1client "k8s.io/client-go/kubernetes/typed/rbac/v1"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"

	"github.com/muster-identity/muster/controller"
	"github.com/muster-identity/muster/rbac/bootstrap"
	"github.com/muster-identity/muster/registry"
)

// hook is something that runs once the server listens. The server is ready when
// all of them have returned.
type hook struct {
	name string
	run  func(ctx context.Context) error
}

// hooks are what makes a listening server ready. They run at the same time.
func (h *house) hooks(resources []registry.Resource, scheme *runtime.Scheme) ([]hook, error) {
	s := h.server
	client, err := controller.NewClient(s.loopback)
	if err != nil {
		return nil, err
	}
	service, ok := netip.AddrFromSlice(s.addresses.service)
	if !ok {
		return nil, fmt.Errorf("the address of the service default/kubernetes is odd: %s", s.addresses.service)
	}
	service = service.Unmap()
	controllers, err := controller.New(controller.Config{
		Client: s.loopback, Resources: controlled(resources),
		ServiceIP: service, SecurePort: s.addresses.port,
		LegacyTokenUses: h.legacyUses, SignLegacyToken: h.legacySigner(),
		LegacyTokenCleanUpPeriod: s.Options.Controllers.LegacyTokenCleanUpPeriod,
		TerminatedPodThreshold:   s.Options.Controllers.TerminatedPodThreshold,
		Election:                 s.election(), Now: s.Now,
		Signing:            controller.Signing{Signers: h.signers(), Longest: s.Options.Signing.Duration},
		ServingAuthorities: s.credentials.trustBundle,
		CheckPolicyTypes:   policyTypes(resources, scheme),
		Metrics:            h.kept,
	})
	if err != nil {
		return nil, err
	}
	return []hook{
		{"live-view", h.feed},
		{"admission", h.awaitAdmission},
		// Default roles live in system namespaces.
		{"rbac/bootstrap-roles", func(ctx context.Context) error {
			if err := controller.EnsureSystemNamespaces(ctx, client); err != nil {
				return err
			}
			if err := controller.EnsureKubernetesService(ctx, client, service, s.addresses.port); err != nil {
				return err
			}
			if err := h.bootstrapRoles(ctx); err != nil {
				return err
			}
			return controller.EnsureAggregation(ctx, client)
		}},
		{"controllers", h.controllers.starting(func(ctx context.Context) error {
			// They read as much again as the live view does, and nobody waits for them.
			select {
			case <-h.ready:
			case <-ctx.Done():
			}
			return controllers.Run(ctx)
		})},
		{"certificate-renewal", h.renewCertificates},
		{"authentication-config", h.reloadConfiguration},
		{"authorization-config", h.reloadAuthorization},
		{"signing-keys", h.followKeys},
		{"certificate-authorities", h.followAuthorities},
	}, nil
}

// bootstrapRoles brings the default roles and bindings into the store.
func (h *house) bootstrapRoles(ctx context.Context) error {
	client, err := rbacv1client.NewForConfig(h.server.loopback)
	if err != nil {
		return fmt.Errorf("making a client for the default roles: %w", err)
	}
	return bootstrap.Reconcile(ctx, bootstrap.Clients{
		ClusterRoles:        client.ClusterRoles(),
		ClusterRoleBindings: client.ClusterRoleBindings(),
		Roles:               client.Roles(metav1.NamespaceSystem),
		RoleBindings:        client.RoleBindings(metav1.NamespaceSystem),
	})
}

// addHooks registers what a server does between listening and being ready.
func (h *house) addHooks(api *genericapiserver.GenericAPIServer, hooks []hook) error {
	for _, hook := range hooks {
		err := api.AddPostStartHook(hook.name, func(ctx genericapiserver.PostStartHookContext) error {
			// The library ends the process over a hook that fails; a server
			// that is a value ends itself and says why.
			if err := hook.run(ctx); err != nil {
				h.server.fail(fmt.Errorf("start hook %q: %w", hook.name, err))
				<-ctx.Done() // never ready
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("adding the start hook %q: %w", hook.name, err)
		}
	}
	return nil
}

// worker is a part of the server that is a client of it: it starts when the
// server listens and has ended before the server stops to answer.
type worker struct {
	// server is where its connections lead.
	server  *Server
	ctx     context.Context
	cancel  context.CancelFunc
	started atomic.Bool
	ended   chan struct{}
}

func newWorker(s *Server) *worker {
	ctx, cancel := context.WithCancel(context.Background())
	return &worker{server: s, ctx: ctx, cancel: cancel, ended: make(chan struct{})}
}

// starting returns a start hook that sets work going.
func (w *worker) starting(work func(context.Context) error) func(context.Context) error {
	return func(context.Context) error {
		w.started.Store(true)
		go func() {
			defer close(w.ended)
			if err := work(w.ctx); err != nil {
				klog.ErrorS(err, "the controllers have stopped")
			}
		}()
		return nil
	}
}

// stop ends the work, waits for its end, and hangs up: an idle connection would
// hold up the end of the server for a second.
func (w *worker) stop() error {
	w.cancel()
	if w.started.Load() {
		<-w.ended
	}
	transport, err := rest.TransportFor(w.server.loopback) // shares its connections with all others
	if err != nil {
		return fmt.Errorf("ending the connections of the controllers: %w", err)
	}
	utilnet.CloseIdleConnectionsFor(transport)
	return nil
}

// feed starts the live view's watches and returns when all of them have listed
// what exists.
func (h *house) feed(ctx context.Context) error {
	resources := h.view.Resources()
	listed := make(chan struct{}, len(resources))
	for _, resource := range resources {
		if err := h.follow(ctx, resource, func() { listed <- struct{}{} }); err != nil {
			return err
		}
	}
	for range resources {
		select {
		case <-listed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

func (h *house) follow(ctx context.Context, resource schema.GroupResource, listed func()) error {
	listWatch, example, err := h.origin.listWatch(resource)
	if err != nil {
		return err
	}
	h.background.Go(func() {
		if err := h.view.Feed(ctx, resource, listWatch, example, listed); err != nil {
			klog.ErrorS(err, "the live view does not follow", "resource", resource)
		}
	})
	return nil
}

// renewalPeriod is how often a running server looks whether certificates are due.
const renewalPeriod = 12 * time.Hour

// renewCertificates keeps the certificates from running out.
func (h *house) renewCertificates(ctx context.Context) error {
	h.background.Go(func() {
		// The start has just looked: the first time is a period from now. The
		// only error is that of ctx.
		_ = wait.PollUntilContextCancel(ctx, renewalPeriod, false, func(context.Context) (bool, error) {
			if err := h.server.credentials.ensure(); err != nil {
				klog.ErrorS(err, "renewing certificates")
			}
			return false, nil
		})
	})
	return nil
}

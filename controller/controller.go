// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

// Package controller keeps promises about the store: that every namespace has
// its default account and its CA bundle, that a namespace that ends is emptied,
// that aggregated roles hold what they select, that pods and leases whose holder
// is gone are gone too, that revocations go with the last token they cover, that
// a Secret tells when its token was last used. One file per promise.
//
// Each controller compares what is with what should be and makes one step, again
// at every event and after every failure; none remembers what it did before. They
// see the server only through its API, as any other client does: a shared watch
// cache for reading (cache.go), requests for writing. The server room builds a
// Manager and runs it as long as it serves. What must hold before the server is
// ready, or before a creation is answered, is exported apart (EnsureSystemNamespaces,
// EnsureKubernetesService, NamespaceStarter), so that nobody waits for caches.
//
// What follows a write at once (a void token, a rule in force) is not done here
// but in the room live.
package controller

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	runtimecontroller "sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// Config is what the controllers need to know. Fields are required unless they
// say otherwise.
type Config struct {
	// Client reaches the API server, as a member of system:masters. Its limits on
	// the rate of requests are not heeded: flow control is the server's.
	Client *rest.Config
	// RootCA is the PEM bundle that verifies the server, as published in every
	// namespace.
	RootCA []byte
	// Namespaced are the stored resources that live in namespaces, one version of
	// each: what a namespace is emptied of.
	Namespaced []schema.GroupVersionResource
	// ServiceIP is the cluster IP of the service default/kubernetes: the first
	// address of the service range.
	ServiceIP netip.Addr
	// SecurePort is the port that the service leads to.
	SecurePort int
	// LegacyTokenUses are written down; nil if nobody notes any.
	LegacyTokenUses *LegacyTokenUses
}

// stopTimeout is how long Run waits for work that is under way. Requests end
// with their context, so it is not reached unless something hangs.
const stopTimeout = 10 * time.Second

// Manager is all controllers of one server. Make one with New; it runs once.
type Manager struct {
	manager manager.Manager
}

// controller is one promise, kept.
type controller interface {
	reconcile.Reconciler
	// register tells the manager what to watch for it.
	register(m manager.Manager) error
}

// New builds the controllers. It makes no request yet.
func New(cfg Config) (*Manager, error) {
	// The library's own logger, for the few places that no option reaches. It may
	// be set any number of times.
	log.SetLogger(logger())
	rest := unlimited(cfg.Client)
	direct, err := NewClient(rest)
	if err != nil {
		return nil, err
	}
	contents, err := metadata.NewForConfig(rest)
	if err != nil {
		return nil, fmt.Errorf("making a client of the controllers: %w", err)
	}
	scheme, err := kinds()
	if err != nil {
		return nil, err
	}
	m, err := manager.New(rest, managerOptions(cfg, scheme))
	if err != nil {
		return nil, fmt.Errorf("making the controllers: %w", err)
	}
	for _, c := range []controller{
		newSystemNamespaces(m.GetClient()),
		newDefaultServiceAccounts(m.GetClient()),
		newRootCA(m.GetClient(), string(cfg.RootCA)),
		newKubernetesService(m.GetClient(), cfg.ServiceIP, cfg.SecurePort),
		newClusterRoleAggregation(m.GetClient()),
		newNamespaceDeletion(direct, contents, cfg.Namespaced),
		newLapsedPods(m.GetClient(), direct),
		newOrphanedLeases(m.GetClient(), direct),
		newLegacyTokenTracking(direct, rest),
		newExpiredRevocations(m.GetClient(), direct),
	} {
		if err := c.register(m); err != nil {
			return nil, fmt.Errorf("making the controllers: %w", err)
		}
	}
	if uses := cfg.LegacyTokenUses; uses != nil {
		uses.client = direct
		if err := m.Add(uses); err != nil {
			return nil, fmt.Errorf("making the controllers: %w", err)
		}
	}
	return &Manager{m}, nil
}

// Run keeps the promises until ctx ends, and returns when every goroutine has.
// The server must be listening: a cache that finds it deaf tries again only after
// a while. A nil error means that it ran until it was told to stop.
func (m *Manager) Run(ctx context.Context) error {
	err := m.manager.Start(ctx)
	if err == nil || ctx.Err() != nil && isEnding(err) {
		return nil
	}
	return fmt.Errorf("running the controllers: %w", err)
}

func managerOptions(cfg Config, scheme *runtime.Scheme) manager.Options {
	return manager.Options{
		Scheme:         scheme,
		Logger:         logger(),
		MapperProvider: staticMapper,
		Cache:          cacheOptions(string(cfg.RootCA)),
		// The server has these already.
		Metrics:                 server.Options{BindAddress: "0"},
		HealthProbeBindAddress:  "0",
		GracefulShutdownTimeout: new(stopTimeout),
		// Several servers may run in one process.
		Controller: config.Controller{SkipNameValidation: new(true)},
	}
}

// logger passes the library's errors on, and its reports of progress only to
// those who ask for detail. The end of a server is no error.
func logger() klog.Logger {
	return withoutEndings(klog.Background().V(4))
}

// watching starts the description of a controller to the library.
func watching(m manager.Manager, name string, workers int) *builder.Builder {
	return builder.ControllerManagedBy(m).Named(name).
		WithOptions(runtimecontroller.Options{MaxConcurrentReconciles: workers})
}

// ordinary takes from r the errors that are no news: the work that was cut short
// by the end of the server, and the object that somebody else changed meanwhile.
//
// A step that is under way when the server is told to end is finished, for which
// Run has stopTimeout: a request that is cut off is an error in the server's log.
func ordinary(r reconcile.Reconciler) reconcile.Reconciler {
	return reconcile.Func(func(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
		step, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		defer cancel()
		result, err := r.Reconcile(step, request)
		switch {
		case err != nil && ctx.Err() != nil:
			return reconcile.Result{}, nil
		case apierrors.IsConflict(err):
			return reconcile.Result{RequeueAfter: conflictPause}, nil
		}
		return result, err
	})
}

// conflictPause lets the cache see the write that one lost to.
const conflictPause = 20 * time.Millisecond

// NewClient makes a client that reads and writes without a cache and asks for no
// discovery: the kinds that controllers deal with are known.
func NewClient(cfg *rest.Config) (client.Client, error) {
	cfg = unlimited(cfg)
	mapper, err := staticMapper(nil, nil)
	if err != nil {
		return nil, err
	}
	c, err := client.New(cfg, client.Options{Mapper: mapper})
	if err != nil {
		return nil, fmt.Errorf("making a client of the controllers: %w", err)
	}
	return c, nil
}

func unlimited(cfg *rest.Config) *rest.Config {
	cfg = rest.CopyConfig(cfg)
	cfg.QPS = -1
	cfg.RateLimiter = nil
	cfg.UserAgent = "muster-controllers"
	// The library chooses the encoding by kind and verb: apply is JSON only.
	cfg.ContentType, cfg.AcceptContentTypes = "", ""
	cfg.WarningHandlerWithContext = rest.NoWarnings{}
	return cfg
}

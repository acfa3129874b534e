// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

// Package controller keeps promises about the store: that every namespace has
// its default account and its CA bundle, that a namespace that ends is emptied,
// that aggregated roles hold what they select, that what an object owns ends with
// it, that pods end with their process or their node, that Secrets for tokens hold
// one and go when nobody needs it, that revocations go with the last token they
// cover, that a Secret tells when its token was last used, that a policy tells which
// of its expressions do not fit. One file per promise.
//
// Each controller compares what is with what should be and makes one step, again
// at every event and after every failure; none remembers what it did before. They
// see the server only through its API, as any other client does: a shared watch
// cache for reading (cache.go), requests for writing. The server room builds a
// Manager and runs it as long as it serves. Of several servers of one store one
// keeps the promises (election.go); each notes itself the uses of tokens that it
// has seen, and announces by what it is known. What must hold before the server is
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
	"sync"
	"sync/atomic"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
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
	// ServingAuthorities reads the PEM bundle that verifies this server, as it is
	// now. It is published, with those of the other servers of the store.
	ServingAuthorities func() ([]byte, error)
	// Resources are the stored resources, one version of each: what a namespace is
	// emptied of, and what may own and be owned.
	Resources []Resource
	// ServiceIP is the cluster IP of the service default/kubernetes: the first
	// address of the service range.
	ServiceIP netip.Addr
	// SecurePort is the port that the service leads to.
	SecurePort int
	// LegacyTokenUses are written down; nil if nobody notes any.
	LegacyTokenUses *LegacyTokenUses
	// SignLegacyToken signs the token of a Secret, which does not expire; nil if
	// nobody does, and Secrets are not filled.
	SignLegacyToken func(ctx context.Context, token LegacyToken) (string, error)
	// LegacyTokenCleanUpPeriod is how long a token of a Secret that Kubernetes once
	// made by itself may be unused; zero or less: for ever.
	LegacyTokenCleanUpPeriod time.Duration
	// TerminatedPodThreshold is how many pods may have ended before the oldest of
	// them are deleted; zero or less: any number.
	TerminatedPodThreshold int
	// Signing is who signs certificate signing requests.
	Signing Signing
	// CheckPolicyTypes finds the expressions of a policy that do not fit the types
	// that it is for; nil if nobody looks.
	CheckPolicyTypes func(*admissionregistrationv1.ValidatingAdmissionPolicy) []admissionregistrationv1.ExpressionWarning
	// Metrics count what is done; nil counts nothing.
	Metrics *Metrics
	// Election chooses among the servers of one store; nil if there is one server.
	Election *Election
	// Now is the clock of what is kept for a time; nil means time.Now.
	Now func() time.Time
}

// Resource is one that is served and stored.
type Resource struct {
	schema.GroupVersionResource
	// Kind is that of its objects.
	Kind string
	// Namespaced tells whether they live in namespaces.
	Namespaced bool
}

// stopTimeout is how long Run waits for work that is under way. Requests end
// with their context, so it is not reached unless something hangs.
const stopTimeout = 10 * time.Second

// restartPause is how long the controllers rest after something has ended them.
const restartPause = time.Second

// Manager is all controllers of one server. Make one with New; it runs once.
type Manager struct {
	config Config
	rest   *rest.Config
	// client reads and writes without a cache.
	client   client.Client
	metadata metadata.Interface
	// events are recorded where Kubernetes records them.
	events *recorders
}

// controller is one promise, kept.
type controller interface {
	// register tells the manager what to watch for it.
	register(m manager.Manager) error
}

// New builds the controllers. It makes no request yet.
func New(cfg Config) (*Manager, error) {
	// The library's own logger, for the few places that no option reaches. It may
	// be set any number of times.
	log.SetLogger(withoutEndings(logger(), new(atomic.Bool)))
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Metrics == nil {
		cfg.Metrics = NewMetrics()
	}
	m := &Manager{config: cfg, rest: unlimited(cfg.Client)}
	var err error
	if m.client, err = NewClient(m.rest); err != nil {
		return nil, err
	}
	if m.metadata, err = metadata.NewForConfig(m.rest); err != nil {
		return nil, fmt.Errorf("making a client of the controllers: %w", err)
	}
	if m.events, err = newRecorders(m.rest); err != nil {
		return nil, err
	}
	if _, err := m.assemble(new(atomic.Bool)); err != nil {
		return nil, err
	}
	if uses := cfg.LegacyTokenUses; uses != nil {
		uses.client = m.client
	}
	return m, nil
}

// controllers are the promises, for one term of keeping them.
func (m *Manager) controllers(cached client.Client) []controller {
	c := &m.config
	return []controller{
		newSystemNamespaces(cached),
		newDefaultServiceAccounts(cached),
		newRootCA(cached, newRootBundle(c.ServingAuthorities), c.Metrics.rootCA),
		newKubernetesService(cached, c.ServiceIP, c.SecurePort),
		newClusterRoleAggregation(cached),
		newNamespaceDeletion(m.client, m.metadata, c.namespaced()),
		newGarbageCollection(m.metadata, c.Resources, m.events.as(garbageCollector), c.Metrics),
		newLapsedPods(cached, m.client),
		newEndedPods(m.client, m.rest, c.TerminatedPodThreshold, c.Now, c.Metrics),
		newLegacyTokens(cached, m.client, newRootBundle(c.ServingAuthorities), c.SignLegacyToken),
		newLegacyTokenCleaner(m.client, c.LegacyTokenCleanUpPeriod, c.Now),
		newLegacyTokenTracking(m.client, m.rest, c.Now),
		newBootstrapTokens(m.client, m.rest, c.Now),
		newExpiredRevocations(cached, m.client),
		newCSRApproval(cached, m.client),
		newCSRSigning(cached, m.client, c.Signing),
		newCSRCleaning(cached, c.Now),
		newPodCertificateCleaning(cached, c.Now),
		newServingTrustBundle(cached, c.ServingAuthorities, c.Now, c.Metrics.trustBundle),
		newPolicyTypes(cached, c.CheckPolicyTypes),
	}
}

// assemble makes what keeps the promises for one term. ending is set before the
// term ends.
func (m *Manager) assemble(ending *atomic.Bool) (manager.Manager, error) {
	scheme, err := kinds()
	if err != nil {
		return nil, err
	}
	assembled, err := manager.New(m.rest, managerOptions(m.config, scheme, ending))
	if err != nil {
		return nil, fmt.Errorf("making the controllers: %w", err)
	}
	for _, c := range m.controllers(assembled.GetClient()) {
		if err := c.register(assembled); err != nil {
			return nil, fmt.Errorf("making the controllers: %w", err)
		}
	}
	return assembled, nil
}

// Run keeps the promises until ctx ends, alone or whenever this server is the one
// that does, and returns when every goroutine has. The server must be listening: a
// cache that finds it deaf tries again only after a while. A nil error means that
// it ran until it was told to stop.
func (m *Manager) Run(ctx context.Context) error {
	defer m.events.start()()
	var noting sync.WaitGroup
	defer noting.Wait()
	if uses := m.config.LegacyTokenUses; uses != nil {
		noting.Go(func() { uses.write(ctx) })
	}
	if m.config.Election == nil {
		m.keep(ctx)
		return nil
	}
	c, err := newCandidate(*m.config.Election, m.rest, m.events.as(electionLease))
	if err != nil {
		return err
	}
	noting.Go(func() { announcement{m.client, m.config.Now}.keep(ctx, m.config.ServingAuthorities) })
	// The lease lives in a system namespace.
	for err := EnsureSystemNamespaces(ctx, m.client); err != nil && ctx.Err() == nil; err = EnsureSystemNamespaces(ctx, m.client) {
		klog.ErrorS(err, "making the namespace of the controllers' lease")
		pause(ctx, restartPause)
	}
	return c.stand(ctx, m.keep)
}

// keep keeps the promises until ctx ends. What ends the controllers before, such
// as a cache that cannot be filled, is tried again.
func (m *Manager) keep(ctx context.Context) {
	for ctx.Err() == nil {
		err := m.term(ctx)
		if ctx.Err() != nil {
			return
		}
		klog.ErrorS(err, "the controllers have stopped and start again")
		pause(ctx, restartPause)
	}
}

func (m *Manager) term(ctx context.Context) error {
	var ending atomic.Bool
	assembled, err := m.assemble(&ending)
	if err != nil {
		return err
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	defer context.AfterFunc(ctx, func() {
		ending.Store(true)
		stop()
	})()
	return assembled.Start(running)
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// namespaced are the resources that live in namespaces.
func (c *Config) namespaced() []schema.GroupVersionResource {
	var names []schema.GroupVersionResource
	for _, resource := range c.Resources {
		if resource.Namespaced {
			names = append(names, resource.GroupVersionResource)
		}
	}
	return names
}

func managerOptions(cfg Config, scheme *runtime.Scheme, ending *atomic.Bool) manager.Options {
	return manager.Options{
		Scheme:         scheme,
		Logger:         withoutEndings(logger(), ending),
		MapperProvider: staticMapper,
		Cache:          cacheOptions(),
		// The server has these already.
		Metrics:                 server.Options{BindAddress: "0"},
		HealthProbeBindAddress:  "0",
		GracefulShutdownTimeout: new(stopTimeout),
		// Several servers may run in one process.
		Controller: config.Controller{SkipNameValidation: new(true)},
	}
}

// logger passes the library's errors on, and its reports of progress only to
// those who ask for detail.
func logger() klog.Logger {
	return klog.Background().V(4)
}

// bulkWorkers is how many steps a controller makes at the same time whose work may
// come in thousands: a write waits for the disk, which many share.
const bulkWorkers = 16

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
func ordinary[R comparable](r reconcile.TypedReconciler[R]) reconcile.TypedReconciler[R] {
	return reconcile.TypedFunc[R](func(ctx context.Context, request R) (reconcile.Result, error) {
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

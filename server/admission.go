// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/initializer"
	admissionmetrics "k8s.io/apiserver/pkg/admission/metrics"
	webhookinitializer "k8s.io/apiserver/pkg/admission/plugin/webhook/initializer"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	genericapiserver "k8s.io/apiserver/pkg/server"
	cacheddiscovery "k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	clientrest "k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/cache"

	"github.com/muster-identity/muster/registry"
)

// admit makes the chain of admission plugins, in Kubernetes' order. Those of the
// library read what they decide by through clients of this server: admission
// waits for their first answers, and so does readiness.
func (h *house) admit(config *genericapiserver.Config) error {
	clients, err := newAdmissionClients(config.LoopbackClientConfig)
	if err != nil {
		return err
	}
	h.decidedBy = clients.informers
	options := h.server.Options.Admission
	names := options.enabled()
	settings, fromFiles, err := options.settings(names)
	if err != nil {
		return err
	}
	files, err := newManifests()
	if err != nil {
		return err
	}
	plugins := admission.NewPlugins()
	rows := map[string]admissionPlugin{}
	for _, row := range admissionPlugins() {
		if row.make == nil {
			continue
		}
		rows[row.name] = row
		plugins.Register(row.name, func(settings io.Reader) (admission.Interface, error) { return row.make(h, settings) })
	}
	kinds := restmapper.NewDeferredDiscoveryRESTMapper(cacheddiscovery.NewMemCacheClient(clients.kubernetes.Discovery()))
	initializers := admission.PluginInitializers{
		initializer.NewAPIServerIDInitializer(config.APIServerID),
		initializer.New(clients.kubernetes, clients.dynamic, clients.informers, h.authorizer, h.server.Options.Run.ComponentGlobalsRegistry.FeatureGateFor(component),
			config.EffectiveVersion, config.DrainedNotify(), kinds),
		webhookinitializer.NewPluginInitializer(nil, serviceResolver{h.stores}),
		neverReviewed{},
		files,
	}
	decorate := admission.DecoratorFunc(func(plugin admission.Interface, name string) admission.Interface {
		row := rows[name]
		if row.standing == nil {
			return plugin
		}
		if fromFiles[name] { // it always has something to decide by
			return admissionmetrics.WithControllerMetrics(plugin, name)
		}
		idle := newStanding(row.standing(clients.informers))
		h.standing = append(h.standing, idle)
		return &resting{Interface: admissionmetrics.WithControllerMetrics(plugin, name), standing: idle}
	})
	config.AdmissionControl, err = plugins.NewFromPlugins(names, settings, initializers, decorate)
	if err != nil {
		return fmt.Errorf("making the admission plugins: %w", err)
	}
	return nil
}

// admissionClients are how the plugins of the library see this server.
type admissionClients struct {
	kubernetes kubernetes.Interface
	dynamic    dynamic.Interface
	informers  informers.SharedInformerFactory
}

func newAdmissionClients(loopback *clientrest.Config) (admissionClients, error) {
	client, err := kubernetes.NewForConfig(loopback)
	if err != nil {
		return admissionClients{}, fmt.Errorf("making a client for admission: %w", err)
	}
	untyped, err := dynamic.NewForConfig(loopback)
	if err != nil {
		return admissionClients{}, fmt.Errorf("making a client for admission: %w", err)
	}
	return admissionClients{
		kubernetes: ownSchemas{client},
		dynamic:    untyped,
		informers:  informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithTransform(withoutManagers)),
	}, nil
}

// withoutManagers drops what no plugin reads and takes most of the room.
func withoutManagers(obj any) (any, error) {
	if object, ok := obj.(metav1.Object); ok {
		object.SetManagedFields(nil)
	}
	return obj, nil
}

// awaitAdmission returns when the plugins know what they decide by.
func (h *house) awaitAdmission(ctx context.Context) error {
	h.decidedBy.StartWithContext(ctx)
	h.decidedBy.WaitForCacheSyncWithContext(ctx)
	for _, standing := range h.standing {
		if err := standing.follow(ctx); err != nil {
			return err
		}
	}
	return nil
}

// neverReviewed tells plugins what they are not asked about.
type neverReviewed struct{}

// Initialize tells a plugin that wants to know.
func (neverReviewed) Initialize(plugin admission.Interface) {
	if wants, ok := plugin.(initializer.WantsExcludedAdmissionResources); ok {
		wants.SetExcludedAdmissionResources(registry.NeverReviewed())
	}
}

// standing counts the objects that a plugin decides by: webhook configurations
// or bindings of policies.
type standing struct {
	informer cache.SharedIndexInformer
	known    chan struct{}
	ready    atomic.Bool
	count    atomic.Int64
}

func newStanding(informer cache.SharedIndexInformer) *standing {
	return &standing{informer: informer, known: make(chan struct{})}
}

// follow returns when the count is that of what exists; it goes on counting.
func (s *standing) follow(ctx context.Context) error {
	registration, err := s.informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { s.count.Add(1) },
		DeleteFunc: func(any) { s.count.Add(-1) },
	})
	if err != nil {
		return fmt.Errorf("following what admission decides by: %w", err)
	}
	select {
	case <-registration.HasSyncedChecker().Done():
	case <-ctx.Done():
		return nil
	}
	s.ready.Store(true)
	close(s.known)
	return nil
}

// patience is how long a request waits for a server that starts, as in
// Kubernetes.
const patience = 10 * time.Second

var errNotReady = errors.New("not yet ready to handle request")

// none tells that there is nothing to decide by. It waits until that is known.
func (s *standing) none(ctx context.Context, a admission.Attributes) (bool, error) {
	if s.ready.Load() {
		return s.count.Load() == 0, nil
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-s.known:
		return s.count.Load() == 0, nil
	case <-timer.C:
	case <-ctx.Done():
	}
	return false, admission.NewForbidden(a, errNotReady)
}

// resting is a plugin that is not asked while there is nothing that it could
// decide by: most servers have neither webhooks nor policies, and their requests
// do not pay for those of others.
type resting struct {
	admission.Interface
	standing *standing
}

var (
	_ admission.MutationInterface   = &resting{}
	_ admission.ValidationInterface = &resting{}
)

// Admit asks a plugin that changes objects.
func (r *resting) Admit(ctx context.Context, a admission.Attributes, o admission.ObjectInterfaces) error {
	plugin, ok := r.Interface.(admission.MutationInterface)
	if !ok {
		return nil
	}
	if none, err := r.standing.none(ctx, a); none || err != nil {
		return err
	}
	return plugin.Admit(ctx, a, o)
}

// Validate asks a plugin that judges objects.
func (r *resting) Validate(ctx context.Context, a admission.Attributes, o admission.ObjectInterfaces) error {
	plugin, ok := r.Interface.(admission.ValidationInterface)
	if !ok {
		return nil
	}
	if none, err := r.standing.none(ctx, a); none || err != nil {
		return err
	}
	return plugin.Validate(ctx, a, o)
}

// securedNamespaces are what pod security reads, as it is now.
type securedNamespaces struct{ stores stores }

// GetNamespace returns the namespace with its labels.
func (n securedNamespaces) GetNamespace(ctx context.Context, name string) (*corev1.Namespace, error) {
	obj, err := n.stores.Get(ctx, corev1.Resource("namespaces"), "", name)
	if err != nil {
		return nil, err
	}
	namespace, ok := obj.(*corev1.Namespace)
	if !ok {
		return nil, fmt.Errorf("namespace %q is a %T", name, obj)
	}
	return namespace, nil
}

// ListPods lists the pods of a namespace.
func (n securedNamespaces) ListPods(ctx context.Context, namespace string) ([]*corev1.Pod, error) {
	lister, ok := n.stores[corev1.Resource("pods")].(rest.Lister)
	if !ok {
		return nil, errors.New("pods cannot be listed")
	}
	ctx = genericapirequest.WithRequestInfo(genericapirequest.WithNamespace(ctx, namespace), &genericapirequest.RequestInfo{
		IsResourceRequest: true, Verb: "list", APIVersion: "v1", Resource: "pods", Namespace: namespace,
	})
	list, err := lister.List(ctx, &internalversion.ListOptions{ResourceVersion: "0", ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan})
	if err != nil {
		return nil, err
	}
	pods, ok := list.(*corev1.PodList)
	if !ok {
		return nil, fmt.Errorf("the list of pods is a %T", list)
	}
	found := make([]*corev1.Pod, len(pods.Items))
	for i := range pods.Items {
		found[i] = &pods.Items[i]
	}
	return found, nil
}

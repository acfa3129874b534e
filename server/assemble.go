// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"fmt"
	"net"

	etcdclient "go.etcd.io/etcd/client/v3/kubernetes"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apiserver/pkg/registry/generic"
	genericapiserver "k8s.io/apiserver/pkg/server"
	serverstorage "k8s.io/apiserver/pkg/server/storage"

	"github.com/muster-identity/muster/registry"
)

// assemble puts the server together, in the order in which its parts need each
// other:
//
//  1. the data dir and its certificates;
//  2. the store;
//  3. the deciders: live view, RBAC, authentication, issuer, admission;
//  4. the signing keys, and the storage of the resources, over the store; the
//     live view hears of all writes, and follows the store itself;
//  5. the HTTP server over all that;
//  6. the controllers, which are its clients.
func (s *Server) assemble(ctx context.Context, listener net.Listener) error {
	dir, err := openDataDir(s.DataDir)
	if err != nil {
		return err
	}
	s.onClose(dir.close)
	if err := s.prepareCredentials(dir, listener); err != nil {
		return err
	}
	if err := s.openStore(dir); err != nil {
		return err
	}
	house, err := s.newHouse()
	if err != nil {
		return err
	}
	if s.Options.ServiceAccounts.TokenConsistency == StrictConsistency {
		if err := house.origin.checkProgress(ctx); err != nil {
			return err
		}
	}
	api, err := s.newAPI(ctx, house, dir, listener)
	if err != nil {
		return err
	}
	return s.serve(ctx, house, api)
}

// openStore starts the embedded etcd, unless there is an external one. The
// options stay as they were given, lest another server take the address of this
// one's store for that of an external one.
func (s *Server) openStore(dir *dataDir) error {
	store := *s.Options.Etcd
	s.store = &store
	if len(store.StorageConfig.Transport.ServerList) > 0 {
		return nil
	}
	etcd, err := startEtcd(dir.join("etcd"), s.UnsafeNoSync)
	if err != nil {
		return err
	}
	s.onClose(etcd.Close)
	s.etcd = etcd
	s.store.StorageConfig.Transport.ServerList = []string{etcd.endpoint}
	return nil
}

// newStoreClient makes a client of the store, whichever it is.
func (s *Server) newStoreClient() (*etcdclient.Client, error) {
	if s.etcd != nil {
		return s.etcd.newClient()
	}
	return dialStore(s.store.StorageConfig.Transport)
}

// placeResources settles where the resources are kept, and how they are reached.
func (s *Server) placeResources(factory serverstorage.StorageFactory, config *genericapiserver.Config) error {
	if err := s.store.ApplyWithStorageFactoryTo(factory, config); err != nil {
		return fmt.Errorf("setting up the storage: %w", err)
	}
	cached, err := watchCached(s.store)
	if err != nil {
		return err
	}
	late := lateCaches{RESTOptionsGetter: config.RESTOptionsGetter, open: generic.NewRawStorage, cached: cached}
	if s.etcd != nil {
		calling, stop, err := callStore(config.RESTOptionsGetter, s.etcd, s.store.StorageConfig.CompactionInterval, cached)
		if err != nil {
			return err
		}
		s.onClose(stop)
		late.RESTOptionsGetter, late.open = calling, calling.open
	}
	config.RESTOptionsGetter = late
	return nil
}

// newAPI makes the HTTP server with everything it serves.
func (s *Server) newAPI(ctx context.Context, h *house, dir *dataDir, listener net.Listener) (*genericapiserver.GenericAPIServer, error) {
	resources := s.resources()
	scheme, err := registry.NewScheme(resources)
	if err != nil {
		return nil, err
	}
	codecs := serializer.NewCodecFactory(scheme)
	config, err := s.apiConfig(h, listener, resources, scheme, codecs)
	if err != nil {
		return nil, err
	}
	factory := storageFactory(s.store, scheme, codecs, resources, config)
	if err := s.placeResources(factory, config); err != nil {
		return nil, err
	}
	s.onClose(forgetStorage)
	if err := h.openKeys(ctx, dir, config); err != nil {
		return nil, err
	}
	if err := h.authorities.open(ctx, config); err != nil {
		return nil, err
	}
	s.onClose(h.authorities.store.Close)
	services, err := h.services()
	if err != nil {
		return nil, err
	}
	env := registry.Environment{
		Scheme:      scheme,
		RESTOptions: registry.ListenToWrites(config.RESTOptionsGetter, h.view),
		Services:    services,
	}
	groups, err := build(resources, env, h.stores)
	if err != nil {
		return nil, err
	}
	h.answerers = answerersOf(groups)
	h.forgetImpersonations(config)
	h.addHotLane(config, scheme)
	answerAbsent(config)
	for _, resource := range h.view.Resources() {
		if err := h.origin.add(resource, h.stores[resource], config.RESTOptionsGetter); err != nil {
			return nil, err
		}
	}
	api, err := config.Complete(nil).New("muster", genericapiserver.NewEmptyDelegate())
	if err != nil {
		return nil, fmt.Errorf("making the API server: %w", err)
	}
	if err := install(api, scheme, codecs, registry.GroupVersions(resources), groups); err != nil {
		return nil, err
	}
	s.loopback = api.LoopbackClientConfig
	hooks, err := h.hooks(resources, scheme)
	if err != nil {
		return nil, err
	}
	if err := h.addHooks(api, hooks); err != nil {
		return nil, err
	}
	if err := api.AddPreShutdownHook("controllers", h.controllers.stop); err != nil {
		return nil, fmt.Errorf("adding a hook for the end: %w", err)
	}
	if err := h.installMetrics(api); err != nil {
		return nil, err
	}
	h.installOpenID(api)
	installOpenAPI(api, config)
	return api, nil
}

// resources are what is served.
func (s *Server) resources() []registry.Resource {
	return registry.Table()
}

// serve runs the server until it is closed, and returns when it is ready.
func (s *Server) serve(ctx context.Context, h *house, api *genericapiserver.GenericAPIServer) error {
	run, cancel := context.WithCancelCause(context.Background())
	s.cancel = cancel
	prepared := api.PrepareRun()
	s.onClose(h.wait)
	go func() {
		defer close(s.served)
		s.err = prepared.RunWithContext(run)
		if cause := context.Cause(run); s.err == nil && cause != context.Canceled {
			s.err = cause
		}
	}()
	if err := s.awaitReady(ctx); err != nil {
		cancel(nil)
		<-s.served
		return err
	}
	close(h.ready)
	return nil
}

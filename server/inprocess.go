// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"errors"
	"fmt"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	etcdclient "go.etcd.io/etcd/client/v3/kubernetes"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3client"
	"go.uber.org/zap"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/features"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/cacher"
	"k8s.io/apiserver/pkg/storage/etcd3"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/apiserver/pkg/storage/storagebackend/factory"
	"k8s.io/apiserver/pkg/storage/value/encrypt/identity"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"
)

// newClient makes a client that calls the store instead of speaking to it: what
// would be a message is handed over. The socket stays for what asks a server by
// its address, and for the health checks.
func (e *embeddedEtcd) newClient() (*etcdclient.Client, error) {
	client, err := etcdclient.New(clientv3.Config{Endpoints: []string{e.endpoint}, Logger: zap.NewNop()})
	if err != nil {
		return nil, fmt.Errorf("making a client of the embedded etcd: %w", err)
	}
	direct := v3client.New(e.etcd.Server)
	err = errors.Join(client.Watcher.Close(), client.Lease.Close()) // which nobody has used
	client.KV, client.Watcher, client.Lease, client.Maintenance = direct.KV, direct.Watcher, direct.Lease, direct.Maintenance
	return client, err
}

// inProcess hands out storages whose clients call the embedded store. It does
// for them what storagebackend/factory does for an external one, which has no
// room for clients of another making.
type inProcess struct {
	generic.RESTOptionsGetter
	newClient func() (*etcdclient.Client, error)
	compactor etcd3.Compactor
	cached    func(schema.GroupResource) bool
}

// callStore makes the storages that options hand out call the embedded store,
// whose history is compacted until stop is called.
func callStore(options generic.RESTOptionsGetter, etcd *embeddedEtcd, compaction time.Duration, cached func(schema.GroupResource) bool) (calling *inProcess, stop func(), err error) {
	client, err := etcd.newClient()
	if err != nil {
		return nil, nil, err
	}
	compactor := etcd3.NewCompactor(client.Client, compaction, clock.RealClock{}, func() {})
	return &inProcess{RESTOptionsGetter: options, newClient: etcd.newClient, compactor: compactor, cached: cached}, func() {
		compactor.Stop()
		client.Close()
	}, nil
}

// GetRESTOptions replaces what makes the storage of a resource.
func (p *inProcess) GetRESTOptions(resource schema.GroupResource, example runtime.Object) (generic.RESTOptions, error) {
	options, err := p.RESTOptionsGetter.GetRESTOptions(resource, example)
	options.Decorator = p.storage
	return options, err
}

// storage makes the storage of a resource, and its watch cache if it has one.
func (p *inProcess) storage(config *storagebackend.ConfigForResource, prefix string, key func(runtime.Object) (string, error), newFunc, newList func() runtime.Object, attrs storage.AttrFunc, triggers storage.IndexerFuncs, indexers *cache.Indexers) (storage.Interface, factory.DestroyFunc, error) {
	stored, destroy, err := p.open(config, newFunc, newList, prefix)
	if err != nil || !p.cached(config.GroupResource) {
		return stored, destroy, err
	}
	cached, err := cacher.NewCacherFromConfig(cacher.Config{
		Storage: stored, Versioner: storage.APIObjectVersioner{}, GroupResource: config.GroupResource,
		EventsHistoryWindow: config.EventsHistoryWindow, ResourcePrefix: prefix, KeyFunc: key,
		NewFunc: newFunc, NewListFunc: newList, GetAttrsFunc: attrs, IndexerFuncs: triggers, Indexers: indexers, Codec: config.Codec,
	})
	if err != nil {
		destroy()
		return nil, nil, fmt.Errorf("making the watch cache of %s: %w", config.GroupResource, err)
	}
	delegator := cacher.NewCacheDelegator(cached, stored)
	return delegator, sync.OnceFunc(func() {
		delegator.Stop()
		cached.Stop()
		destroy()
	}), nil
}

// open makes the storage of a resource without a watch cache.
func (p *inProcess) open(config *storagebackend.ConfigForResource, newFunc, newList func() runtime.Object, prefix string) (storage.Interface, factory.DestroyFunc, error) {
	client, err := p.newClient()
	if err != nil {
		return nil, nil, err
	}
	client.KV = etcd3.NewETCDLatencyTracker(client.KV)
	stored, closeStored, err := openStorage(client, p.compactor, config, newFunc, newList, prefix)
	if err != nil {
		return nil, nil, errors.Join(err, client.Close())
	}
	return stored, sync.OnceFunc(func() {
		closeStored()
		client.Close()
	}), nil
}

// openStorage makes the storage of a resource over a client of etcd, which stays
// the caller's to close when the storage is closed.
func openStorage(client *etcdclient.Client, compactor etcd3.Compactor, config *storagebackend.ConfigForResource, newFunc, newList func() runtime.Object, prefix string) (stored storage.Interface, closeStored func(), err error) {
	versioner := storage.APIObjectVersioner{}
	transformer, decoder := config.Transformer, etcd3.NewDefaultDecoder(config.Codec, versioner)
	if transformer == nil {
		transformer = identity.NewEncryptCheckTransformer()
	}
	deletesCorrupt := utilfeature.DefaultFeatureGate.Enabled(features.AllowUnsafeMalformedObjectDeletion)
	if deletesCorrupt {
		transformer = etcd3.WithCorruptObjErrorHandlingTransformer(transformer)
		decoder = etcd3.WithCorruptObjErrorHandlingDecoder(decoder)
	}
	store, err := etcd3.New(client, compactor, config.Codec, newFunc, newList, config.Prefix, prefix, config.GroupResource,
		transformer, config.LeaseManagerConfig, decoder, versioner)
	if err != nil {
		return nil, nil, fmt.Errorf("opening the storage of %s: %w", config.GroupResource, err)
	}
	if deletesCorrupt {
		return etcd3.NewStoreWithUnsafeCorruptObjectDeletion(store, config.GroupResource), store.Close, nil
	}
	return store, store.Close, nil
}

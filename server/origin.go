// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	clientv3 "go.etcd.io/etcd/client/v3"
	etcdclient "go.etcd.io/etcd/client/v3/kubernetes"
	"go.uber.org/zap"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/client-go/tools/cache"
)

// origin is etcd itself, as the live view follows it. Clients watch through a
// cache, which waits for its slowest watcher before it goes on, and tells
// nobody how far it is; the view has to be first to know, and has to know that
// there is nothing more to know. All its watches share one stream of one
// client: one request for progress is for all of them.
type origin struct {
	client *etcdclient.Client
	kinds  map[schema.GroupResource]originKind
	// ledger is where the keys of tokens are, if they are in the store.
	ledger originLedger
}

// originLedger are keys that no view has, as a reader of the newest revision
// finds them.
type originLedger struct {
	// key is etcd's, or empty.
	key string
	// asOf brings the keys in force up to a revision.
	asOf func(ctx context.Context, revision int64) error
}

// originKind is where the objects of a resource are kept.
type originKind struct {
	storage.Interface
	// key is what the keys of all its objects begin with.
	key       string
	newObject func() runtime.Object
	newList   func() runtime.Object
}

// newOrigin reads and follows the store through client, which is the origin's
// from then on; resources are added to it.
func newOrigin(client *etcdclient.Client) *origin {
	return &origin{client: client, kinds: map[schema.GroupResource]originKind{}}
}

// dialStore makes a client of an external store.
func dialStore(transport storagebackend.TransportConfig) (*etcdclient.Client, error) {
	tlsConfig, err := etcdTLS(transport)
	if err != nil {
		return nil, err
	}
	client, err := etcdclient.New(clientv3.Config{
		Endpoints: transport.ServerList, TLS: tlsConfig, DialTimeout: etcdDialTimeout, Logger: zap.NewNop(),
		DialKeepAliveTime: etcdKeepAlive, DialKeepAliveTimeout: etcdKeepAliveTimeout,
	})
	if err != nil {
		return nil, fmt.Errorf("etcd at %v: %w", transport.ServerList, err)
	}
	return client, nil
}

func (o *origin) close() { o.client.Close() }

// add makes the resource readable, from where and as the options of its served
// storage keep it.
func (o *origin) add(resource schema.GroupResource, served rest.Storage, getter generic.RESTOptionsGetter) error {
	lister, ok := served.(rest.Lister)
	if !ok {
		return fmt.Errorf("%s cannot be listed", resource)
	}
	options, err := getter.GetRESTOptions(resource, served.New())
	if err != nil {
		return fmt.Errorf("finding the objects of %s in the store: %w", resource, err)
	}
	key := "/" + strings.Trim(options.ResourcePrefix, "/") + "/"
	store, _, err := openStorage(o.client, nil, options.StorageConfig, served.New, lister.NewList, key)
	if err != nil {
		return err
	}
	o.kinds[resource] = originKind{Interface: store, key: key, newObject: served.New, newList: lister.NewList}
	return nil
}

// listWatch lists and watches a resource, and gives an empty object of it.
func (o *origin) listWatch(resource schema.GroupResource) (cache.ListerWatcher, runtime.Object, error) {
	kind, ok := o.kinds[resource]
	if !ok {
		return nil, nil, fmt.Errorf("%s cannot be watched", resource)
	}
	return &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			list := kind.newList()
			return list, kind.GetList(ctx, kind.key, storageOptions(options), list)
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			return kind.Watch(ctx, kind.key, storageOptions(options))
		},
	}, kind.newObject(), nil
}

func storageOptions(options metav1.ListOptions) storage.ListOptions {
	return storage.ListOptions{
		ResourceVersion: options.ResourceVersion, ResourceVersionMatch: options.ResourceVersionMatch,
		Predicate: storage.SelectionPredicate{
			Label: labels.Everything(), Field: fields.Everything(),
			Limit: options.Limit, Continue: options.Continue, AllowWatchBookmarks: options.AllowWatchBookmarks,
		},
		Recursive: true, ProgressNotify: options.AllowWatchBookmarks, SendInitialEvents: options.SendInitialEvents,
	}
}

// Revision is that of the last write to the store which was answered before
// the call, or of a later one. It returns when the keys of tokens are those of
// that revision, too: they are not among what the view has.
func (o *origin) Revision(ctx context.Context) (int64, error) {
	// A read that is not told otherwise is answered after a majority of etcd has
	// agreed on how far the store is. Any key would do for that; that of the
	// ledger tells besides whether there are other keys by now.
	response, err := o.client.KV.Get(ctx, cmp.Or(o.ledger.key, "/"), clientv3.WithKeysOnly())
	if err != nil {
		return 0, err
	}
	for _, found := range response.Kvs {
		if err := o.ledger.asOf(ctx, found.ModRevision); err != nil {
			return 0, err
		}
	}
	return response.Header.Revision, nil
}

// RequestProgress has every watch of the origin told how far it is, unless one
// of them is behind.
func (o *origin) RequestProgress(ctx context.Context) error {
	// Streams of a client go by what their context carries; this is what
	// storage/etcd3 gives its watches.
	return o.client.RequestProgress(clientv3.WithRequireLeader(ctx))
}

// leastForProgress is the release of etcd since which what it says of its
// progress is true (etcd issues 15220 and 17507).
var leastForProgress = version.MustParseSemantic("3.5.13")

// checkProgress tells whether all servers of the store can be believed when
// they are asked for progress.
func (o *origin) checkProgress(ctx context.Context) error {
	for _, endpoint := range o.client.Endpoints() {
		status, err := o.client.Status(ctx, endpoint)
		if err != nil {
			return fmt.Errorf("asking etcd at %s for its version: %w", endpoint, err)
		}
		if err := tellsProgress(status.Version); err != nil {
			return fmt.Errorf("etcd at %s: %w", endpoint, err)
		}
	}
	return nil
}

func tellsProgress(release string) error {
	parsed, err := version.ParseSemantic(release)
	if err != nil {
		return fmt.Errorf("its version is odd: %w", err)
	}
	if !parsed.AtLeast(leastForProgress) {
		return fmt.Errorf("--token-consistency=strict needs version %s or later, not %s", leastForProgress, release)
	}
	return nil
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

// Package ledgerstore keeps the ledger of signing keys in the store of the API
// server, where all its replicas find it. The server room says which store that
// is and how it is encrypted; rotation decides what the ledger says.
//
// The ledger is one Secret under a key of its own, which belongs to no served
// resource: no request leads to it. It is written by optimistic transactions and
// followed by a watch.
package ledgerstore

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/apiserver/pkg/storage/storagebackend/factory"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"github.com/muster-identity/muster/keyring/rotation"
)

// Resource is the name by which an encryption configuration means the ledger.
var Resource = schema.GroupResource{Group: "identity.muster.id", Resource: "signingkeys"}

const (
	prefix = "/identity.muster.id/signingkeys"
	key    = prefix + "/ledger"
	// secretType and dataKey say what the Secret holds.
	secretType = "identity.muster.id/signing-keys"
	dataKey    = "ledger.json"
)

// Store keeps the ledger. Its methods may be called at the same time.
type Store struct {
	storage storage.Interface
	destroy func()
}

var _ rotation.Store = (*Store)(nil)

// New returns the store over config, which encodes Secrets and encrypts what it
// writes as the ledger is to be encrypted.
func New(config storagebackend.Config) (*Store, error) {
	newSecret := func() runtime.Object { return &corev1.Secret{} }
	newList := func() runtime.Object { return &corev1.SecretList{} }
	made, destroy, err := factory.Create(*config.ForResource(Resource), newSecret, newList, prefix)
	if err != nil {
		return nil, fmt.Errorf("setting up the storage of signing keys: %w", err)
	}
	return &Store{storage: made, destroy: destroy}, nil
}

// Close gives up the connection.
func (s *Store) Close() { s.destroy() }

// Update replaces the ledger by what change makes of it.
func (s *Store) Update(ctx context.Context, change func(rotation.Ledger) (rotation.Ledger, error)) (rotation.Ledger, int64, error) {
	var result rotation.Ledger
	out := &corev1.Secret{}
	err := s.storage.GuaranteedUpdate(ctx, key, out, true, nil, storage.SimpleUpdate(func(obj runtime.Object) (runtime.Object, error) {
		secret := obj.(*corev1.Secret)
		ledger, err := ledgerOf(secret)
		if err != nil {
			return nil, err
		}
		if result, err = change(ledger); err != nil {
			return nil, err
		}
		return secretOf(secret, result)
	}), nil)
	if err != nil {
		return rotation.Ledger{}, 0, err
	}
	revision, err := revisionOf(out)
	return result, revision, err
}

// Follow calls seen with the ledger as it is, and with each that is written.
func (s *Store) Follow(ctx context.Context, seen func(rotation.Ledger, int64)) {
	lister := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, _ metav1.ListOptions) (runtime.Object, error) {
			list := &corev1.SecretList{}
			return list, s.storage.GetList(ctx, prefix+"/", storage.ListOptions{Predicate: storage.Everything, Recursive: true}, list)
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			return s.storage.Watch(ctx, key, storage.ListOptions{ResourceVersion: options.ResourceVersion, Predicate: storage.Everything})
		},
	}
	reflector := cache.NewReflectorWithOptions(listThenWatch{lister}, &corev1.Secret{}, follower(seen), cache.ReflectorOptions{Name: "signing-keys"})
	reflector.RunWithContext(ctx)
}

// listThenWatch tells the reflector to list before it watches: the storage alone
// does not mark where a list ends within a watch.
type listThenWatch struct{ *cache.ListWatch }

// IsWatchListSemanticsUnSupported is what the reflector asks.
func (listThenWatch) IsWatchListSemanticsUnSupported() bool { return true }

// follower receives what a reflector sees.
type follower func(rotation.Ledger, int64)

// Add takes the ledger that was made.
func (f follower) Add(obj any) error { return f.take(obj) }

// Update takes the ledger that was changed.
func (f follower) Update(obj any) error { return f.take(obj) }

// Delete takes note that somebody has removed the ledger. The keys in force stay
// in force: tokens of theirs are about.
func (f follower) Delete(any) error {
	klog.ErrorS(errors.New("the ledger was deleted"), "following the signing keys")
	return nil
}

// Replace takes all that there is: one ledger.
func (f follower) Replace(objs []any, _ string) error {
	for _, obj := range objs {
		if err := f.take(obj); err != nil {
			return err
		}
	}
	return nil
}

// Resync has nothing to do: everything is in force when it arrives.
func (f follower) Resync() error { return nil }

func (f follower) take(obj any) error {
	secret, ok := obj.(*corev1.Secret)
	if !ok {
		return fmt.Errorf("following the signing keys: the object is a %T", obj)
	}
	ledger, err := ledgerOf(secret)
	if err != nil {
		return err
	}
	revision, err := revisionOf(secret)
	if err != nil {
		return err
	}
	f(ledger, revision)
	return nil
}

// ledgerOf is what a Secret holds; an empty one holds an empty ledger.
func ledgerOf(secret *corev1.Secret) (rotation.Ledger, error) {
	data, ok := secret.Data[dataKey]
	if !ok && len(secret.Data) == 0 {
		return rotation.Ledger{}, nil
	}
	return rotation.Decode(data)
}

// secretOf is the Secret as it is to be stored: the old one with another ledger.
func secretOf(old *corev1.Secret, ledger rotation.Ledger) (*corev1.Secret, error) {
	data, err := ledger.Encode()
	if err != nil {
		return nil, err
	}
	secret := old.DeepCopy()
	secret.Name, secret.Type = "ledger", secretType
	secret.Data = map[string][]byte{dataKey: data}
	return secret, nil
}

func revisionOf(secret *corev1.Secret) (int64, error) {
	revision, err := strconv.ParseInt(secret.ResourceVersion, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("reading the revision of the signing keys: %w", err)
	}
	return revision, nil
}

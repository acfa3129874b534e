// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

// Package ledgerstore keeps what all servers of a store share and nobody may see
// in that store: the ledger of signing keys, and the roll of certificate
// authorities. The server room says which store that is and how it is encrypted;
// rotation and authority decide what is in it.
//
// Each is one Secret under a key of its own, which belongs to no served resource:
// no request leads to it. It is written by optimistic transactions and followed
// by a watch.
package ledgerstore

import (
	"context"
	"errors"
	"fmt"
	"path"
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

// Store keeps the ledger.
type Store = Value[rotation.Ledger]

var _ rotation.Store = (*Store)(nil)

// New returns the store of the ledger over config, which encodes Secrets and
// encrypts what it writes as the ledger is to be encrypted.
func New(config storagebackend.Config) (*Store, error) {
	return Open(config, Place[rotation.Ledger]{
		Resource: Resource, Name: "ledger", Type: "identity.muster.id/signing-keys", Key: "ledger.json",
		Encode: rotation.Ledger.Encode, Decode: rotation.Decode,
	})
}

// Place is where a value is kept, and how.
type Place[T any] struct {
	// Resource is the folder in the store, and the name by which an encryption
	// configuration means it.
	Resource schema.GroupResource
	// Name, Type and Key are those of the Secret and of the value in it.
	Name, Type, Key string
	Encode          func(T) ([]byte, error)
	Decode          func([]byte) (T, error)
}

func (p Place[T]) prefix() string { return "/" + p.Resource.Group + "/" + p.Resource.Resource }

// Value is one value that servers share. Its methods may be called at the same
// time.
type Value[T any] struct {
	place   Place[T]
	root    string
	storage storage.Interface
	destroy func()
}

// Open returns the value that is kept at a place of the store over config, which
// encodes Secrets and encrypts what it writes as the value is to be encrypted.
func Open[T any](config storagebackend.Config, place Place[T]) (*Value[T], error) {
	newSecret := func() runtime.Object { return &corev1.Secret{} }
	newList := func() runtime.Object { return &corev1.SecretList{} }
	made, destroy, err := factory.Create(*config.ForResource(place.Resource), newSecret, newList, place.prefix())
	if err != nil {
		return nil, fmt.Errorf("setting up the storage of %s: %w", place.Resource.Resource, err)
	}
	return &Value[T]{place: place, root: config.Prefix, storage: made, destroy: destroy}, nil
}

// Close gives up the connection.
func (s *Value[T]) Close() { s.destroy() }

// EtcdKey is where etcd has the value.
func (s *Value[T]) EtcdKey() string { return path.Join("/", s.root, s.key()) }

func (s *Value[T]) key() string { return s.place.prefix() + "/" + s.place.Name }

// Update replaces the value by what change makes of it: see rotation.Store.
func (s *Value[T]) Update(ctx context.Context, change func(T) (T, error)) (T, int64, error) {
	var result, none T
	out := &corev1.Secret{}
	err := s.storage.GuaranteedUpdate(ctx, s.key(), out, true, nil, storage.SimpleUpdate(func(obj runtime.Object) (runtime.Object, error) {
		secret := obj.(*corev1.Secret)
		value, err := s.place.valueOf(secret)
		if err != nil {
			return nil, err
		}
		if result, err = change(value); err != nil {
			return nil, err
		}
		return s.place.secretOf(secret, result)
	}), nil)
	if err != nil {
		return none, 0, err
	}
	revision, err := revisionOf(out)
	return result, revision, err
}

// Follow calls seen with the value as it is, and with each that is written.
func (s *Value[T]) Follow(ctx context.Context, seen func(T, int64)) {
	lister := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, _ metav1.ListOptions) (runtime.Object, error) {
			list := &corev1.SecretList{}
			return list, s.storage.GetList(ctx, s.place.prefix()+"/", storage.ListOptions{Predicate: storage.Everything, Recursive: true}, list)
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			return s.storage.Watch(ctx, s.key(), storage.ListOptions{ResourceVersion: options.ResourceVersion, Predicate: storage.Everything})
		},
	}
	reflector := cache.NewReflectorWithOptions(listThenWatch{lister}, &corev1.Secret{}, follower[T]{s.place, seen}, cache.ReflectorOptions{Name: s.place.Resource.Resource})
	reflector.RunWithContext(ctx)
}

// listThenWatch tells the reflector to list before it watches: the storage alone
// does not mark where a list ends within a watch.
type listThenWatch struct{ *cache.ListWatch }

// IsWatchListSemanticsUnSupported is what the reflector asks.
func (listThenWatch) IsWatchListSemanticsUnSupported() bool { return true }

// follower receives what a reflector sees.
type follower[T any] struct {
	place Place[T]
	seen  func(T, int64)
}

// Add takes the value that was made.
func (f follower[T]) Add(obj any) error { return f.take(obj) }

// Update takes the value that was changed.
func (f follower[T]) Update(obj any) error { return f.take(obj) }

// Delete takes note that somebody has removed the value. The keys in force stay
// in force: tokens and certificates of theirs are about.
func (f follower[T]) Delete(any) error {
	klog.ErrorS(errors.New("the value was deleted"), "following what servers share", "resource", f.place.Resource)
	return nil
}

// Replace takes all that there is: one value.
func (f follower[T]) Replace(objs []any, _ string) error {
	for _, obj := range objs {
		if err := f.take(obj); err != nil {
			return err
		}
	}
	return nil
}

// Resync has nothing to do: everything is in force when it arrives.
func (f follower[T]) Resync() error { return nil }

func (f follower[T]) take(obj any) error {
	secret, ok := obj.(*corev1.Secret)
	if !ok {
		return fmt.Errorf("following %s: the object is a %T", f.place.Resource, obj)
	}
	value, err := f.place.valueOf(secret)
	if err != nil {
		return err
	}
	revision, err := revisionOf(secret)
	if err != nil {
		return err
	}
	f.seen(value, revision)
	return nil
}

// valueOf is what a Secret holds; an empty one holds the zero value.
func (p Place[T]) valueOf(secret *corev1.Secret) (T, error) {
	var none T
	data, ok := secret.Data[p.Key]
	if !ok && len(secret.Data) == 0 {
		return none, nil
	}
	return p.Decode(data)
}

// secretOf is the Secret as it is to be stored: the old one with another value.
func (p Place[T]) secretOf(old *corev1.Secret, value T) (*corev1.Secret, error) {
	data, err := p.Encode(value)
	if err != nil {
		return nil, err
	}
	secret := old.DeepCopy()
	secret.Name, secret.Type = p.Name, corev1.SecretType(p.Type)
	secret.Data = map[string][]byte{p.Key: data}
	return secret, nil
}

func revisionOf(secret *corev1.Secret) (int64, error) {
	revision, err := strconv.ParseInt(secret.ResourceVersion, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("reading the revision of what servers share: %w", err)
	}
	return revision, nil
}

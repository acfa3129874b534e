// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"io/fs"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/storage/storagebackend"

	"github.com/muster-identity/muster/issuer"
	"github.com/muster-identity/muster/keyring"
	"github.com/muster-identity/muster/keyring/ledgerstore"
	"github.com/muster-identity/muster/keyring/rotation"
	"github.com/muster-identity/muster/registry"
)

// keys are the keys of service account tokens, wherever they are.
type keys struct {
	// signer signs; the keys that verify are put into the house's keyring.
	signer issuer.Signer
	// shown is what the API tells of them, and does with them.
	shown registry.SigningKeys
	// longest is the life of the longest-lived token that they may have signed.
	longest func(ctx context.Context) time.Duration
	// follow keeps them in step with what they come from, until ctx ends.
	follow func(ctx context.Context)
}

// keyWay is one place where keys can be: the first way that is chosen is taken.
type keyWay struct {
	chosen bool
	open   func(ctx context.Context, dir *dataDir, config *genericapiserver.Config) (keys, error)
}

func (h *house) keyWays() []keyWay {
	o := &h.server.Options.ServiceAccounts
	return []keyWay{
		{o.SigningEndpoint != "", h.externalKeys},
		{o.SigningKeyFile != "", h.fileKeys},
		{true, h.storedKeys},
	}
}

// openKeys fills the keyring. It needs the store.
func (h *house) openKeys(ctx context.Context, dir *dataDir, config *genericapiserver.Config) error {
	for _, way := range h.keyWays() {
		if !way.chosen {
			continue
		}
		opened, err := way.open(ctx, dir, config)
		if err != nil {
			return fmt.Errorf("service account keys: %w", err)
		}
		h.opened = opened
		h.issuer.Signer = opened.signer
		return nil
	}
	return errors.New("service account keys: there is no place for them")
}

// followKeys is the start hook that keeps the keys in step with their source.
func (h *house) followKeys(ctx context.Context) error {
	h.background.Go(func() { h.opened.follow(ctx) })
	return nil
}

// fileKeys are those of the operator's files, which stay as they are until the
// server is started again.
func (h *house) fileKeys(context.Context, *dataDir, *genericapiserver.Config) (keys, error) {
	o := &h.server.Options.ServiceAccounts
	signer, err := o.givenSigner()
	if err != nil {
		return keys{}, err
	}
	others, err := o.givenKeys()
	if err != nil {
		return keys{}, err
	}
	ring, err := keyring.NewRing(signer, others...)
	if err != nil {
		return keys{}, err
	}
	h.keys.Replace(ring)
	shown := newShownKeys(
		ring,
		"the server signs with the key of --service-account-signing-key-file and makes none: put another file there and the old one into --service-account-key-file, and restart the server",
		"the keys are those of --service-account-signing-key-file and --service-account-key-file: take it out of its file and restart the server",
	)
	return keys{signer: lastingKeys{h.keys}, shown: shown, longest: unrecorded, follow: func(context.Context) {}}, nil
}

// storedKeys are those that the store holds for all its replicas.
func (h *house) storedKeys(ctx context.Context, dir *dataDir, config *genericapiserver.Config) (keys, error) {
	o := &h.server.Options.ServiceAccounts
	others, err := o.givenKeys()
	if err != nil {
		return keys{}, err
	}
	imported, err := earlierKey(dir)
	if err != nil {
		return keys{}, err
	}
	store, err := openLedger(config)
	if err != nil {
		return keys{}, err
	}
	h.server.onClose(store.Close)
	shared, err := rotation.Open(ctx, rotation.Config{
		Store: store, Policy: rotation.NewPolicy(o.SigningKeyRotation, keyring.Algorithm(o.SigningKeyAlgorithm)),
		Ring: h.keys, Others: others, Import: imported, ImportLongest: o.longestToken(), Now: h.server.Now,
	})
	if err != nil {
		return keys{}, err
	}
	h.keys.Follow(shared)
	h.origin.ledger = originLedger{key: store.EtcdKey(), asOf: shared.AsOf}
	return keys{signer: shared, shown: shared, longest: shared.Longest, follow: shared.Run}, nil
}

// openLedger opens the place of the keys in the store.
func openLedger(config *genericapiserver.Config) (*ledgerstore.Store, error) {
	place, err := secretPlace(config, ledgerstore.Resource)
	if err != nil {
		return nil, err
	}
	return ledgerstore.New(place)
}

// secretPlace is where the store keeps what no request leads to: as it keeps
// Secrets, and encrypted as the encryption configuration says of the resource.
func secretPlace(config *genericapiserver.Config, resource schema.GroupResource) (storagebackend.Config, error) {
	secrets, err := config.RESTOptionsGetter.GetRESTOptions(corev1.Resource("secrets"), &corev1.Secret{})
	if err != nil {
		return storagebackend.Config{}, fmt.Errorf("finding the store: %w", err)
	}
	place := secrets.StorageConfig.Config
	place.CompactionInterval = 0 // the storages of the resources see to it
	place.Transformer = nil
	if config.ResourceTransformers != nil {
		place.Transformer = config.ResourceTransformers.TransformerForResource(resource)
	}
	return place, nil
}

// earlierKey is the signing key of a data dir from before the store held them;
// nil if there is none.
func earlierKey(dir *dataDir) (crypto.Signer, error) {
	key, err := keyring.LoadPrivate(dir.join("pki", "sa.key"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return key, err
}

// longestToken is the longest life of a token that a server with these options
// issues.
func (o *ServiceAccountOptions) longestToken() time.Duration {
	const extended = 365 * 24 * time.Hour
	switch {
	case o.MaxExpiration == 0:
		return rotation.MaxLongest
	case o.ExtendExpiration:
		return max(o.MaxExpiration, extended)
	}
	return o.MaxExpiration
}

// unrecorded is the longest life of tokens of keys that others keep: nobody has
// written down what they have signed, here under other settings or elsewhere.
func unrecorded(context.Context) time.Duration { return rotation.MaxLongest }

// lastingKeys sign tokens of any life: the operator takes keys out of the files.
type lastingKeys struct{ keyring *keyring.Keyring }

// Sign signs with the ring in force.
func (k lastingKeys) Sign(ctx context.Context, payload []byte, _ time.Duration) (string, error) {
	return k.keyring.Sign(ctx, payload)
}

// shownKeys are keys of others: the API shows them and changes none.
type shownKeys struct {
	editions       rotation.Editions
	revision       atomic.Int64
	rotate, retire string
}

// newShownKeys shows a ring; rotate and retire say how the operator does that.
func newShownKeys(ring *keyring.Ring, rotate, retire string) *shownKeys {
	s := &shownKeys{rotate: rotate, retire: retire}
	s.show(ring)
	return s
}

// show shows another ring. Calls must not overlap.
func (s *shownKeys) show(ring *keyring.Ring) {
	var all []rotation.Status
	for i, key := range ring.Keys() {
		state := rotation.Verifying
		if i == 0 { // a ring has the signer's first
			state = rotation.Signing
		}
		all = append(all, rotation.Status{Key: key, State: state})
	}
	s.editions.Add(s.revision.Add(1), all)
}

// Editions are what has been shown.
func (s *shownKeys) Editions() *rotation.Editions { return &s.editions }

// Rotate refuses, and says how it is done.
func (s *shownKeys) Rotate(context.Context, bool) (string, error) {
	return "", &rotation.Refusal{Reason: s.rotate}
}

// Retire refuses, and says how it is done.
func (s *shownKeys) Retire(context.Context, string, bool) error {
	return &rotation.Refusal{Reason: s.retire}
}

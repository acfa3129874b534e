// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package external

import (
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	externaljwtv1 "k8s.io/externaljwt/apis/v1"

	"github.com/muster-identity/muster/keyring"
)

const (
	// maxKeyID is what the protocol allows, in bytes.
	maxKeyID = 1024
	// maxRefreshHint keeps the hint of a signer that means "never" from
	// overflowing. A key that is not known is asked for at once all the same.
	maxRefreshHint = 365 * 24 * time.Hour
)

// keySet is an answer to FetchKeys that was found good.
type keySet struct {
	keys []keyring.Key
	// at is when the signer has read them from where they are kept.
	at time.Time
	// refresh is how long they may be taken for all there are.
	refresh time.Duration
}

// readKeys checks an answer to FetchKeys. One key that cannot be used spoils
// it: the tokens of that key would fail without a reason.
// Kubernetes: pkg/serviceaccount/externaljwt/plugin/keycache.go.
func readKeys(response *externaljwtv1.FetchKeysResponse) (keySet, error) {
	hint := response.GetRefreshHintSeconds()
	if hint <= 0 {
		return keySet{}, fmt.Errorf("found invalid refresh hint (%ds)", hint)
	}
	if len(response.GetKeys()) == 0 {
		return keySet{}, errors.New("found no keys")
	}
	if err := response.GetDataTimestamp().CheckValid(); err != nil {
		return keySet{}, fmt.Errorf("invalid data timestamp: %w", err)
	}
	set := keySet{
		at:      response.GetDataTimestamp().AsTime(),
		refresh: time.Duration(min(hint, int64(maxRefreshHint/time.Second))) * time.Second,
	}
	for i, wire := range response.GetKeys() {
		key, err := readKey(wire)
		if err != nil {
			return keySet{}, fmt.Errorf("key %d: %w", i+1, err)
		}
		set.keys = append(set.keys, key)
	}
	return set, nil
}

func readKey(wire *externaljwtv1.Key) (keyring.Key, error) {
	id := wire.GetKeyId()
	if id == "" || len(id) > maxKeyID {
		return keyring.Key{}, fmt.Errorf("found invalid public key id %.64q of %d bytes: it must have 1 to %d", id, len(id), maxKeyID)
	}
	public, err := x509.ParsePKIXPublicKey(wire.GetKey())
	if err != nil {
		return keyring.Key{}, fmt.Errorf("id %.64q is no PKIX public key: %w", id, err)
	}
	key, err := keyring.NewKey(public)
	if err != nil {
		return keyring.Key{}, fmt.Errorf("id %.64q: %w", id, err)
	}
	key.ID, key.Unpublished = id, wire.GetExcludeFromOidcDiscovery()
	return key, nil
}

// sameKeys tells whether nothing has changed that anyone could notice.
func sameKeys(a, b []keyring.Key) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].ID != b[i].ID || a[i].Unpublished != b[i].Unpublished || !a[i].Equal(b[i]) {
			return false
		}
	}
	return true
}

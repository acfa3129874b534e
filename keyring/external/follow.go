// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package external

import (
	"context"
	"time"

	"google.golang.org/grpc"
	externaljwtv1 "k8s.io/externaljwt/apis/v1"
	"k8s.io/klog/v2"

	"github.com/muster-identity/muster/keyring"
)

// retryPeriod is how soon a signer that did not answer is asked again.
// Kubernetes: pkg/serviceaccount/externaljwt/plugin/keycache.go.
const retryPeriod = 10 * time.Second

// Follow looks at the signer's keys whenever it wants to be looked at, ten
// seconds after a look that failed, and when Refresh asks for it. It puts a new
// ring in force when the keys have changed, and returns when ctx has ended.
func (s *Signer) Follow(ctx context.Context, replace func(*keyring.Ring)) {
	s.looks.Serve(ctx, s.known.Load().lookAgain, func(ctx context.Context) time.Time { return s.follow(ctx, replace) })
}

// follow looks once, and returns when to look again.
func (s *Signer) follow(ctx context.Context, replace func(*keyring.Ring)) time.Time {
	bounded, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	changed, err := s.look(bounded)
	if err != nil {
		if ctx.Err() == nil {
			klog.ErrorS(err, "the keys of service account tokens cannot be seen; those known stay")
		}
		return time.Now().Add(retryPeriod)
	}
	if changed {
		replace(s.Ring())
	}
	return s.known.Load().lookAgain
}

// look asks the signer for its keys, and tells whether they have changed.
func (s *Signer) look(ctx context.Context, options ...grpc.CallOption) (changed bool, err error) {
	defer func() { s.metrics.fetched(err) }()
	response, err := s.client.FetchKeys(ctx, &externaljwtv1.FetchKeysRequest{}, options...)
	if err != nil {
		return false, s.socket.fault("FetchKeys", err)
	}
	set, err := readKeys(response)
	if err != nil {
		return false, s.socket.fault("FetchKeys", err)
	}
	now := &known{lookAgain: time.Now().Add(set.refresh)}
	before := s.known.Load()
	if before != nil && sameKeys(before.ring.Keys(), set.keys) {
		// The same ring stays, and with it all that was verified by it.
		now.ring = before.ring
	} else if now.ring, err = keyring.NewRing(edition{s, set.keys}); err != nil {
		return false, s.socket.fault("FetchKeys", err)
	}
	s.known.Store(now)
	s.metrics.keysAsOf(set.at)
	return before == nil || now.ring != before.ring, nil
}

// edition is the signer with the keys that it had at one time.
type edition struct {
	*Signer
	keys []keyring.Key
}

// Keys are all keys of the edition.
func (e edition) Keys() []keyring.Key { return e.keys }

// Refresh asks for a look at the keys and returns when it is over, whether it
// saw them or not, or when ctx ends. All who ask before it begins share one.
func (s *Signer) Refresh(ctx context.Context) { s.looks.Ask(ctx) }

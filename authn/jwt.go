// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package authn

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	tokenunion "k8s.io/apiserver/pkg/authentication/token/union"
	"k8s.io/apiserver/plugin/pkg/authenticator/token/oidc"
)

// JWTIssuers authenticates the tokens of other issuers, as an
// AuthenticationConfiguration names them, and may be given another configuration
// while it is in use. Calls may overlap.
type JWTIssuers struct {
	// ctx ends the looking for keys.
	ctx context.Context
	// ours are the issuers that no configuration may name.
	ours []string
	// id tells the servers of one metric apart.
	id string

	// replacing makes one Replace wait for the other.
	replacing sync.Mutex
	current   atomic.Pointer[issuers]
}

// issuers are those of one configuration.
type issuers struct {
	tokens  authenticator.Token
	members []oidc.AuthenticatorTokenWithHealthCheck
	urls    []string
	cancel  context.CancelFunc
}

// NewJWTIssuers starts to look for the keys of the issuers in config, and returns
// without waiting for them: until they are found, an issuer's tokens are refused.
// It looks on until ctx ends. ours are the issuers of this server's own tokens,
// id its name in metrics.
func NewJWTIssuers(ctx context.Context, config *apiserver.AuthenticationConfiguration, ours []string, id string) (*JWTIssuers, error) {
	j := &JWTIssuers{ctx: ctx, ours: ours, id: id}
	first, err := j.start(config)
	if err != nil {
		return nil, err
	}
	j.current.Store(first)
	return j, nil
}

// AuthenticateToken tells who holds a token. It is not ok without an error if
// the token is of none of the issuers.
func (j *JWTIssuers) AuthenticateToken(ctx context.Context, compact string) (*authenticator.Response, bool, error) {
	return j.current.Load().tokens.AuthenticateToken(ctx, compact)
}

const (
	// readyPoll is how often it is asked whether the keys have been found.
	readyPoll = 100 * time.Millisecond
	// leaving is how long replaced issuers serve the checks that have begun.
	leaving = time.Minute
)

// Replace puts the issuers of config in the place of the present ones, as soon
// as the keys of all are found. If that is not so before ctx ends, or config is
// not valid, it fails and the present ones stay.
func (j *JWTIssuers) Replace(ctx context.Context, config *apiserver.AuthenticationConfiguration) error {
	j.replacing.Lock()
	defer j.replacing.Unlock()
	next, err := j.start(config)
	if err != nil {
		return err
	}
	if err := next.awaitKeys(ctx); err != nil {
		next.cancel()
		return err
	}
	j.retire(j.current.Swap(next), next)
	return nil
}

// retire ends what has been replaced, once the checks that use it are over.
func (j *JWTIssuers) retire(previous, next *issuers) {
	timer := time.AfterFunc(leaving, func() {
		previous.cancel()
		for _, url := range previous.urls {
			if !slices.Contains(next.urls, url) {
				oidc.DeleteJWKSFetchMetrics(url, j.id)
			}
		}
	})
	context.AfterFunc(j.ctx, func() { timer.Stop() })
}

func (j *JWTIssuers) start(config *apiserver.AuthenticationConfiguration) (*issuers, error) {
	ctx, cancel := context.WithCancel(j.ctx)
	all := &issuers{cancel: cancel}
	var tokens []authenticator.Token
	for _, jwt := range config.JWT {
		one, err := oidc.New(ctx, j.options(jwt))
		if err != nil {
			cancel()
			return nil, fmt.Errorf("issuer %q: %w", jwt.Issuer.URL, err)
		}
		all.members = append(all.members, one)
		all.urls = append(all.urls, jwt.Issuer.URL)
		tokens = append(tokens, one)
	}
	all.tokens = tokenunion.NewFailOnError(tokens...)
	return all, nil
}

func (j *JWTIssuers) options(jwt apiserver.JWTAuthenticator) oidc.Options {
	options := oidc.Options{
		JWTAuthenticator:     jwt,
		SupportedSigningAlgs: oidc.AllValidSigningAlgorithms(),
		DisallowedIssuers:    j.ours,
		APIServerID:          j.id,
	}
	if jwt.Issuer.CertificateAuthority != "" {
		options.CAContentProvider = authority(jwt.Issuer.CertificateAuthority)
	}
	return options
}

// awaitKeys returns when the keys of all are found, or says whose were not.
func (i *issuers) awaitKeys(ctx context.Context) error {
	var missing error
	err := wait.PollUntilContextCancel(ctx, readyPoll, true, func(context.Context) (bool, error) {
		var errs []error
		for _, member := range i.members {
			errs = append(errs, member.HealthCheck())
		}
		missing = errors.Join(errs...)
		return missing == nil, nil
	})
	if err != nil && missing != nil {
		return fmt.Errorf("waiting for the keys of issuers: %w", missing)
	}
	return err
}

// authority is a certificate authority in PEM.
type authority string

// CurrentCABundleContent is the PEM.
func (a authority) CurrentCABundleContent() []byte { return []byte(a) }

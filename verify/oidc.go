// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

const (
	configurationPath = "/.well-known/openid-configuration"
	keySetPath        = "/openid/v1/jwks"
)

// OIDCOptions are those of [OIDC]. Issuer and Audiences must be set.
type OIDCOptions struct {
	// Issuer is the https URL that tokens have in their claim iss, to the letter
	// (--service-account-issuer of the API server).
	Issuer string
	// Audiences are those this service goes by. A token must be meant for one of
	// them.
	Audiences []string
	// Server, if set, is where the issuer's two documents are read, at the paths
	// that every API server has them, with the credentials of the service. Within
	// a cluster that is the usual way: see [InCluster]. Every service account may
	// read them.
	Server *APIServer
	// Client reads the documents at Issuer where there is no Server. Nil is one
	// that trusts the system's authorities. Redirects are not followed, nor is
	// anything read that is not https: a test gives the client of an
	// httptest.NewTLSServer. Without a timeout of its own it has ten seconds.
	Client *http.Client
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// OIDC makes a verifier that checks tokens with the public keys of their issuer,
// by way of OpenID Connect Discovery. It learns nothing of deletions.
//
// Keys are read by the first check, kept for as long as the issuer allows
// (Cache-Control, at most a day), and renewed from half of that time on. A token
// that names another key makes it read them again, at most every ten seconds. It
// uses no key for longer than allowed: when the issuer is away for all of that
// time, every check is ErrUnavailable.
//
// Tokens must be signed with RS256, ES256, ES384 or ES512, each key with the one
// algorithm that belongs to it. Times have a leeway of a minute, as in the API
// server.
//
// OIDC itself reads nothing from the network. Its error names the option that
// must be mended.
func OIDC(options OIDCOptions) (Verifier, error) {
	v, err := newOIDC(options)
	if err != nil {
		return nil, fmt.Errorf("making an OIDC verifier: %w", err)
	}
	return v, nil
}

type oidc struct {
	issuer    string
	audiences []string
	now       func() time.Time
	keys      *keySource
}

func newOIDC(o OIDCOptions) (*oidc, error) {
	audiences, err := checkAudiences(o.Audiences)
	if err != nil {
		return nil, err
	}
	if _, err := checkHTTPS("option Issuer", o.Issuer); err != nil {
		return nil, err
	}
	if o.Server != nil && o.Client != nil {
		return nil, errors.New("options Server and Client must not both be set: Server has a Client of its own")
	}
	v := &oidc{issuer: o.Issuer, audiences: audiences, now: o.Now}
	if v.now == nil {
		v.now = time.Now
	}
	fetch, err := v.fetcher(o)
	if err != nil {
		return nil, err
	}
	v.keys = newKeySource(fetch, v.now)
	return v, nil
}

// Verify checks a token. What can be read off the token is looked at first, so
// that nobody is asked about the tokens of others; but a reason that depends on
// its claims is given only when they are proven.
func (v *oidc) Verify(ctx context.Context, token string) (*Verdict, error) {
	p, err := parse(token)
	if err != nil {
		return nil, err
	}
	if p.claims.Issuer != v.issuer {
		return nil, refuse(ErrIssuer, "wanted is %q", v.issuer)
	}
	if p.header.KeyID == "" {
		return nil, refuse(ErrUnknownKey, "it names none")
	}
	keys, err := v.keys.find(ctx, p.header.KeyID)
	if err != nil {
		return nil, err
	}
	if err := checkSignature(token, p, keys); err != nil {
		return nil, err
	}
	if err := p.claims.checkTime(v.now()); err != nil {
		return nil, err
	}
	return p.claims.verdict(v.audiences)
}

// fetcher is how the keys are read: from the API server itself, or from where the
// issuer's document leads.
func (v *oidc) fetcher(o OIDCOptions) (func(context.Context) (fetched, error), error) {
	if o.Server != nil {
		session, err := o.Server.open()
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context) (fetched, error) {
			get := func(path string) (*answer, error) { return session.do(ctx, http.MethodGet, path, nil) }
			return v.read(get, configurationPath, func(string) (string, error) { return keySetPath, nil })
		}, nil
	}
	client := o.Client
	if client == nil {
		client = &http.Client{}
	}
	client = withoutRedirects(client)
	return func(ctx context.Context) (fetched, error) {
		get := func(url string) (*answer, error) { return getURL(ctx, client, url) }
		return v.read(get, strings.TrimSuffix(v.issuer, "/")+configurationPath, func(uri string) (string, error) {
			_, err := checkHTTPS("jwks_uri", uri)
			return uri, err
		})
	}, nil
}

// read reads the configuration and then the key set, whose place is decided by
// locate from what the configuration says.
// OpenID Connect Discovery 1.0, sections 4.2 and 4.3.
func (v *oidc) read(get func(string) (*answer, error), configuration string, locate func(jwksURI string) (string, error)) (fetched, error) {
	got, err := get(configuration)
	if err != nil {
		return fetched{}, fmt.Errorf("reading the configuration of issuer %q: %w", v.issuer, err)
	}
	var document struct {
		Issuer  string `json:"issuer"`
		JWKSURI string `json:"jwks_uri"`
	}
	if err := json.Unmarshal(got.body, &document); err != nil {
		return fetched{}, fmt.Errorf("reading the configuration of issuer %q: it is no JSON object as wanted", v.issuer)
	}
	if document.Issuer != v.issuer {
		return fetched{}, fmt.Errorf("the server describes issuer %s, wanted is %q", foreign(fmt.Sprintf("%q", document.Issuer)), v.issuer)
	}
	place, err := locate(document.JWKSURI)
	if err != nil {
		return fetched{}, fmt.Errorf("reading the configuration of issuer %q: %w", v.issuer, err)
	}
	got, err = get(place)
	if err != nil {
		return fetched{}, fmt.Errorf("reading the keys of issuer %q: %w", v.issuer, err)
	}
	keys, err := parseKeySet(got.body)
	if err != nil {
		return fetched{}, fmt.Errorf("reading the keys of issuer %q: %w", v.issuer, err)
	}
	return fetched{keys, got.age()}, nil
}

func getURL(ctx context.Context, client *http.Client, url string) (*answer, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "application/json")
	got, err := exchange(client, request)
	if err != nil {
		return nil, err
	}
	if got.code != http.StatusOK {
		return nil, &StatusError{Code: got.code}
	}
	return got, nil
}

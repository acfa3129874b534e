// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package keyring

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// Where the documents are served, and as what. Kubernetes serves them there;
// the first path is that of OpenID Connect Discovery 1.0, section 4.
const (
	ConfigurationPath = "/.well-known/openid-configuration"
	ConfigurationType = "application/json"
	KeySetPath        = "/openid/v1/jwks"
	KeySetType        = "application/jwk-set+json"
	// maxAge is for how long readers may keep either document, unless a Source
	// says otherwise. So a new key must be published for as long before it signs.
	maxAge = time.Hour
)

// CacheControl is the header that lets readers keep either document for a time.
func CacheControl(maxAge time.Duration) string {
	return fmt.Sprintf("public, max-age=%d", int64(maxAge/time.Second))
}

// Metadata are the documents with which anyone can verify tokens offline.
type Metadata struct {
	// Configuration is the OpenID Connect discovery document.
	Configuration []byte
	// KeySet is the JWKS document (RFC 7517, section 5).
	KeySet []byte
}

// configuration has the fields that a verifier needs, and no others.
// Kubernetes: pkg/serviceaccount/openidmetadata.go.
type configuration struct {
	Issuer        string   `json:"issuer"`
	JWKSURI       string   `json:"jwks_uri"`
	ResponseTypes []string `json:"response_types_supported"`
	SubjectTypes  []string `json:"subject_types_supported"`
	Algorithms    []string `json:"id_token_signing_alg_values_supported"`
}

// NewMetadata renders the documents of an issuer, without the keys that are
// not to be published. An empty jwksURI stands for KeySetPath at the issuer.
// The error says what is wrong with the URLs (OpenID Connect Discovery 1.0,
// section 3), or that there is no key to publish.
func NewMetadata(issuer, jwksURI string, keys []Key) (*Metadata, error) {
	if err := checkIssuer(issuer); err != nil {
		return nil, err
	}
	if jwksURI == "" {
		jwksURI = strings.TrimSuffix(issuer, "/") + KeySetPath
	}
	if err := checkHTTPS("JWKS URI", jwksURI); err != nil {
		return nil, err
	}
	var published []Key
	var algorithms []string
	for _, key := range keys {
		if key.Unpublished {
			continue
		}
		published = append(published, key)
		algorithms = append(algorithms, string(key.Algorithm))
	}
	if len(published) == 0 {
		return nil, errors.New("there is no key to publish")
	}
	slices.Sort(algorithms)
	return render(configuration{
		Issuer:        issuer,
		JWKSURI:       jwksURI,
		ResponseTypes: []string{"id_token"},
		SubjectTypes:  []string{"public"},
		Algorithms:    slices.Compact(algorithms),
	}, published)
}

func render(c configuration, published []Key) (*Metadata, error) {
	config, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("encoding discovery document: %w", err)
	}
	keySet, err := EncodeKeySet(published)
	if err != nil {
		return nil, err
	}
	return &Metadata{Configuration: config, KeySet: keySet}, nil
}

func checkIssuer(issuer string) error {
	if err := checkHTTPS("issuer URL", issuer); err != nil {
		return err
	}
	if strings.ContainsRune(issuer, '?') {
		return fmt.Errorf("issuer URL %q must not have a query", issuer)
	}
	if strings.ContainsRune(issuer, '#') {
		return fmt.Errorf("issuer URL %q must not have a fragment", issuer)
	}
	return nil
}

func checkHTTPS(what, raw string) error {
	u, err := url.Parse(raw)
	if err != nil {
		return fmt.Errorf("%s %q: %w", what, raw, errors.Unwrap(err))
	}
	if u.Scheme != "https" || u.Host == "" {
		return fmt.Errorf("%s %q must begin with https:// and name a host", what, raw)
	}
	return nil
}

// Publisher renders the documents once for each ring. Its methods may be
// called at the same time.
type Publisher struct {
	keyring         *Keyring
	issuer, jwksURI string
	last            atomic.Pointer[edition]
}

type edition struct {
	ring     *Ring
	metadata *Metadata
}

// NewPublisher returns the publisher of a keyring, or the error of NewMetadata,
// in which case the server logs it and serves neither document.
func NewPublisher(keyring *Keyring, issuer, jwksURI string) (*Publisher, error) {
	p := &Publisher{keyring: keyring, issuer: issuer, jwksURI: jwksURI}
	if _, err := p.Metadata(); err != nil {
		return nil, fmt.Errorf("publishing keys: %w", err)
	}
	return p, nil
}

// Metadata are the documents for the ring in force. The error, which comes of
// a ring without a key to publish, is for the log. The caller must not change
// the documents.
func (p *Publisher) Metadata() (*Metadata, error) {
	ring := p.keyring.Current()
	if last := p.last.Load(); last != nil && last.ring == ring {
		return last.metadata, nil
	}
	metadata, err := NewMetadata(p.issuer, p.jwksURI, ring.Keys())
	if err != nil {
		return nil, err
	}
	p.last.Store(&edition{ring: ring, metadata: metadata})
	return metadata, nil
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/ThalesGroup/crypto11"
	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/cryptosigner"
	"google.golang.org/protobuf/types/known/timestamppb"
	externaljwtv1 "k8s.io/externaljwt/apis/v1"
)

// policy says which key does what, by their labels in the token, which are the
// ids of the keys as well.
type policy struct {
	// Signing is the key that signs.
	Signing string `json:"signing"`
	// Published are the keys that readers of the JWKS are shown.
	Published []string `json:"published"`
	// Hidden are keys that verify and are not shown.
	Hidden []string `json:"hidden"`
	// RefreshSeconds is how soon the keys shall be asked for again.
	RefreshSeconds int64 `json:"refreshSeconds"`
	// MaxExpirationSeconds is the longest lifetime of a token.
	MaxExpirationSeconds int64 `json:"maxExpirationSeconds"`
}

// signer answers the calls of the protocol.
type signer struct {
	externaljwtv1.UnimplementedExternalJWTSignerServer
	token      *crypto11.Context
	policyFile string
}

// generate makes a key pair for ES256, whose private half cannot be read out.
func generate(token *crypto11.Context, label string) error {
	if label == "" {
		return errors.New("usage: signer generate LABEL")
	}
	_, err := token.GenerateECDSAKeyPairWithLabel([]byte(label), []byte(label), elliptic.P256())
	return err
}

func (s *signer) policy() (policy, error) {
	var p policy
	data, err := os.ReadFile(s.policyFile)
	if err != nil {
		return p, err
	}
	if err := json.Unmarshal(data, &p); err != nil {
		return p, fmt.Errorf("policy %q: %w", s.policyFile, err)
	}
	return p, nil
}

func (s *signer) key(label string) (crypto11.Signer, error) {
	key, err := s.token.FindKeyPair(nil, []byte(label))
	if err != nil {
		return nil, fmt.Errorf("key %q: %w", label, err)
	}
	if key == nil {
		return nil, fmt.Errorf("the token has no key %q", label)
	}
	return key, nil
}

// Sign signs inside the token.
func (s *signer) Sign(_ context.Context, request *externaljwtv1.SignJWTRequest) (*externaljwtv1.SignJWTResponse, error) {
	p, err := s.policy()
	if err != nil {
		return nil, err
	}
	key, err := s.key(p.Signing)
	if err != nil {
		return nil, err
	}
	payload, err := base64.RawURLEncoding.DecodeString(request.GetClaims())
	if err != nil {
		return nil, fmt.Errorf("claims: %w", err)
	}
	options := (&jose.SignerOptions{}).WithType("JWT")
	j, err := jose.NewSigner(jose.SigningKey{
		Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: cryptosigner.Opaque(key), KeyID: p.Signing},
	}, options)
	if err != nil {
		return nil, err
	}
	jws, err := j.Sign(payload)
	if err != nil {
		return nil, err
	}
	compact, err := jws.CompactSerialize()
	if err != nil {
		return nil, err
	}
	parts := strings.Split(compact, ".")
	return &externaljwtv1.SignJWTResponse{Header: parts[0], Signature: parts[2]}, nil
}

// FetchKeys shows the public halves.
func (s *signer) FetchKeys(context.Context, *externaljwtv1.FetchKeysRequest) (*externaljwtv1.FetchKeysResponse, error) {
	p, err := s.policy()
	if err != nil {
		return nil, err
	}
	response := &externaljwtv1.FetchKeysResponse{DataTimestamp: timestamppb.Now(), RefreshHintSeconds: p.RefreshSeconds}
	for hidden, labels := range map[bool][]string{false: p.Published, true: p.Hidden} {
		for _, label := range labels {
			key, err := s.key(label)
			if err != nil {
				return nil, err
			}
			der, err := x509.MarshalPKIXPublicKey(key.Public())
			if err != nil {
				return nil, fmt.Errorf("key %q: %w", label, err)
			}
			response.Keys = append(response.Keys, &externaljwtv1.Key{KeyId: label, Key: der, ExcludeFromOidcDiscovery: hidden})
		}
	}
	return response, nil
}

// Metadata tells the longest lifetime.
func (s *signer) Metadata(context.Context, *externaljwtv1.MetadataRequest) (*externaljwtv1.MetadataResponse, error) {
	p, err := s.policy()
	if err != nil {
		return nil, err
	}
	return &externaljwtv1.MetadataResponse{MaxTokenExpirationSeconds: p.MaxExpirationSeconds}, nil
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package external

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/go-jose/go-jose/v4"
	"google.golang.org/grpc"
	externaljwtv1 "k8s.io/externaljwt/apis/v1"

	"github.com/muster-identity/muster/keyring"
)

// Sign returns the payload as a compact JWS whose header names a published key
// that is known. The steps are those of Kubernetes, and the last, which is
// Muster's own:
//
//  1. the signer is asked, for as long as signTimeout if it is away;
//  2. its header says nothing but alg, kid and typ, and these as they must be;
//  3. the key is known, if need be after a look at the keys, and published;
//  4. the signature is that of this key over this payload.
//
// Kubernetes: pkg/serviceaccount/externaljwt/plugin/plugin.go.
func (s *Signer) Sign(ctx context.Context, payload []byte) (compact string, err error) {
	defer func() { s.metrics.signed(err) }()
	ctx, cancel := context.WithTimeout(ctx, signTimeout)
	defer cancel()
	claims := base64.RawURLEncoding.EncodeToString(payload)
	response, err := s.client.Sign(ctx, &externaljwtv1.SignJWTRequest{Claims: claims}, grpc.WaitForReady(true))
	if err != nil {
		return "", s.socket.fault("Sign", err)
	}
	compact, err = s.assemble(ctx, claims, response)
	if err != nil {
		return "", s.socket.fault("Sign", err)
	}
	return compact, nil
}

func (s *Signer) assemble(ctx context.Context, claims string, response *externaljwtv1.SignJWTResponse) (string, error) {
	head, err := readHeader(response.GetHeader())
	if err != nil {
		return "", fmt.Errorf("while validating header: %w", err)
	}
	key, err := s.signingKey(ctx, head.KeyID)
	if err != nil {
		return "", fmt.Errorf("while validating header: %w", err)
	}
	if response.GetSignature() == "" {
		return "", errors.New("empty signature returned")
	}
	compact := strings.Join([]string{response.GetHeader(), claims, response.GetSignature()}, ".")
	if err := verify(compact, key); err != nil {
		return "", fmt.Errorf("the signature is not that of key %q: %w", key.ID, err)
	}
	return compact, nil
}

// signingKey finds the key that has signed. One that is not published may only
// verify: the readers of the JWKS would not know it.
func (s *Signer) signingKey(ctx context.Context, id string) (keyring.Key, error) {
	key, ok := s.Ring().Key(id)
	if !ok {
		s.Refresh(ctx)
		key, ok = s.Ring().Key(id)
	}
	if !ok {
		return keyring.Key{}, fmt.Errorf("key used for signing JWT (kid: %.64q) is not among those of FetchKeys", id)
	}
	if key.Unpublished {
		return keyring.Key{}, fmt.Errorf("key used for signing JWT (kid: %s) is excluded from OIDC discovery docs", id)
	}
	return key, nil
}

// verify reads the token as its receivers will. go-jose refuses what
// readHeader could not see: names that differ by case, and those given twice.
func verify(compact string, key keyring.Key) error {
	jws, err := jose.ParseSignedCompact(compact, []jose.SignatureAlgorithm{key.Algorithm})
	if err != nil {
		return err
	}
	if _, err := jws.Verify(key.Public); err != nil {
		return err
	}
	if id := jws.Signatures[0].Protected.KeyID; id != key.ID {
		return fmt.Errorf("the header names key %.64q, read again", id)
	}
	return canonical(jws.Signatures[0].Signature, compact[strings.LastIndexByte(compact, '.')+1:])
}

type header struct {
	Algorithm string `json:"alg"`
	KeyID     string `json:"kid"`
	Type      string `json:"typ"`
}

// readHeader checks the header of a signer as Kubernetes does, and that it is
// one JSON object in base64 as it should be.
func readHeader(encoded string) (header, error) {
	raw, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil {
		return header{}, fmt.Errorf("while unwrapping header: %w", err)
	}
	if err := canonical(raw, encoded); err != nil {
		return header{}, fmt.Errorf("while unwrapping header: %w", err)
	}
	var h header
	decoder := json.NewDecoder(strings.NewReader(string(raw)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&h); err != nil {
		return header{}, fmt.Errorf("while parsing header JSON: %w", err)
	}
	if decoder.More() {
		return header{}, errors.New("while parsing header JSON: there is more than one value")
	}
	switch {
	case h.Type != "JWT":
		return header{}, errors.New("bad type")
	case h.KeyID == "":
		return header{}, errors.New("key id missing")
	case len(h.KeyID) > maxKeyID:
		return header{}, errors.New("key id longer than 1 kb")
	}
	switch jose.SignatureAlgorithm(h.Algorithm) {
	case jose.RS256, jose.ES256, jose.ES384, jose.ES512:
		return h, nil
	}
	return header{}, fmt.Errorf("bad signing algorithm %.64q", h.Algorithm)
}

// canonical refuses what decodes to the same bytes but is written otherwise: a
// token must have one form.
func canonical(raw []byte, encoded string) error {
	if base64.RawURLEncoding.EncodeToString(raw) != encoded {
		return errors.New("the base64 is not canonical")
	}
	return nil
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"
)

// coordinate is the length of each half of an ES256 signature.
const coordinate = 32

// minter makes tokens as the system would, that the system has never seen. It
// holds the system's signing key.
type minter struct {
	key *ecdsa.PrivateKey
	// header is the first part of a token, as it is in tokens.
	header string
	// before and after are the claims around the JTI.
	before, after []byte
}

// newMinter makes tokens like one that the system has issued.
func newMinter(key *ecdsa.PrivateKey, like string) (*minter, error) {
	parts := strings.Split(like, ".")
	if len(parts) != 3 {
		return nil, errors.New("what was issued is no token in three parts")
	}
	claims, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return nil, fmt.Errorf("decoding the claims of an issued token: %w", err)
	}
	var id struct {
		JTI string `json:"jti"`
	}
	if err := json.Unmarshal(claims, &id); err != nil {
		return nil, fmt.Errorf("reading the claims of an issued token: %w", err)
	}
	before, after, found := bytes.Cut(claims, []byte(id.JTI))
	if id.JTI == "" || !found {
		return nil, errors.New("an issued token has no JTI")
	}
	return &minter{key: key, header: parts[0], before: before, after: after}, nil
}

// unsigned is a new token without its signature.
func (m *minter) unsigned() string {
	claims := append(append(append([]byte{}, m.before...), uuid.NewString()...), m.after...)
	return m.header + "." + base64.RawURLEncoding.EncodeToString(claims)
}

// token is a new token.
func (m *minter) token() (string, error) {
	unsigned := m.unsigned()
	digest := sha256.Sum256([]byte(unsigned))
	r, s, err := ecdsa.Sign(rand.Reader, m.key, digest[:])
	if err != nil {
		return "", fmt.Errorf("signing a token: %w", err)
	}
	var signature [2 * coordinate]byte
	r.FillBytes(signature[:coordinate])
	s.FillBytes(signature[coordinate:])
	return unsigned + "." + base64.RawURLEncoding.EncodeToString(signature[:]), nil
}

// forged is a new token with a signature of another's making.
func (m *minter) forged() (string, error) {
	var signature [2 * coordinate]byte
	_, _ = rand.Read(signature[:]) // never fails
	return m.unsigned() + "." + base64.RawURLEncoding.EncodeToString(signature[:]), nil
}

// concurrently runs do for 0 to n-1, a few at a time.
func concurrently(ctx context.Context, n int, do func(ctx context.Context, i int) error) error {
	var next atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	for range 8 {
		group.Go(func() error {
			for {
				i := int(next.Add(1)) - 1
				if i >= n || ctx.Err() != nil {
					return ctx.Err()
				}
				if err := do(ctx, i); err != nil {
					return err
				}
			}
		})
	}
	return group.Wait()
}

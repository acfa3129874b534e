// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"time"
)

// operation is a piece of cryptography that a target allows for.
type operation string

const (
	nothing   operation = ""
	signing   operation = "an ES256 signature"
	verifying operation = "an ES256 signature check"
)

// cryptoCosts measures what the operations take on this machine, in
// microseconds: the best of several tries, as nothing makes them faster.
func cryptoCosts() (map[operation]float64, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making a key to measure with: %w", err)
	}
	digest := sha256.Sum256(nil)
	signature, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
	if err != nil {
		return nil, fmt.Errorf("measuring signatures: %w", err)
	}
	costs := map[operation]float64{nothing: 0}
	costs[signing], err = best(func() error {
		_, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("measuring signatures: %w", err)
	}
	costs[verifying], err = best(func() error {
		if !ecdsa.VerifyASN1(&key.PublicKey, digest[:], signature) {
			return errors.New("a good signature is not found good")
		}
		return nil
	})
	return costs, err
}

func best(do func() error) (microseconds float64, err error) {
	const tries, times = 20, 100
	microseconds = math.Inf(1)
	for range tries {
		begun := time.Now()
		for range times {
			if err := do(); err != nil {
				return 0, err
			}
		}
		microseconds = min(microseconds, float64(time.Since(begun).Nanoseconds())/times/1e3)
	}
	return microseconds, nil
}

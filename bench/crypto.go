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
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// operation is a piece of cryptography that a target allows for.
type operation string

const (
	nothing   operation = ""
	signing   operation = "an ES256 signature"
	verifying operation = "an ES256 signature check"
)

// cryptoCosts measures what the operations take on this machine, in
// microseconds.
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

// best is the least processor time that do has taken: others on the machine
// only make it longer.
func best(do func() error) (microseconds float64, err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	const tries, times = 20, 100
	microseconds = math.Inf(1)
	for range tries {
		begun, err := threadTime()
		if err != nil {
			return 0, err
		}
		for range times {
			if err := do(); err != nil {
				return 0, err
			}
		}
		ended, err := threadTime()
		if err != nil {
			return 0, err
		}
		microseconds = min(microseconds, float64((ended-begun).Nanoseconds())/times/1e3)
	}
	return microseconds, nil
}

// threadTime is the processor time of the calling thread.
func threadTime() (time.Duration, error) {
	var used unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &used); err != nil {
		return 0, fmt.Errorf("reading the processor time of a thread: %w", err)
	}
	return time.Duration(used.Nano()), nil
}

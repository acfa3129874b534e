// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"math/rand/v2"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/storage"
)

// errFull is the answer when everything in a range is taken.
var errFull = errors.New("range is full")

// refusedItem says why an item that was asked for cannot be had. It is for the
// client, in the words of Kubernetes.
type refusedItem string

// Error is the reason.
func (e refusedItem) Error() string { return string(e) }

func alreadyAllocated(noun string) error {
	return refusedItem("provided " + noun + " is already allocated")
}

const (
	// rangeRound is the time between two comparisons of a range with the
	// services that exist.
	rangeRound = 3 * time.Minute
	// leakRounds is in how many of them, one after the other, an item must be
	// found taken and unused before it is given back. No request lives as long.
	leakRounds = 3
)

// storedRange hands out the items of a finite range, cluster IPs or node ports,
// each to one service at a time. What is taken is a bitmap in the store, one
// corev1.RangeAllocation that all replicas change by compare-and-swap, in the
// place and form of Kubernetes (pkg/registry/core/service/allocator).
//
// An item is taken before its service is written and given back after the
// service is gone. A process that dies between the two leaves an item taken
// that nobody has. Therefore the range is compared with the services, when the
// process first needs it and then in rounds: what services have is marked (also
// the first time over a store that has no bitmap, or an old one), and what
// nobody has had for leakRounds rounds is given back.
type storedRange struct {
	storage storage.Interface
	key     string
	// text is the range as people write it; it is stored with the bitmap.
	text string
	// noun names an item in errors: "IP", "port".
	noun string
	// size is the number of items. Those below floor are never chosen, those
	// below band only when all others are taken: they are for who asks by name.
	size, floor, band int
	// inUse lists the items that the stored services have.
	inUse func(ctx context.Context) ([]int, error)
	now   func() time.Time

	// lock keeps the requests of this replica from racing each other.
	lock     sync.Mutex
	compared time.Time
	// unused counts for how many rounds an item has been taken for nobody.
	unused map[int]int
}

// claim takes an item that was asked for.
func (r *storedRange) claim(bits *big.Int, item int) error {
	if bits.Bit(item) == 1 {
		return alreadyAllocated(r.noun)
	}
	bits.SetBit(bits, item, 1)
	return nil
}

// claimNext takes a random free item.
func (r *storedRange) claimNext(bits *big.Int) (int, error) {
	for _, part := range [][2]int{{r.band, r.size}, {r.floor, r.band}} {
		low, count := part[0], part[1]-part[0]
		if count <= 0 {
			continue
		}
		start := rand.IntN(count)
		for i := range count {
			item := low + (start+i)%count
			if bits.Bit(item) == 0 {
				bits.SetBit(bits, item, 1)
				return item, nil
			}
		}
	}
	return 0, errFull
}

// release gives items back.
func (r *storedRange) release(ctx context.Context, items ...int) error {
	return r.change(ctx, func(bits *big.Int) error {
		for _, item := range items {
			bits.SetBit(bits, item, 0)
		}
		return nil
	})
}

// read returns a copy of the bitmap.
func (r *storedRange) read(ctx context.Context) (*big.Int, error) {
	stored, err := r.get(ctx)
	if err != nil {
		return nil, err
	}
	return r.bitmap(stored), nil
}

// change lets edit change the bitmap. edit may run more than once, each time on
// a fresh copy; its error ends the change and is returned as it is.
func (r *storedRange) change(ctx context.Context, edit func(bits *big.Int) error) error {
	r.lock.Lock()
	defer r.lock.Unlock()
	if now := r.now(); r.compared.IsZero() || now.Sub(r.compared) >= rangeRound {
		if err := r.compare(ctx); err != nil {
			return fmt.Errorf("comparing the range %s with the services: %w", r.text, err)
		}
		r.compared = now
	}
	return r.write(ctx, func(stored *corev1.RangeAllocation) error {
		if stored.Range != r.text {
			return fmt.Errorf("the stored range %q is not the configured range %q", stored.Range, r.text)
		}
		bits := r.bitmap(stored)
		if err := edit(bits); err != nil {
			return err
		}
		stored.Data = bits.Bytes()
		return nil
	})
}

// compare is one round. It clears nothing if another replica has changed the
// bitmap since it was read: that change may be for one of the leaks.
func (r *storedRange) compare(ctx context.Context) error {
	before, err := r.get(ctx)
	if err != nil {
		return err
	}
	used, err := r.inUse(ctx)
	if err != nil {
		return err
	}
	unused, leaks := r.countUnused(r.bitmap(before), used)
	err = r.write(ctx, func(stored *corev1.RangeAllocation) error {
		bits := r.bitmap(stored)
		if stored.ResourceVersion == before.ResourceVersion {
			for _, item := range leaks {
				bits.SetBit(bits, item, 0)
			}
		}
		for _, item := range used {
			bits.SetBit(bits, item, 1)
		}
		stored.Range, stored.Data = r.text, bits.Bytes()
		return nil
	})
	if err != nil {
		return err
	}
	r.unused = unused
	return nil
}

// countUnused counts this round for what is taken but not used, and returns
// what has been so for long enough.
func (r *storedRange) countUnused(taken *big.Int, used []int) (unused map[int]int, leaks []int) {
	for _, item := range used {
		taken.SetBit(taken, item, 0)
	}
	unused = map[int]int{}
	for item := range r.size {
		if taken.Bit(item) == 0 {
			continue
		}
		unused[item] = r.unused[item] + 1
		if unused[item] >= leakRounds {
			leaks = append(leaks, item)
		}
	}
	return unused, leaks
}

// bitmap reads the stored bits; those of another range mean nothing here.
func (r *storedRange) bitmap(stored *corev1.RangeAllocation) *big.Int {
	bits := new(big.Int)
	if stored.Range == r.text {
		bits.SetBytes(stored.Data)
	}
	return bits
}

func (r *storedRange) get(ctx context.Context) (*corev1.RangeAllocation, error) {
	stored := &corev1.RangeAllocation{}
	return stored, r.storage.Get(ctx, r.key, storage.GetOptions{IgnoreNotFound: true}, stored)
}

func (r *storedRange) write(ctx context.Context, edit func(stored *corev1.RangeAllocation) error) error {
	return r.storage.GuaranteedUpdate(ctx, r.key, &corev1.RangeAllocation{}, true, nil,
		storage.SimpleUpdate(func(input runtime.Object) (runtime.Object, error) {
			stored := input.(*corev1.RangeAllocation)
			return stored, edit(stored)
		}), nil)
}

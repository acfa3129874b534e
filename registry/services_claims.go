// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"fmt"
	"math/big"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// giveBackTimeout bounds the writes that give items back after a request.
const giveBackTimeout = 10 * time.Second

// serviceREST is the storage of services. It accompanies each write with the
// claims on addresses and ports that the write makes: a write may be tried more
// than once, and only its end tells which claims hold.
type serviceREST struct {
	*named
}

// Create stores a new service and what it was given.
func (s *serviceREST) Create(ctx context.Context, obj runtime.Object, validate rest.ValidateObjectFunc, options *metav1.CreateOptions) (runtime.Object, error) {
	claims := newClaims(options.DryRun)
	out, err := s.named.Create(withClaims(ctx, claims), obj, validate, options)
	claims.settle(ctx, err)
	return out, err
}

// Update changes a service, or creates one.
func (s *serviceREST) Update(ctx context.Context, name string, info rest.UpdatedObjectInfo, create rest.ValidateObjectFunc, update rest.ValidateObjectUpdateFunc, forceCreate bool, options *metav1.UpdateOptions) (runtime.Object, bool, error) {
	claims := newClaims(options.DryRun)
	out, created, err := s.named.Update(withClaims(ctx, claims), name, info, create, update, forceCreate, options)
	claims.settle(ctx, err)
	return out, created, err
}

// claims are the items that one request takes and gives up. One goroutine uses
// them.
type claims struct {
	// kept were taken by the current try of the write, surplus by earlier ones.
	kept, surplus []claim
	// freed are to be given back if the write succeeds.
	freed []claim
	// dryRun holds the bitmaps on which a dry run tries its luck, by range; it
	// is nil if the request is none.
	dryRun map[*storedRange]*big.Int
}

type claim struct {
	from *storedRange
	item int
}

func newClaims(dryRun []string) *claims {
	if len(dryRun) > 0 {
		return &claims{dryRun: map[*storedRange]*big.Int{}}
	}
	return &claims{}
}

type claimsKey struct{}

func withClaims(ctx context.Context, c *claims) context.Context {
	return context.WithValue(ctx, claimsKey{}, c)
}

// beginTry is called at the start of each try of a write.
func beginTry(ctx context.Context) (*claims, error) {
	c, ok := ctx.Value(claimsKey{}).(*claims)
	if !ok {
		return nil, apierrors.NewInternalError(fmt.Errorf("a service is written past its storage"))
	}
	c.surplus = append(c.surplus, c.kept...)
	c.kept, c.freed = nil, nil
	return c, nil
}

// take claims an item that was asked for.
func (c *claims) take(ctx context.Context, from *storedRange, item int) error {
	if err := c.edit(ctx, from, func(bits *big.Int) error { return from.claim(bits, item) }); err != nil {
		return err
	}
	c.kept = append(c.kept, claim{from, item})
	return nil
}

// takeNext claims any free item.
func (c *claims) takeNext(ctx context.Context, from *storedRange) (int, error) {
	var item int
	err := c.edit(ctx, from, func(bits *big.Int) (err error) {
		item, err = from.claimNext(bits)
		return err
	})
	if err != nil {
		return 0, err
	}
	c.kept = append(c.kept, claim{from, item})
	return item, nil
}

// free marks an item to be given back when the write has succeeded.
func (c *claims) free(from *storedRange, item int) {
	c.freed = append(c.freed, claim{from, item})
}

func (c *claims) edit(ctx context.Context, from *storedRange, edit func(*big.Int) error) error {
	if c.dryRun == nil {
		return from.change(ctx, edit)
	}
	bits, ok := c.dryRun[from]
	if !ok {
		var err error
		if bits, err = from.read(ctx); err != nil {
			return err
		}
		c.dryRun[from] = bits
	}
	return edit(bits)
}

// settle gives back what the end of the request leaves without an owner. After
// a request that ran out of time nobody knows whether the last try was stored:
// what it took is left to the next comparisons of the range with the services.
func (c *claims) settle(ctx context.Context, err error) {
	if c.dryRun != nil {
		return
	}
	loose := c.surplus
	switch {
	case err == nil:
		loose = append(loose, c.freed...)
	case ctx.Err() == nil && !apierrors.IsTimeout(err) && !apierrors.IsServerTimeout(err):
		loose = append(loose, c.kept...)
	}
	giveBack(ctx, loose)
}

// giveBack releases items, even if the request is over. If it cannot, the next
// comparisons of the range with the services will.
func giveBack(ctx context.Context, loose []claim) {
	items := map[*storedRange][]int{}
	for _, c := range loose {
		items[c.from] = append(items[c.from], c.item)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), giveBackTimeout)
	defer cancel()
	for from, list := range items {
		if err := from.release(ctx, list...); err != nil {
			utilruntime.HandleErrorWithContext(ctx, err, "Releasing addresses or ports of a service", "range", from.text, "items", len(list))
		}
	}
}

// releasingStorage gives back what a service had when it is deleted. It stands
// below the generic store, where every deletion comes through once.
type releasingStorage struct {
	storage.Interface
	ranges *serviceRanges
}

// Delete removes a service and gives back its addresses and ports.
func (s *releasingStorage) Delete(ctx context.Context, key string, out runtime.Object, preconditions *storage.Preconditions, validate storage.ValidateObjectFunc, cached runtime.Object, options storage.DeleteOptions) error {
	if err := s.Interface.Delete(ctx, key, out, preconditions, validate, cached, options); err != nil {
		return err
	}
	if service, ok := out.(*corev1.Service); ok {
		giveBack(ctx, s.ranges.claimsOf(service))
	}
	return nil
}

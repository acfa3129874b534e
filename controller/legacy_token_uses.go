// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// lastUsedLabel of a Secret is the day on which its token was last used.
const lastUsedLabel = "kubernetes.io/legacy-token-last-used"

// LegacyTokenUse is the use of the token of a Secret on a day, as in
// "2026-11-01".
type LegacyTokenUse struct {
	Namespace, Name string
	UID             types.UID
	Day             string
}

// LegacyTokenUses marks Secrets with the day of their token's last use
// (Kubernetes: pkg/serviceaccount/legacy.go). Whoever checks a token does not
// wait for it: a use is noted, and written until it is written or its Secret is
// gone. Make one with NewLegacyTokenUses and hand it to New.
type LegacyTokenUses struct {
	queue workqueue.TypedRateLimitingInterface[LegacyTokenUse]
	// client is set by New.
	client client.Client
}

// NewLegacyTokenUses has nothing to write yet.
func NewLegacyTokenUses() *LegacyTokenUses {
	return &LegacyTokenUses{queue: workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[LegacyTokenUse]())}
}

// Note has a use written down. It does not wait, and the same use costs one
// write however often it is noted meanwhile.
func (u *LegacyTokenUses) Note(use LegacyTokenUse) { u.queue.Add(use) }

// write writes until ctx ends, and then what has been noted by then.
func (u *LegacyTokenUses) write(ctx context.Context) {
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		<-ctx.Done()
		u.queue.ShutDownWithDrain()
	}()
	for u.next(context.WithoutCancel(ctx)) {
	}
	<-drained
}

// next writes one use. It is false when there will be no more.
func (u *LegacyTokenUses) next(ctx context.Context) bool {
	use, ended := u.queue.Get()
	if ended {
		return false
	}
	defer u.queue.Done(use)
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	if err := u.mark(ctx, use); err != nil {
		klog.ErrorS(err, "noting the use of a token", "secret", klog.KRef(use.Namespace, use.Name))
		u.queue.AddRateLimited(use)
		return true
	}
	u.queue.Forget(use)
	return true
}

// mark writes the label. A Secret that is gone, or another one by now, needs no
// mark.
func (u *LegacyTokenUses) mark(ctx context.Context, use LegacyTokenUse) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"uid": use.UID, "labels": map[string]string{lastUsedLabel: use.Day},
	}})
	if err != nil {
		return fmt.Errorf("marking a secret: %w", err)
	}
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: use.Namespace, Name: use.Name}}
	err = u.client.Patch(ctx, secret, client.RawPatch(types.MergePatchType, patch))
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return err
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	coordinationv1client "k8s.io/client-go/kubernetes/typed/coordination/v1"
)

const (
	leaseSeconds = 15
	leaseRenewal = 5 * time.Second
)

// lease is what the Pod lives by: while it is renewed, the process is there. The Pod owns it, so that it is
// gone when the Pod is.
type lease struct {
	client coordinationv1client.LeaseInterface
	now    func() time.Time
	pod    *corev1.Pod
	uid    types.UID // set by create
}

// create makes the Lease. One that an earlier Pod of the same name left is in the way and is removed.
func (l *lease) create(ctx context.Context) error {
	err := l.tryCreate(ctx)
	if apierrors.IsAlreadyExists(err) && l.removeOrphan(ctx) {
		err = l.tryCreate(ctx)
	}
	if err != nil {
		return fmt.Errorf("creating lease: %w", err)
	}
	return nil
}

func (l *lease) tryCreate(ctx context.Context) error {
	created, err := l.client.Create(ctx, &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: l.pod.Namespace,
			Name:      l.pod.Name,
			Labels:    map[string]string{RunLabel: RunLabelValue},
			OwnerReferences: []metav1.OwnerReference{
				{APIVersion: "v1", Kind: "Pod", Name: l.pod.Name, UID: l.pod.UID},
			},
		},
		Spec: coordinationv1.LeaseSpec{
			HolderIdentity:       new(string(l.pod.UID)),
			LeaseDurationSeconds: new(int32(leaseSeconds)),
			RenewTime:            new(metav1.NewMicroTime(l.now())),
		},
	}, metav1.CreateOptions{})
	if err == nil {
		l.uid = created.UID
	}
	return err
}

// removeOrphan deletes the Lease of our name if it belonged to another Pod of our name, and reports whether
// the name is free now.
func (l *lease) removeOrphan(ctx context.Context) bool {
	found, err := l.client.Get(ctx, l.pod.Name, metav1.GetOptions{})
	if err != nil {
		return apierrors.IsNotFound(err)
	}
	for _, owner := range found.OwnerReferences {
		if owner.Kind == "Pod" && owner.Name == l.pod.Name && owner.UID != l.pod.UID {
			return l.remove(ctx, found.UID) == nil
		}
	}
	return false
}

// renew says that the process is there for another while, and makes the Lease anew if it is gone.
func (l *lease) renew(ctx context.Context) error {
	err := l.touch(ctx)
	if apierrors.IsNotFound(err) {
		err = l.tryCreate(ctx)
	}
	if err != nil {
		return fmt.Errorf("renewing lease %q: %w", l.pod.Name, err)
	}
	return nil
}

// touch renews a Lease that is there. By a merge patch, because nobody else has a say in this field: there is no
// version to conflict with.
func (l *lease) touch(ctx context.Context) error {
	patch, err := json.Marshal(map[string]any{"spec": map[string]any{"renewTime": metav1.NewMicroTime(l.now())}})
	if err == nil {
		_, err = l.client.Patch(ctx, l.pod.Name, types.MergePatchType, patch, metav1.PatchOptions{})
	}
	return err
}

// keep renews the Lease until ctx ends and reports each turn for the worse.
func (l *lease) keep(ctx context.Context, report func(error)) {
	trouble := streak{report: report}
	tick := time.NewTicker(leaseRenewal)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			trouble.note(ctx, inTime(ctx, l.renew))
		}
	}
}

// inTime gives up when the next renewal is due.
func inTime(ctx context.Context, renew func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, leaseRenewal)
	defer cancel()
	return renew(ctx)
}

// end deletes the Lease; that of another Pod of the same name stays.
func (l *lease) end(ctx context.Context) error {
	uid := l.uid
	if uid == "" {
		found, err := l.client.Get(ctx, l.pod.Name, metav1.GetOptions{})
		if err != nil || len(found.OwnerReferences) != 1 || found.OwnerReferences[0].UID != l.pod.UID {
			return nil
		}
		uid = found.UID
	}
	if err := l.remove(ctx, uid); err != nil {
		return fmt.Errorf("deleting lease %q: %w", l.pod.Name, err)
	}
	return nil
}

func (l *lease) remove(ctx context.Context, uid types.UID) error {
	return insist(ctx, func() error {
		return l.client.Delete(ctx, l.pod.Name, metav1.DeleteOptions{
			Preconditions: metav1.NewUIDPreconditions(string(uid)),
		})
	})
}

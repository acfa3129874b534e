// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package noderestriction

import (
	"context"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/muster-identity/muster/live"
)

// lookups finds objects, and words what is missing as the caches of client-go do,
// from which Kubernetes' plugin reads: by the singular of the resource.
type lookups struct{ objects Objects }

func (l lookups) pod(ctx context.Context, namespace, name string) (live.Pod, error) {
	pod, err := l.objects.Pod(ctx, namespace, name)
	return pod, singular(err, "pod", name)
}

func (l lookups) node(ctx context.Context, name string) (live.Node, error) {
	node, err := l.objects.Node(ctx, name)
	return node, singular(err, "node", name)
}

func (l lookups) account(ctx context.Context, namespace, name string) (live.ServiceAccount, error) {
	account, err := l.objects.ServiceAccount(ctx, namespace, name)
	return account, singular(err, "serviceaccount", name)
}

func singular(err error, resource, name string) error {
	if apierrors.IsNotFound(err) {
		return apierrors.NewNotFound(schema.GroupResource{Resource: resource}, name)
	}
	return err
}

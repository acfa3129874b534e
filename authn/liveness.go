// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package authn

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/muster-identity/muster/live"
	"github.com/muster-identity/muster/token"
)

var (
	// errInvalidated is what Kubernetes says of a token whose bound object is gone.
	errInvalidated = errors.New("service account token has been invalidated")
	// errWebhook is what Kubernetes says where no webhooks get tokens.
	errWebhook = errors.New(`feature gate "APIServerWebhookAuthenticationToken" is disabled, but token is webhook bound`)
)

// validateObjects tells whether the account and the objects that the token is
// bound to exist, by UID, and are not deleted. A token is bound to one object;
// should one name several, all of them must be alive.
// Kubernetes: pkg/serviceaccount/claims.go (Validate).
func (s *ServiceAccounts) validateObjects(ctx context.Context, claims *token.Claims, now time.Time) error {
	k := &claims.Kubernetes
	if err := s.validateAccount(ctx, k, now); err != nil {
		return err
	}
	node := k.Node
	if k.Pod != nil {
		node = nil // it tells where the pod runs, and may be gone before the pod is
	}
	for _, bound := range []binding{
		{"secret", k.Secret, secretMeta},
		{"pod", k.Pod, podMeta},
		{"node", node, nodeMeta},
	} {
		if err := s.validateBinding(ctx, k.Namespace, bound, now); err != nil {
			return err
		}
	}
	if k.ValidatingWebhookConfiguration != nil || k.MutatingWebhookConfiguration != nil {
		return errWebhook
	}
	return nil
}

func (s *ServiceAccounts) validateAccount(ctx context.Context, k *token.Kubernetes, now time.Time) error {
	account, err := s.current(ctx, accountMeta, k.Namespace, k.ServiceAccount)
	if err != nil {
		return err
	}
	if string(account.UID) != k.ServiceAccount.UID {
		return fmt.Errorf("service account UID (%s) does not match claim (%s)", account.UID, k.ServiceAccount.UID)
	}
	if account.Deleted(now, s.DeletionGrace) {
		return fmt.Errorf("service account %s/%s has been deleted", k.Namespace, k.ServiceAccount.Name)
	}
	return nil
}

// binding is one object that a token may be bound to; ref is nil if it is not.
type binding struct {
	kind string
	ref  *token.Ref
	get  lookup
}

func (s *ServiceAccounts) validateBinding(ctx context.Context, namespace string, bound binding, now time.Time) error {
	if bound.ref == nil {
		return nil
	}
	object, err := s.current(ctx, bound.get, namespace, *bound.ref)
	if err != nil {
		if apierrors.IsNotFound(err) {
			return errInvalidated
		}
		return err
	}
	if string(object.UID) != bound.ref.UID {
		return fmt.Errorf("%s UID (%s) does not match service account %s ref claim (%s)", bound.kind, object.UID, bound.kind, bound.ref.UID)
	}
	if object.Deleted(now, s.DeletionGrace) {
		return errInvalidated
	}
	return nil
}

// current reads an object from memory, and from the store if memory knows
// another one of the name: a token may be younger than what memory knows.
func (s *ServiceAccounts) current(ctx context.Context, get lookup, namespace string, ref token.Ref) (live.Meta, error) {
	object, err := get(ctx, s.Objects, namespace, ref.Name)
	if err != nil || string(object.UID) == ref.UID {
		return object, err
	}
	return get(ctx, s.Fresh, namespace, ref.Name)
}

// lookup reads an object of one kind.
type lookup func(ctx context.Context, objects Objects, namespace, name string) (live.Meta, error)

func accountMeta(ctx context.Context, objects Objects, namespace, name string) (live.Meta, error) {
	account, err := objects.ServiceAccount(ctx, namespace, name)
	return account.Meta, err
}

func secretMeta(ctx context.Context, objects Objects, namespace, name string) (live.Meta, error) {
	secret, err := objects.Secret(ctx, namespace, name)
	return secret.Meta, err
}

func podMeta(ctx context.Context, objects Objects, namespace, name string) (live.Meta, error) {
	pod, err := objects.Pod(ctx, namespace, name)
	return pod.Meta, err
}

func nodeMeta(ctx context.Context, objects Objects, _, name string) (live.Meta, error) {
	node, err := objects.Node(ctx, name)
	return node.Meta, err
}

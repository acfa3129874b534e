// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package authn

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/muster-identity/muster/live"
	"github.com/muster-identity/muster/token"
)

// errInvalidated is what Kubernetes says of a token whose bound object is gone.
var errInvalidated = errors.New("service account token has been invalidated")

// checkAccount tells whether the account exists, by UID, and is not deleted.
// Kubernetes: pkg/serviceaccount/claims.go (Validate).
func checkAccount(ctx context.Context, c check) error {
	k := &c.claims.Kubernetes
	account, err := c.current(ctx, accountMeta, k.Namespace, k.ServiceAccount)
	if err != nil {
		return missing("account", err, err)
	}
	if string(account.UID) != k.ServiceAccount.UID {
		return &found{fmt.Errorf("service account UID (%s) does not match claim (%s)", account.UID, k.ServiceAccount.UID), "another one: UID " + string(account.UID)}
	}
	if account.Deleted(c.now, c.DeletionGrace) {
		return &found{fmt.Errorf("service account %s/%s has been deleted", k.Namespace, k.ServiceAccount.Name), "one deleted at " + moment(account.DeletedAt)}
	}
	return nil
}

func showAccount(c check) (wanted, got string) {
	k := &c.claims.Kubernetes
	return named(k.Namespace, k.ServiceAccount), "the same"
}

// A token is bound to one object; should one name several, all must be alive.

func boundSecret(k *token.Kubernetes) *token.Ref { return k.Secret }

func boundPod(k *token.Kubernetes) *token.Ref { return k.Pod }

// boundNode is not the node of a pod's token: it tells where the pod runs, and
// may be gone before the pod is.
func boundNode(k *token.Kubernetes) *token.Ref {
	if k.Pod != nil {
		return nil
	}
	return k.Node
}

// objectStep tells whether the object of one kind that the token is bound to
// exists, by UID, and is not deleted.
func objectStep(kind string, bound func(*token.Kubernetes) *token.Ref, get lookup) step {
	return step{
		name: kind, place: placeObjects,
		applies: func(c check) bool { return bound(&c.claims.Kubernetes) != nil },
		run: func(ctx context.Context, c check) error {
			return c.checkObject(ctx, kind, kind, *bound(&c.claims.Kubernetes), get)
		},
		show: func(c check) (wanted, got string) {
			return named(c.claims.Kubernetes.Namespace, *bound(&c.claims.Kubernetes)), "the same"
		},
	}
}

// checkObject calls the claim of the object's kind by its own name.
func (c check) checkObject(ctx context.Context, kind, claim string, ref token.Ref, get lookup) error {
	object, err := c.current(ctx, get, c.claims.Kubernetes.Namespace, ref)
	if err != nil {
		return missing(kind, err, errInvalidated)
	}
	if string(object.UID) != ref.UID {
		return &found{fmt.Errorf("%s UID (%s) does not match service account %s ref claim (%s)", kind, object.UID, claim, ref.UID), "another one: UID " + string(object.UID)}
	}
	if object.Deleted(c.now, c.DeletionGrace) {
		return &found{errInvalidated, "one deleted at " + moment(object.DeletedAt)}
	}
	return nil
}

// missing says in the words of verdict that an object does not exist, unless
// err is another error.
func missing(kind string, err, verdict error) error {
	if apierrors.IsNotFound(err) {
		return &found{verdict, "no such " + kind}
	}
	return err
}

func named(namespace string, ref token.Ref) string {
	return fmt.Sprintf("%q in namespace %q with UID %q", ref.Name, namespace, ref.UID)
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

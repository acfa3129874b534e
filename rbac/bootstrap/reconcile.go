// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Client reads and writes the objects of one kind, in one namespace or, if the
// kind has none, in the cluster. Calls may overlap. The typed clients of
// client-go are of this form.
type Client[T, L any] interface {
	Get(ctx context.Context, name string, options metav1.GetOptions) (T, error)
	List(ctx context.Context, options metav1.ListOptions) (L, error)
	Create(ctx context.Context, obj T, options metav1.CreateOptions) (T, error)
	Update(ctx context.Context, obj T, options metav1.UpdateOptions) (T, error)
	Delete(ctx context.Context, name string, options metav1.DeleteOptions) error
}

// Clients are those of the four kinds. Those of namespaces are for kube-system,
// where all objects of a namespace are. Whoever they act as must be able to grant
// anything.
type Clients struct {
	ClusterRoles        Client[*rbacv1.ClusterRole, *rbacv1.ClusterRoleList]
	ClusterRoleBindings Client[*rbacv1.ClusterRoleBinding, *rbacv1.ClusterRoleBindingList]
	Roles               Client[*rbacv1.Role, *rbacv1.RoleList]
	RoleBindings        Client[*rbacv1.RoleBinding, *rbacv1.RoleBindingList]
}

// atOnce is how many writes are under way at a time.
const atOnce = 16

// Reconcile sees to it that all roles and bindings of this package exist and have
// at least what is theirs. It does as much as it can; the error joins what
// failed, and is mended by trying again. The namespace kube-system must exist.
func Reconcile(ctx context.Context, clients Clients) error {
	var w writes
	w.group.SetLimit(atOnce)
	var kinds sync.WaitGroup
	kinds.Go(func() {
		kind[*rbacv1.ClusterRole, *rbacv1.ClusterRoleList]{
			name: "cluster role", client: clients.ClusterRoles, wanted: ClusterRoles(), merge: ReconcileClusterRole,
			items: func(l *rbacv1.ClusterRoleList) []*rbacv1.ClusterRole { return pointers(l.Items) },
		}.reconcile(ctx, &w)
	})
	kinds.Go(func() {
		kind[*rbacv1.ClusterRoleBinding, *rbacv1.ClusterRoleBindingList]{
			name: "cluster role binding", client: clients.ClusterRoleBindings, wanted: ClusterRoleBindings(), merge: ReconcileClusterRoleBinding,
			items: func(l *rbacv1.ClusterRoleBindingList) []*rbacv1.ClusterRoleBinding { return pointers(l.Items) },
		}.reconcile(ctx, &w)
	})
	kinds.Go(func() {
		kind[*rbacv1.Role, *rbacv1.RoleList]{
			name: "role", client: clients.Roles, wanted: Roles(), merge: ReconcileRole,
			items: func(l *rbacv1.RoleList) []*rbacv1.Role { return pointers(l.Items) },
		}.reconcile(ctx, &w)
	})
	kinds.Go(func() {
		kind[*rbacv1.RoleBinding, *rbacv1.RoleBindingList]{
			name: "role binding", client: clients.RoleBindings, wanted: RoleBindings(), merge: ReconcileRoleBinding,
			items: func(l *rbacv1.RoleBindingList) []*rbacv1.RoleBinding { return pointers(l.Items) },
		}.reconcile(ctx, &w)
	})
	kinds.Wait()
	return w.wait()
}

// writes are those under way, and the errors of those that have ended.
type writes struct {
	group errgroup.Group
	mu    sync.Mutex
	errs  []error // under mu
}

func (w *writes) do(write func() error) {
	w.group.Go(func() error {
		if err := write(); err != nil {
			w.failed(err)
		}
		return nil
	})
}

func (w *writes) failed(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.errs = append(w.errs, err)
}

func (w *writes) wait() error {
	_ = w.group.Wait() // always nil: errors are collected, not the first alone
	return errors.Join(w.errs...)
}

// kind is the objects of one kind that are to exist.
type kind[T metav1.Object, L any] struct {
	name   string
	client Client[T, L]
	wanted []T
	merge  func(existing, wanted T) (T, Action)
	items  func(L) []T
}

// reconcile makes one list, and then the writes that are needed.
func (k kind[T, L]) reconcile(ctx context.Context, w *writes) {
	// Only our own: there may be very many bindings. One that has lost its label
	// shows when its creation fails.
	list, err := k.client.List(ctx, metav1.ListOptions{LabelSelector: bootstrapping})
	if err != nil {
		w.failed(fmt.Errorf("reconciling default %ss: listing them: %w", k.name, err))
		return
	}
	existing := map[string]T{}
	for _, obj := range k.items(list) {
		existing[obj.GetName()] = obj
	}
	for _, wanted := range k.wanted {
		o := object[T, L]{kind: k, wanted: wanted}
		o.existing, o.exists = existing[wanted.GetName()]
		w.do(func() error { return o.reconcile(ctx) })
	}
}

// object is one object on its way to what is wanted.
type object[T metav1.Object, L any] struct {
	kind     kind[T, L]
	wanted   T
	existing T // if exists
	exists   bool
}

// attempts is how often an object is looked at again that others write, too:
// other replicas do the same at the same time.
const attempts = 4

func (o *object[T, L]) reconcile(ctx context.Context) error {
	var err error
	for range attempts {
		err = o.write(ctx)
		if !apierrors.IsAlreadyExists(err) && !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) {
			break
		}
		if readErr := o.read(ctx); readErr != nil {
			err = readErr
			break
		}
	}
	if err != nil {
		return fmt.Errorf("reconciling %s %q: %w", o.kind.name, o.wanted.GetName(), err)
	}
	return nil
}

func (o *object[T, L]) read(ctx context.Context) error {
	existing, err := o.kind.client.Get(ctx, o.wanted.GetName(), metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		o.exists = false
		return nil
	}
	o.existing, o.exists = existing, true
	return err
}

func (o *object[T, L]) write(ctx context.Context) error {
	if !o.exists {
		_, err := o.kind.client.Create(ctx, o.wanted, metav1.CreateOptions{})
		return err
	}
	result, action := o.kind.merge(o.existing, o.wanted)
	switch action {
	case Update:
		_, err := o.kind.client.Update(ctx, result, metav1.UpdateOptions{})
		return err
	case Recreate:
		uid := o.existing.GetUID()
		err := o.kind.client.Delete(ctx, o.existing.GetName(), metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid}})
		if err != nil && !apierrors.IsNotFound(err) {
			return err
		}
		_, err = o.kind.client.Create(ctx, result, metav1.CreateOptions{})
		return err
	default:
		return nil
	}
}

func pointers[T any](items []T) []*T {
	all := make([]*T, len(items))
	for i := range items {
		all[i] = &items[i]
	}
	return all
}

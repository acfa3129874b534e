// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package bootstrap_test

import (
	"context"
	"errors"
	"maps"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	rbacv1client "k8s.io/client-go/kubernetes/typed/rbac/v1"

	"github.com/muster-identity/muster/rbac/bootstrap"
)

// The clients that the server hands in.
var (
	_ bootstrap.Client[*rbacv1.ClusterRole, *rbacv1.ClusterRoleList]               = rbacv1client.ClusterRoleInterface(nil)
	_ bootstrap.Client[*rbacv1.ClusterRoleBinding, *rbacv1.ClusterRoleBindingList] = rbacv1client.ClusterRoleBindingInterface(nil)
	_ bootstrap.Client[*rbacv1.Role, *rbacv1.RoleList]                             = rbacv1client.RoleInterface(nil)
	_ bootstrap.Client[*rbacv1.RoleBinding, *rbacv1.RoleBindingList]               = rbacv1client.RoleBindingInterface(nil)
)

// apiServer keeps objects as an API server does, as far as Reconcile can tell:
// optimistic concurrency, label selectors, preconditions.
type apiServer struct {
	mu       sync.Mutex
	revision int
	requests map[string]int // by verb
	// before is called ahead of each request; an error is its answer.
	before func(verb, name string) error

	clusterRoles        client[rbacv1.ClusterRole, *rbacv1.ClusterRole, rbacv1.ClusterRoleList]
	clusterRoleBindings client[rbacv1.ClusterRoleBinding, *rbacv1.ClusterRoleBinding, rbacv1.ClusterRoleBindingList]
	roles               client[rbacv1.Role, *rbacv1.Role, rbacv1.RoleList]
	roleBindings        client[rbacv1.RoleBinding, *rbacv1.RoleBinding, rbacv1.RoleBindingList]
}

func newAPIServer() *apiServer {
	s := &apiServer{requests: map[string]int{}, before: func(string, string) error { return nil }}
	s.clusterRoles = newClient[rbacv1.ClusterRole, *rbacv1.ClusterRole](s, func(items []rbacv1.ClusterRole) *rbacv1.ClusterRoleList {
		return &rbacv1.ClusterRoleList{Items: items}
	})
	s.clusterRoleBindings = newClient[rbacv1.ClusterRoleBinding, *rbacv1.ClusterRoleBinding](s, func(items []rbacv1.ClusterRoleBinding) *rbacv1.ClusterRoleBindingList {
		return &rbacv1.ClusterRoleBindingList{Items: items}
	})
	s.roles = newClient[rbacv1.Role, *rbacv1.Role](s, func(items []rbacv1.Role) *rbacv1.RoleList { return &rbacv1.RoleList{Items: items} })
	s.roleBindings = newClient[rbacv1.RoleBinding, *rbacv1.RoleBinding](s, func(items []rbacv1.RoleBinding) *rbacv1.RoleBindingList {
		return &rbacv1.RoleBindingList{Items: items}
	})
	return s
}

func (s *apiServer) reconcile(ctx context.Context) (requests map[string]int, err error) {
	s.mu.Lock()
	s.requests = map[string]int{}
	s.mu.Unlock()
	err = bootstrap.Reconcile(ctx, bootstrap.Clients{
		ClusterRoles: s.clusterRoles, ClusterRoleBindings: s.clusterRoleBindings, Roles: s.roles, RoleBindings: s.roleBindings,
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.requests), err
}

// object is a *T that the server can keep.
type object[T any] interface {
	*T
	metav1.Object
	DeepCopy() *T
}

type client[T any, P object[T], L any] struct {
	server  *apiServer
	objects map[string]P // under server.mu
	list    func([]T) *L
}

func newClient[T any, P object[T], L any](s *apiServer, list func([]T) *L) client[T, P, L] {
	return client[T, P, L]{server: s, objects: map[string]P{}, list: list}
}

// begin counts a request, and holds the server for it if it is to go on.
func (c client[T, P, L]) begin(verb, name string) (end func(), err error) {
	c.server.mu.Lock()
	c.server.requests[verb]++
	c.server.mu.Unlock()
	if err := c.server.before(verb, name); err != nil {
		return nil, err
	}
	c.server.mu.Lock()
	return c.server.mu.Unlock, nil
}

func (c client[T, P, L]) notFound(name string) error {
	return apierrors.NewNotFound(schema.GroupResource{Resource: "objects"}, name)
}

func (c client[T, P, L]) put(obj P) P {
	c.server.revision++
	stored := P(obj.DeepCopy())
	stored.SetResourceVersion(strconv.Itoa(c.server.revision))
	if stored.GetUID() == "" {
		stored.SetUID(types.UID(stored.GetResourceVersion()))
	}
	c.objects[obj.GetName()] = stored
	return stored.DeepCopy()
}

func (c client[T, P, L]) Get(_ context.Context, name string, _ metav1.GetOptions) (P, error) {
	end, err := c.begin("get", name)
	if err != nil {
		return nil, err
	}
	defer end()
	if obj, ok := c.objects[name]; ok {
		return obj.DeepCopy(), nil
	}
	return nil, c.notFound(name)
}

func (c client[T, P, L]) List(_ context.Context, options metav1.ListOptions) (*L, error) {
	end, err := c.begin("list", "")
	if err != nil {
		return nil, err
	}
	defer end()
	selector, err := labels.Parse(options.LabelSelector)
	if err != nil {
		return nil, err
	}
	var items []T
	for _, obj := range c.objects {
		if selector.Matches(labels.Set(obj.GetLabels())) {
			items = append(items, *obj.DeepCopy())
		}
	}
	return c.list(items), nil
}

func (c client[T, P, L]) Create(_ context.Context, obj P, _ metav1.CreateOptions) (P, error) {
	end, err := c.begin("create", obj.GetName())
	if err != nil {
		return nil, err
	}
	defer end()
	if _, ok := c.objects[obj.GetName()]; ok {
		return nil, apierrors.NewAlreadyExists(schema.GroupResource{Resource: "objects"}, obj.GetName())
	}
	return c.put(obj), nil
}

func (c client[T, P, L]) Update(_ context.Context, obj P, _ metav1.UpdateOptions) (P, error) {
	end, err := c.begin("update", obj.GetName())
	if err != nil {
		return nil, err
	}
	defer end()
	old, ok := c.objects[obj.GetName()]
	if !ok {
		return nil, c.notFound(obj.GetName())
	}
	if old.GetResourceVersion() != obj.GetResourceVersion() {
		return nil, apierrors.NewConflict(schema.GroupResource{Resource: "objects"}, obj.GetName(), errors.New("changed"))
	}
	return c.put(obj), nil
}

func (c client[T, P, L]) Delete(_ context.Context, name string, options metav1.DeleteOptions) error {
	end, err := c.begin("delete", name)
	if err != nil {
		return err
	}
	defer end()
	old, ok := c.objects[name]
	if !ok {
		return c.notFound(name)
	}
	if *options.Preconditions.UID != old.GetUID() {
		return apierrors.NewConflict(schema.GroupResource{Resource: "objects"}, name, errors.New("another"))
	}
	delete(c.objects, name)
	return nil
}

// checkAll fails the test unless all wanted objects are there, with all that is
// theirs.
func checkAll(t *testing.T, s *apiServer) {
	t.Helper()
	for _, wanted := range bootstrap.ClusterRoles() {
		if got, ok := s.clusterRoles.objects[wanted.Name]; !ok {
			t.Errorf("cluster role %q is missing", wanted.Name)
		} else if _, action := bootstrap.ReconcileClusterRole(got, wanted); action != bootstrap.Keep {
			t.Errorf("cluster role %q lacks something", wanted.Name)
		}
	}
	for _, wanted := range bootstrap.ClusterRoleBindings() {
		if got, ok := s.clusterRoleBindings.objects[wanted.Name]; !ok {
			t.Errorf("cluster role binding %q is missing", wanted.Name)
		} else if _, action := bootstrap.ReconcileClusterRoleBinding(got, wanted); action != bootstrap.Keep {
			t.Errorf("cluster role binding %q lacks something", wanted.Name)
		}
	}
	if len(s.roles.objects) != len(bootstrap.Roles()) || len(s.roleBindings.objects) != len(bootstrap.RoleBindings()) {
		t.Errorf("%d roles and %d role bindings", len(s.roles.objects), len(s.roleBindings.objects))
	}
}

func count() int {
	return len(bootstrap.ClusterRoles()) + len(bootstrap.ClusterRoleBindings()) + len(bootstrap.Roles()) + len(bootstrap.RoleBindings())
}

func TestTheFirstStartCreatesAllAndTheSecondChangesNothing(t *testing.T) {
	t.Parallel()
	s := newAPIServer()
	for _, want := range []map[string]int{{"list": 4, "create": count()}, {"list": 4}} {
		requests, err := s.reconcile(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, requests); diff != "" {
			t.Errorf("requests (-want +got):\n%s", diff)
		}
		checkAll(t, s)
	}
}

func TestWhatWasChangedIsMendedAtTheNextStart(t *testing.T) {
	t.Parallel()
	s := newAPIServer()
	if _, err := s.reconcile(t.Context()); err != nil {
		t.Fatal(err)
	}
	delete(s.clusterRoles.objects, "view")
	s.clusterRoles.objects["system:discovery"].Rules = nil
	s.clusterRoles.objects["system:basic-user"].Labels = nil // out of the list's sight
	s.clusterRoleBindings.objects["system:discovery"].RoleRef.Name = "cluster-admin"
	protected := s.clusterRoleBindings.objects["system:public-info-viewer"]
	protected.Annotations[rbacv1.AutoUpdateAnnotationKey] = "false"
	protected.Subjects = nil
	requests, err := s.reconcile(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// Created: view, the binding again, and in vain the role that lost its label.
	want := map[string]int{"list": 4, "create": 3, "get": 1, "update": 2, "delete": 1}
	if diff := cmp.Diff(want, requests); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	checkAll(t, s)
	if subjects := s.clusterRoleBindings.objects["system:public-info-viewer"].Subjects; subjects != nil {
		t.Errorf("a binding that was to be left alone has subjects %v", subjects)
	}
}

func TestReplicasThatStartTogetherAgree(t *testing.T) {
	t.Parallel()
	s := newAPIServer()
	if _, err := s.reconcile(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.clusterRoles.objects["system:discovery"].Rules = nil
	s.clusterRoleBindings.objects["system:discovery"].RoleRef.Name = "cluster-admin"
	delete(s.clusterRoles.objects, "edit")
	var replicas sync.WaitGroup
	for range 4 {
		replicas.Go(func() {
			if _, err := s.reconcile(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	replicas.Wait()
	checkAll(t, s)
}

func TestAFailureKeepsNothingElseFromBeingDone(t *testing.T) {
	t.Parallel()
	s := newAPIServer()
	s.before = func(verb, name string) error {
		if verb == "create" && name == "edit" {
			return errors.New("the store is full")
		}
		return nil
	}
	_, err := s.reconcile(t.Context())
	if want := `reconciling cluster role "edit": the store is full`; err == nil || err.Error() != want {
		t.Errorf("error is %v, want %s", err, want)
	}
	if got := len(s.clusterRoles.objects); got != len(bootstrap.ClusterRoles())-1 {
		t.Errorf("%d cluster roles were created", got)
	}
	s.before = func(verb, _ string) error {
		if verb == "list" {
			return errors.New("no answer")
		}
		return nil
	}
	if _, err := s.reconcile(t.Context()); err == nil || strings.Count(err.Error(), "no answer") != 4 {
		t.Errorf("error is %v, want one for each kind", err)
	}
}

func TestAnObjectThatAlwaysChangesIsGivenUp(t *testing.T) {
	t.Parallel()
	s := newAPIServer()
	if _, err := s.reconcile(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.clusterRoles.objects["view"].AggregationRule = nil
	s.before = func(verb, name string) error {
		if verb == "update" {
			return apierrors.NewConflict(schema.GroupResource{Resource: "clusterroles"}, name, errors.New("changed"))
		}
		return nil
	}
	if _, err := s.reconcile(t.Context()); !apierrors.IsConflict(errors.Unwrap(unjoin(err))) {
		t.Errorf("error is %v, want a conflict", err)
	}
}

// unjoin returns the only error that is joined in err.
func unjoin(err error) error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok && len(joined.Unwrap()) == 1 {
		return joined.Unwrap()[0]
	}
	return err
}

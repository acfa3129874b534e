// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"net/http"
	"os"
	"path/filepath"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/muster-identity/muster/bench/system"
)

// pair is both systems.
type pair struct{ kubernetes, muster *side }

// each does the same to both at the same time.
func (p pair) each(ctx context.Context, do func(ctx context.Context, s *side) error) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, s := range []*side{p.kubernetes, p.muster} {
		group.Go(func() error { return do(ctx, s) })
	}
	return group.Wait()
}

// start runs both below dir and prepares them. stop ends them.
func start(ctx context.Context, bin system.Binaries, dir string) (both pair, stop func(), err error) {
	kubernetes, err := startKubernetes(ctx, bin, filepath.Join(dir, "kubernetes"))
	if err != nil {
		return pair{}, nil, err
	}
	muster, err := startIn(ctx, bin, filepath.Join(dir, "muster"), system.StartMuster)
	if err != nil {
		kubernetes.Stop()
		return pair{}, nil, err
	}
	stop = func() { muster.Stop(); kubernetes.Stop() }
	if both.kubernetes, err = newSide(kubernetes); err == nil {
		both.muster, err = newSide(muster)
	}
	if err == nil {
		err = both.each(ctx, func(ctx context.Context, s *side) error { return s.prepare(ctx) })
	}
	if err != nil {
		stop()
		return pair{}, nil, err
	}
	return both, stop, nil
}

// startKubernetes adds the controllers, one of which aggregates cluster roles.
func startKubernetes(ctx context.Context, bin system.Binaries, dir string) (*system.System, error) {
	s, err := startIn(ctx, bin, dir, system.StartKubernetes)
	if err != nil {
		return nil, err
	}
	if err := s.AddControllers(bin, dir); err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

// starter is a function of package system.
type starter func(ctx context.Context, bin system.Binaries, dir, signingKey string) (*system.System, error)

func startIn(ctx context.Context, bin system.Binaries, dir string, start starter) (*system.System, error) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	return start(ctx, bin, dir, "")
}

// prepare makes what all policies find: two namespaces, one who may ask about
// others, and some who may write roles and bindings, as far as they hold what
// these grant.
func (s *side) prepare(ctx context.Context) error {
	for _, name := range []string{"a", "b"} {
		namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
		if err := s.must(ctx, http.MethodPost, "/api/v1/namespaces", namespace, nil); err != nil {
			return err
		}
	}
	toUser := func(name, role string, users ...string) *rbacv1.ClusterRoleBinding {
		binding := &rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
		}
		for _, user := range users {
			binding.Subjects = append(binding.Subjects, rbacv1.Subject{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: user})
		}
		return binding
	}
	for _, obj := range []object{
		&rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "truth:writer"}, Rules: []rbacv1.PolicyRule{{
			Verbs: []string{"create", "update"}, APIGroups: []string{rbacv1.GroupName},
			Resources: []string{"roles", "clusterroles", "rolebindings", "clusterrolebindings"},
		}}},
		toUser("truth:writers", "truth:writer", "ann", "ben", "system:serviceaccount:a:bot"),
		toUser("truth:asker", "system:auth-delegator", asker.User),
	} {
		if err := s.must(ctx, http.MethodPost, pathOf(obj, false), obj, nil); err != nil {
			return err
		}
	}
	return nil
}

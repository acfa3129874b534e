// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/muster-identity/muster/bench/system"
)

const (
	namespace = "bench"
	// caller is the account that asks; it may do what the scenarios do.
	caller = "caller"
	// app is the account of the pods that tokens are bound to.
	app = "app"
	// settings is the ConfigMap that is read.
	settings = "settings"
	// pods is how many pods there are.
	pods = 100
	// known is how many tokens are seen again and again.
	known = 2000
)

// world is what scenarios find on a system.
type world struct {
	system *system.System
	client kubernetes.Interface
	pods   []*corev1.Pod
	// callerToken is that of the caller, good for an hour.
	callerToken string
	// knownTokens are bound to the pods.
	knownTokens []string
	// minter makes tokens that the system has not seen; nil: it is known only
	// to the system how they are signed.
	minter *minter
	// bindings is how many accounts there are that boundAccount names.
	bindings int
	// turn counts requests, so that those of a round are not those of the last.
	turn atomic.Int64
}

// populate makes the objects of a world on a new system.
func populate(ctx context.Context, s *system.System) (*world, error) {
	config := rest.CopyConfig(s.Admin)
	config.QPS = -1
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("making a client for %s: %w", s.Name, err)
	}
	w := &world{system: s, client: client}
	for _, step := range []func(context.Context) error{w.makeAccounts, w.makePods, w.makeCallerToken, w.makeKnownTokens, w.awaitRights} {
		if err := step(ctx); err != nil {
			return nil, fmt.Errorf("preparing %s: %w", s.Name, err)
		}
	}
	return w, nil
}

func (w *world) makeAccounts(ctx context.Context) error {
	if _, err := w.client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}, metav1.CreateOptions{}); err != nil {
		return err
	}
	for _, name := range []string{caller, app} {
		account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}
		if _, err := w.client.CoreV1().ServiceAccounts(namespace).Create(ctx, account, metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	read := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: settings}, Data: map[string]string{"log": "info", "region": "north", "workers": "4"}}
	if _, err := w.client.CoreV1().ConfigMaps(namespace).Create(ctx, read, metav1.CreateOptions{}); err != nil {
		return err
	}
	return w.makeRights(ctx)
}

// makeRights lets the caller check tokens, ask for them, and read.
func (w *world) makeRights(ctx context.Context) error {
	subjects := []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Name: caller, Namespace: namespace}}
	checks := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "bench-checks"}, Subjects: subjects,
		RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "system:auth-delegator"},
	}
	if _, err := w.client.RbacV1().ClusterRoleBindings().Create(ctx, checks, metav1.CreateOptions{}); err != nil {
		return err
	}
	role := &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: caller}, Rules: []rbacv1.PolicyRule{
		{Verbs: []string{"create"}, APIGroups: []string{""}, Resources: []string{"serviceaccounts/token"}},
		{Verbs: []string{"get"}, APIGroups: []string{""}, Resources: []string{"configmaps"}},
	}}
	if _, err := w.client.RbacV1().Roles(namespace).Create(ctx, role, metav1.CreateOptions{}); err != nil {
		return err
	}
	binding := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: caller}, Subjects: subjects,
		RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: caller},
	}
	_, err := w.client.RbacV1().RoleBindings(namespace).Create(ctx, binding, metav1.CreateOptions{})
	return err
}

func (w *world) makePods(ctx context.Context) error {
	w.pods = make([]*corev1.Pod, pods)
	return concurrently(ctx, pods, func(ctx context.Context, i int) error {
		made, err := w.client.CoreV1().Pods(namespace).Create(ctx, &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("app-%d", i)},
			Spec:       corev1.PodSpec{ServiceAccountName: app, Containers: []corev1.Container{{Name: "app", Image: "app"}}},
		}, metav1.CreateOptions{})
		w.pods[i] = made
		return err
	})
}

func (w *world) makeCallerToken(ctx context.Context) error {
	asked := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: new(int64(3600))}}
	issued, err := w.client.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, caller, asked, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	w.callerToken = issued.Status.Token
	return nil
}

func (w *world) makeKnownTokens(ctx context.Context) error {
	w.knownTokens = make([]string, known)
	return concurrently(ctx, known, func(ctx context.Context, i int) error {
		issued, err := w.client.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, app, w.tokenRequest(i), metav1.CreateOptions{})
		if err != nil {
			return err
		}
		w.knownTokens[i] = issued.Status.Token
		return nil
	})
}

// tokenRequest is what a kubelet asks for the i-th of its pods.
func (w *world) tokenRequest(i int) *authenticationv1.TokenRequest {
	pod := w.pods[i%len(w.pods)]
	return &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		ExpirationSeconds: new(int64(3607)),
		BoundObjectRef:    &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID},
	}}
}

// awaitRights waits until the caller may read: Kubernetes' authorizer learns of
// bindings a while after they were made.
func (w *world) awaitRights(ctx context.Context) error {
	config := rest.AnonymousClientConfig(w.system.Admin)
	config.BearerToken = w.callerToken
	asCaller, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	return wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, 20*time.Second, true, func(ctx context.Context) (bool, error) {
		_, err := asCaller.CoreV1().ConfigMaps(namespace).Get(ctx, settings, metav1.GetOptions{})
		return err == nil, nil
	})
}

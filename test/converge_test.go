// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
)

var convergeRounds = flag.Int("converge.rounds", 5, "how often the server is killed while its controllers have work")

// The controllers may be killed at any moment, and remember nothing: whatever was half done is finished after the next
// start. Each round makes and deletes namespaces, accounts, Secrets for tokens and objects that own others, kills the
// server meanwhile, starts it again, and looks at every object there is.
func TestWhateverIsHalfDoneWhenAServerIsKilledIsFinished(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	for round := range *convergeRounds {
		server, config := run(t, data)
		client, err := kubernetes.NewForConfig(config)
		if err != nil {
			t.Fatal(err)
		}
		converged(t, client, round)
		var working sync.WaitGroup
		for i := range 4 {
			working.Go(func() { trouble(t.Context(), client, fmt.Sprintf("r%d-%d", round, i)) })
		}
		time.Sleep(50*time.Millisecond + rand.N(700*time.Millisecond))
		server.end(syscall.SIGKILL)
		working.Wait()
	}
	server, config := run(t, data)
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	converged(t, client, *convergeRounds)
	server.end(syscall.SIGTERM)
}

// trouble gives the controllers work until a request fails.
func trouble(ctx context.Context, client kubernetes.Interface, name string) {
	for n := 0; ; n++ {
		namespace := fmt.Sprintf("%s-%d", name, n)
		for _, step := range []func() error{
			func() error { return makeNamespace(ctx, client, namespace) },
			func() error { return makeAccount(ctx, client, namespace) },
			func() error { return makeFamily(ctx, client, namespace, metav1.DeletePropagationForeground) },
			func() error { return makeFamily(ctx, client, namespace, metav1.DeletePropagationBackground) },
			func() error {
				return client.CoreV1().ServiceAccounts(namespace).Delete(ctx, "default", metav1.DeleteOptions{})
			},
			func() error {
				return client.CoreV1().ConfigMaps(namespace).Delete(ctx, "kube-root-ca.crt", metav1.DeleteOptions{})
			},
			func() error {
				if n%2 == 0 {
					return client.CoreV1().Namespaces().Delete(ctx, namespace, metav1.DeleteOptions{})
				}
				return client.CoreV1().ServiceAccounts(namespace).Delete(ctx, "robot", metav1.DeleteOptions{})
			},
		} {
			// The config map may not have been made yet.
			if err := step(); err != nil && ctx.Err() == nil && !strings.Contains(err.Error(), "not found") {
				return
			}
		}
	}
}

func makeNamespace(ctx context.Context, client kubernetes.Interface, name string) error {
	_, err := client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	return err
}

// makeAccount makes two accounts with a Secret for a token each.
func makeAccount(ctx context.Context, client kubernetes.Interface, namespace string) error {
	for _, name := range []string{"robot", "clerk"} {
		account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}
		if _, err := client.CoreV1().ServiceAccounts(namespace).Create(ctx, account, metav1.CreateOptions{}); err != nil {
			return err
		}
		secret := &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{corev1.ServiceAccountNameKey: name}},
			Type:       corev1.SecretTypeServiceAccountToken,
		}
		if _, err := client.CoreV1().Secrets(namespace).Create(ctx, secret, metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	return nil
}

// makeFamily makes an owner of three objects, the last of which owns a fourth, and deletes it.
func makeFamily(ctx context.Context, client kubernetes.Interface, namespace string, policy metav1.DeletionPropagation) error {
	maps := client.CoreV1().ConfigMaps(namespace)
	object := func(name string, owner *corev1.ConfigMap) *corev1.ConfigMap {
		made := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: strings.ToLower(string(policy)) + name}}
		if owner != nil {
			made.OwnerReferences = []metav1.OwnerReference{ownedBy(owner)}
		}
		return made
	}
	owner, err := maps.Create(ctx, object("", nil), metav1.CreateOptions{})
	if err != nil {
		return err
	}
	child := owner
	for _, name := range []string{"-a", "-b", "-c"} {
		if child, err = maps.Create(ctx, object(name, owner), metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	if _, err := maps.Create(ctx, object("-grandchild", child), metav1.CreateOptions{}); err != nil {
		return err
	}
	return maps.Delete(ctx, owner.Name, metav1.DeleteOptions{PropagationPolicy: &policy})
}

// converged waits until nothing is left to do.
func converged(t *testing.T, client kubernetes.Interface, round int) {
	t.Helper()
	var left []string
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		var err error
		if left, err = unfinished(t.Context(), client); err != nil {
			t.Fatal(err)
		}
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("round %d: %d things are not as they should be a minute after the start:\n%s", round, len(left), strings.Join(left, "\n"))
		}
	}
}

// unfinished looks at every object and tells what is not as the controllers leave it.
func unfinished(ctx context.Context, client kubernetes.Interface) ([]string, error) {
	core := client.CoreV1()
	namespaces, err := core.Namespaces().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	accounts, err := core.ServiceAccounts("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	maps, err := core.ConfigMaps("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	secrets, err := core.Secrets("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	var left []string
	note := func(kind string, object metav1.Object, what string) {
		left = append(left, fmt.Sprintf("%s %s/%s %s", kind, object.GetNamespace(), object.GetName(), what))
	}
	uids, accountUIDs, exists := map[types.UID]bool{}, map[string]types.UID{}, map[string]bool{}
	for i := range accounts.Items {
		account := &accounts.Items[i]
		accountUIDs[account.Namespace+"/"+account.Name] = account.UID
	}
	for i := range maps.Items {
		object := &maps.Items[i]
		uids[object.UID] = true
		exists[object.Namespace+"/"+object.Name] = strings.Contains(object.Data["ca.crt"], "BEGIN CERTIFICATE")
	}
	for i := range namespaces.Items {
		namespace := &namespaces.Items[i]
		if namespace.DeletionTimestamp != nil {
			note("namespace", namespace, "has not ended")
		}
		if accountUIDs[namespace.Name+"/default"] == "" {
			note("namespace", namespace, "has no default account")
		}
		if !exists[namespace.Name+"/kube-root-ca.crt"] {
			note("namespace", namespace, "has no CA bundle")
		}
	}
	for i := range maps.Items {
		object := &maps.Items[i]
		if object.DeletionTimestamp != nil {
			note("config map", object, "has not ended")
		}
		if slices.ContainsFunc(object.OwnerReferences, func(o metav1.OwnerReference) bool { return !uids[o.UID] }) {
			note("config map", object, "has outlived its owner")
		}
	}
	for i := range secrets.Items {
		secret := &secrets.Items[i]
		if secret.Type != corev1.SecretTypeServiceAccountToken {
			continue
		}
		account := secret.Namespace + "/" + secret.Annotations[corev1.ServiceAccountNameKey]
		switch {
		case accountUIDs[account] == "":
			note("secret", secret, "has outlived its account")
		case string(accountUIDs[account]) != secret.Annotations[corev1.ServiceAccountUIDKey] || len(secret.Data["token"]) == 0:
			note("secret", secret, "has no token of its account")
		}
	}
	return left, nil
}

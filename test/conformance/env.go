// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"context"
	"errors"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

const (
	// patience bounds what a server does by itself: Kubernetes keeps a verdict
	// on a token for ten seconds, and ends the namespaces of all tests a few at
	// a time.
	patience = time.Minute
	// pause is how long a test waits before it asks again.
	pause = 10 * time.Millisecond
)

// env is what a test works with.
type env struct {
	*testing.T
	target Target
	// client is that of the administrator.
	client kubernetes.Interface
	// ns is the test's own namespace; it has its default account.
	ns string
	// asReviewer is set by reviewer.
	asReviewer *rest.Config
}

func newEnv(t *testing.T, target Target) *env {
	t.Helper()
	target.Admin = rest.CopyConfig(target.Admin)
	target.Admin.QPS = -1
	target.Admin.UserAgent = "conformance/1" // the name by which its writes are noted
	target.Admin.WarningHandler = rest.NoWarnings{}
	e := &env{T: t, target: target}
	e.client = e.clientOf(target.Admin)
	e.ns = e.namespace()
	return e
}

// namespace makes a namespace that ends with the test.
func (e *env) namespace() string {
	e.Helper()
	made, err := e.client.CoreV1().Namespaces().Create(e.Context(), &corev1.Namespace{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "conformance-"},
	}, metav1.CreateOptions{})
	e.check(err)
	e.Cleanup(func() {
		// Nobody confirms the end of a pod on a node.
		err := e.client.CoreV1().Pods(made.Name).DeleteCollection(context.Background(), now(), metav1.ListOptions{})
		if err != nil {
			e.Errorf("deleting the pods of namespace %q: %v", made.Name, err)
		}
		err = e.client.CoreV1().Namespaces().Delete(context.Background(), made.Name, metav1.DeleteOptions{})
		if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
			e.Errorf("deleting namespace %q: %v", made.Name, err)
		}
	})
	e.await(e.target.ImmediateDefaultAccount, func() error {
		_, err := e.client.CoreV1().ServiceAccounts(made.Name).Get(e.Context(), "default", metav1.GetOptions{})
		return err
	})
	return made.Name
}

// check ends the test over an error.
func (e *env) check(err error) {
	e.Helper()
	if err != nil {
		e.Fatal(err)
	}
}

// await repeats a check until it finds nothing wrong. What holds at once gets
// one try.
func (e *env) await(atOnce bool, check func() error) {
	e.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := check()
		if err == nil {
			return
		}
		if atOnce || time.Now().After(deadline) || e.Context().Err() != nil {
			e.Fatal(err)
		}
		time.Sleep(pause)
	}
}

// eventually is await for what no server promises at once.
func (e *env) eventually(check func() error) {
	e.Helper()
	e.await(false, check)
}

// gone waits until get no longer finds anything.
func (e *env) gone(get func() error) {
	e.Helper()
	e.eventually(func() error {
		err := get()
		if apierrors.IsNotFound(err) {
			return nil
		}
		if err != nil {
			return err
		}
		return errors.New("it is there still")
	})
}

func (e *env) clientOf(config *rest.Config) *kubernetes.Clientset {
	e.Helper()
	client, err := kubernetes.NewForConfig(config)
	e.check(err)
	return client
}

// anonymous is a configuration without credentials.
func (e *env) anonymous() *rest.Config { return rest.AnonymousClientConfig(e.target.Admin) }

// holding is the configuration of whoever has a token.
func (e *env) holding(token string) *rest.Config {
	config := e.anonymous()
	config.BearerToken = token
	return config
}

// acting is the configuration of the administrator in the shoes of another
// user, who is authenticated.
func (e *env) acting(user string, groups ...string) *rest.Config {
	config := rest.CopyConfig(e.target.Admin)
	config.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: append(groups, "system:authenticated")}
	return config
}

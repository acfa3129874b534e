// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"errors"
	"fmt"
	"net/http"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// revocation is what ends a token before its time, and what does not
// (Kubernetes: pkg/serviceaccount/claims.go).
func revocation() []test {
	return []test{
		{"a token ends with its account", endOfAccount},
		{"a token does not pass to an account of the same name", replacedAccount},
		{"a token ends with its pod", endOfPod},
		{"a token does not pass to a pod of the same name", replacedPod},
		{"a token ends with its secret", endOfSecret},
		{"a token ends with its node", endOfNode},
		{"a token ends with its namespace", endOfNamespace},
		{"the token of a pod outlives the pod's node", nodeOfPod},
		{"the token of a pod outlives its work", finishedPod},
		{"an ended token opens nothing", endedToken},
	}
}

// ends expects a token to be good, and no longer after end, for a reason.
func (e *env) ends(token, reason string, end func()) {
	e.Helper()
	if status := e.review(token); !status.Authenticated {
		e.Fatalf("the token is not good at first: %s", status.Error)
	}
	end()
	e.await(e.target.ImmediateRevocation, func() error {
		status := e.review(token)
		if status.Authenticated {
			return errors.New("the token is good still")
		}
		if got, want := status.Error, "[invalid bearer token, "+reason+"]"; got != want {
			return fmt.Errorf("the token is not good because of %q, want %q", got, want)
		}
		return nil
	})
}

// now deletes without grace.
func now() metav1.DeleteOptions { return *metav1.NewDeleteOptions(0) }

const invalidated = "service account token has been invalidated"

func (e *env) boundToken(account, kind string, object metav1.Object) string {
	e.Helper()
	return e.issue(account, authenticationv1.TokenRequestSpec{BoundObjectRef: to(kind, object)}).Status.Token
}

func endOfAccount(e *env) {
	e.account("a")
	e.ends(e.token("a"), `serviceaccounts "a" not found`, func() {
		e.check(e.client.CoreV1().ServiceAccounts(e.ns).Delete(e.Context(), "a", metav1.DeleteOptions{}))
	})
}

func replacedAccount(e *env) {
	old := e.account("a")
	token := e.token("a")
	e.check(e.client.CoreV1().ServiceAccounts(e.ns).Delete(e.Context(), "a", metav1.DeleteOptions{}))
	made := e.account("a")
	e.await(e.target.ImmediateRevocation, func() error {
		want := fmt.Sprintf("[invalid bearer token, service account UID (%s) does not match claim (%s)]", made.UID, old.UID)
		if got := e.review(token).Error; got != want {
			return fmt.Errorf("the token is refused with %q, want %q", got, want)
		}
		return nil
	})
}

func endOfPod(e *env) {
	pod := e.pod("p", "default")
	e.ends(e.boundToken("default", "Pod", pod), invalidated, func() {
		e.check(e.client.CoreV1().Pods(e.ns).Delete(e.Context(), "p", now()))
	})
}

func replacedPod(e *env) {
	old := e.pod("p", "default")
	token := e.boundToken("default", "Pod", old)
	e.check(e.client.CoreV1().Pods(e.ns).Delete(e.Context(), "p", now()))
	made := e.pod("p", "default")
	e.await(e.target.ImmediateRevocation, func() error {
		want := fmt.Sprintf("[invalid bearer token, pod UID (%s) does not match service account pod ref claim (%s)]", made.UID, old.UID)
		if got := e.review(token).Error; got != want {
			return fmt.Errorf("the token is refused with %q, want %q", got, want)
		}
		return nil
	})
}

func endOfSecret(e *env) {
	secret := e.secret("s")
	e.ends(e.boundToken("default", "Secret", secret), invalidated, func() {
		e.check(e.client.CoreV1().Secrets(e.ns).Delete(e.Context(), "s", metav1.DeleteOptions{}))
	})
}

func endOfNode(e *env) {
	node := e.node()
	e.ends(e.boundToken("default", "Node", node), invalidated, func() {
		e.check(e.client.CoreV1().Nodes().Delete(e.Context(), node.Name, metav1.DeleteOptions{}))
	})
}

func endOfNamespace(e *env) {
	token := e.token("default")
	e.check(e.client.CoreV1().Namespaces().Delete(e.Context(), e.ns, metav1.DeleteOptions{}))
	e.eventually(func() error {
		if e.review(token).Authenticated {
			return errors.New("the token is good still")
		}
		return nil
	})
}

// stays expects a token to be good still.
func (e *env) stays(token string) {
	e.Helper()
	if status := e.review(token); !status.Authenticated {
		e.Errorf("the token is no longer good: %s", status.Error)
	}
}

func nodeOfPod(e *env) {
	node := e.node()
	pod := e.pod("p", "default", on(node.Name))
	token := e.boundToken("default", "Pod", pod)
	e.check(e.client.CoreV1().Nodes().Delete(e.Context(), node.Name, metav1.DeleteOptions{}))
	e.stays(token)
}

func finishedPod(e *env) {
	pod := e.pod("p", "default")
	token := e.boundToken("default", "Pod", pod)
	pod.Status.Phase = corev1.PodSucceeded
	_, err := e.client.CoreV1().Pods(e.ns).UpdateStatus(e.Context(), pod, metav1.UpdateOptions{})
	e.check(err)
	e.stays(token)
}

func endedToken(e *env) {
	e.account("a")
	holder := e.holding(e.token("a"))
	ask := request{as: holder, method: http.MethodGet, path: "/api"}
	e.do(ask).want(e, http.StatusOK)
	e.check(e.client.CoreV1().ServiceAccounts(e.ns).Delete(e.Context(), "a", metav1.DeleteOptions{}))
	e.await(e.target.ImmediateRevocation, func() error {
		if got := e.do(ask); got.code != http.StatusUnauthorized {
			return fmt.Errorf("the answer is %d, want 401", got.code)
		}
		return nil
	})
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

// account makes a service account.
func (e *env) account(name string) *corev1.ServiceAccount {
	e.Helper()
	made, err := e.client.CoreV1().ServiceAccounts(e.ns).Create(e.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	e.check(err)
	return made
}

// configMap makes a config map with one key.
func (e *env) configMap(name string, labels map[string]string) *corev1.ConfigMap {
	e.Helper()
	made, err := e.client.CoreV1().ConfigMaps(e.ns).Create(e.Context(), &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels},
		Data:       map[string]string{"key": "value"},
	}, metav1.CreateOptions{})
	e.check(err)
	return made
}

func (e *env) secret(name string) *corev1.Secret {
	e.Helper()
	made, err := e.client.CoreV1().Secrets(e.ns).Create(e.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	e.check(err)
	return made
}

// simplePod is a pod with one container.
func simplePod(name, account string, changes ...func(*corev1.Pod)) *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.PodSpec{
			ServiceAccountName: account,
			SchedulerName:      "nobody", // so that nobody runs it
			Containers:         []corev1.Container{{Name: "main", Image: "registry.example/worker"}},
		},
	}
	for _, change := range changes {
		change(pod)
	}
	return pod
}

// pod makes a pod of an account.
func (e *env) pod(name, account string, changes ...func(*corev1.Pod)) *corev1.Pod {
	e.Helper()
	made, err := e.client.CoreV1().Pods(e.ns).Create(e.Context(), simplePod(name, account, changes...), metav1.CreateOptions{})
	e.check(err)
	return made
}

// on puts a pod on a node.
func on(node string) func(*corev1.Pod) {
	return func(pod *corev1.Pod) { pod.Spec.NodeName = node }
}

// node makes a node, named after the test's namespace, that ends with the test.
func (e *env) node() *corev1.Node {
	e.Helper()
	made, err := e.client.CoreV1().Nodes().Create(e.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: e.ns}}, metav1.CreateOptions{})
	e.check(err)
	e.Cleanup(func() {
		if err := e.client.CoreV1().Nodes().Delete(context.Background(), made.Name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			e.Errorf("deleting node %q: %v", made.Name, err)
		}
	})
	return made
}

// to is a reference to an object that a token is bound to.
func to(kind string, object metav1.Object) *authenticationv1.BoundObjectReference {
	return &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: kind, Name: object.GetName(), UID: object.GetUID()}
}

// issue asks for a token.
func (e *env) issue(account string, spec authenticationv1.TokenRequestSpec) *authenticationv1.TokenRequest {
	e.Helper()
	issued, err := e.client.CoreV1().ServiceAccounts(e.ns).CreateToken(e.Context(), account, &authenticationv1.TokenRequest{Spec: spec}, metav1.CreateOptions{})
	e.check(err)
	return issued
}

// token asks for a token that is bound to nothing but the account.
func (e *env) token(account string) string {
	e.Helper()
	return e.issue(account, authenticationv1.TokenRequestSpec{}).Status.Token
}

// reviewer is somebody who may review tokens and access, and nothing else.
func (e *env) reviewer() *rest.Config {
	e.Helper()
	if e.asReviewer != nil {
		return e.asReviewer
	}
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: e.ns},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "system:auth-delegator"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: e.ns + "-reviewer"}},
	}
	bindings := e.client.RbacV1().ClusterRoleBindings()
	_, err := bindings.Create(e.Context(), binding, metav1.CreateOptions{})
	e.check(err)
	e.Cleanup(func() {
		if err := bindings.Delete(context.Background(), binding.Name, metav1.DeleteOptions{}); err != nil {
			e.Errorf("deleting the binding of the reviewer: %v", err)
		}
	})
	e.asReviewer = rest.CopyConfig(e.target.Admin)
	e.asReviewer.Impersonate.UserName = binding.Subjects[0].Name
	e.eventually(func() error {
		_, err := e.clientOf(e.asReviewer).AuthenticationV1().TokenReviews().Create(e.Context(), &authenticationv1.TokenReview{
			Spec: authenticationv1.TokenReviewSpec{Token: "none"},
		}, metav1.CreateOptions{})
		return err
	})
	return e.asReviewer
}

// review asks what the server thinks of a token.
func (e *env) review(token string, audiences ...string) authenticationv1.TokenReviewStatus {
	e.Helper()
	answered, err := e.clientOf(e.reviewer()).AuthenticationV1().TokenReviews().Create(e.Context(), &authenticationv1.TokenReview{
		Spec: authenticationv1.TokenReviewSpec{Token: token, Audiences: audiences},
	}, metav1.CreateOptions{})
	e.check(err)
	return answered.Status
}

// part is the nth part of a token: its header or its claims.
func (e *env) part(token string, n int) []byte {
	e.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		e.Fatalf("the token has %d parts, want 3", len(parts))
	}
	decoded, err := base64.RawURLEncoding.DecodeString(parts[n])
	if err != nil {
		e.Fatalf("part %d of the token is not in base64url", n)
	}
	return decoded
}

// claims are those of a token that tests ask for.
type claims struct {
	Aud           []string
	Exp, Iat, Nbf int64
	Iss, Sub, Jti string
	Kubernetes    struct {
		WarnAfter int64
	} `json:"kubernetes.io"`
}

func (e *env) claims(token string) claims {
	e.Helper()
	var got claims
	if json.Unmarshal(e.part(token, 1), &got) != nil {
		e.Fatal("the claims of the token are not in JSON")
	}
	return got
}

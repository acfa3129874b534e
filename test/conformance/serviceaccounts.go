// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// serviceAccounts are the accounts and what controllers keep beside them
// (Kubernetes: pkg/registry/core/serviceaccount, pkg/controller/serviceaccount).
func serviceAccounts() []test {
	return []test{
		{"the default account is made again, as another", defaultAccountMadeAgain},
		{"every namespace has the root certificate", rootCertificate},
		{"of a listed secret the name is kept", secretsOfAccount},
		{"the retired annotation for secrets is warned of", annotationWarning},
		{"an account that is not right is turned away", refusedAccounts},
	}
}

func defaultAccountMadeAgain(e *env) {
	accounts := e.client.CoreV1().ServiceAccounts(e.ns)
	before, err := accounts.Get(e.Context(), "default", metav1.GetOptions{})
	e.check(err)
	token := e.token("default")
	e.check(accounts.Delete(e.Context(), "default", metav1.DeleteOptions{}))
	e.eventually(func() error {
		after, err := accounts.Get(e.Context(), "default", metav1.GetOptions{})
		if err == nil && after.UID == before.UID {
			err = errors.New("the account is the one before")
		}
		return err
	})
	e.await(e.target.ImmediateRevocation, func() error {
		if e.review(token).Authenticated {
			return errors.New("the token of the one before is good still")
		}
		return nil
	})
}

func rootCertificate(e *env) {
	const name, key = "kube-root-ca.crt", "ca.crt"
	maps := e.client.CoreV1().ConfigMaps(e.ns)
	var first *corev1.ConfigMap
	e.eventually(func() (err error) {
		first, err = maps.Get(e.Context(), name, metav1.GetOptions{})
		return err
	})
	if first.Data[key] == "" || first.Annotations["kubernetes.io/description"] == "" {
		e.Fatalf("the config map has the keys %v and annotations %v", first.Data, first.Annotations)
	}
	restored := func() error {
		got, err := maps.Get(e.Context(), name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if diff := cmp.Diff(first.Data, got.Data); diff != "" {
			return fmt.Errorf("the config map differs from what it was (-want +got):\n%s", diff)
		}
		return nil
	}
	e.check(maps.Delete(e.Context(), name, metav1.DeleteOptions{}))
	e.eventually(restored)
	// The controller may have written once more: what it wrote last is what is edited.
	e.eventually(func() error {
		edited, err := maps.Get(e.Context(), name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		edited.Data = map[string]string{key: "mine", "more": "mine"}
		_, err = maps.Update(e.Context(), edited, metav1.UpdateOptions{})
		return err
	})
	e.eventually(restored)
}

func secretsOfAccount(e *env) {
	made, err := e.client.CoreV1().ServiceAccounts(e.ns).Create(e.Context(), &corev1.ServiceAccount{
		ObjectMeta:       metav1.ObjectMeta{Name: "a"},
		Secrets:          []corev1.ObjectReference{{Name: "s", Namespace: "other", Kind: "Secret", UID: "1", APIVersion: "v1", FieldPath: "x", ResourceVersion: "7"}},
		ImagePullSecrets: []corev1.LocalObjectReference{{Name: "pull"}},
	}, metav1.CreateOptions{})
	e.check(err)
	if diff := cmp.Diff([]corev1.ObjectReference{{Name: "s"}}, made.Secrets); diff != "" {
		e.Errorf("secrets (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]corev1.LocalObjectReference{{Name: "pull"}}, made.ImagePullSecrets); diff != "" {
		e.Errorf("pull secrets (-want +got):\n%s", diff)
	}
}

func annotationWarning(e *env) {
	got := e.do(request{
		method: http.MethodPost, path: "/api/v1/namespaces/" + e.ns + "/serviceaccounts",
		body: `{"metadata":{"name":"a","annotations":{"kubernetes.io/enforce-mountable-secrets":"true"}}}`,
	}).want(e, http.StatusCreated)
	want := `299 - "metadata.annotations[kubernetes.io/enforce-mountable-secrets]: deprecated in v1.32+; prefer separate namespaces to isolate access to mounted secrets"`
	if diff := cmp.Diff([]string{want}, got.header.Values("Warning")); diff != "" {
		e.Errorf("warnings (-want +got):\n%s", diff)
	}
}

func refusedAccounts(e *env) {
	path := "/api/v1/namespaces/" + e.ns + "/serviceaccounts"
	post := func(what, body string) refused {
		return refused{what, request{method: http.MethodPost, path: path, body: body}}
	}
	secret := func(what, body string) refused {
		return refused{what, request{method: http.MethodPost, path: "/api/v1/namespaces/" + e.ns + "/secrets", body: body}}
	}
	e.pinRefusals("refusals/serviceaccounts.txt", []refused{
		post("without a name", `{}`),
		post("a name that no subdomain can have", `{"metadata":{"name":"Not_So"}}`),
		post("a name that exists", `{"metadata":{"name":"default"}}`),
		post("in another namespace than that of the path", `{"metadata":{"name":"a","namespace":"other"}}`),
		secret("a token secret of no account", `{"metadata":{"name":"s"},"type":"kubernetes.io/service-account-token"}`),
		secret("a pull secret without a file", `{"metadata":{"name":"s"},"type":"kubernetes.io/dockerconfigjson"}`),
		secret("a TLS secret without a key", `{"metadata":{"name":"s"},"type":"kubernetes.io/tls"}`),
		secret("a key that is no file name", `{"metadata":{"name":"s"},"data":{"a/b":""}}`),
	})
}

// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"errors"
	"net/http"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// namespaces are the namespaces and their end (Kubernetes:
// pkg/registry/core/namespace, pkg/controller/namespace).
func namespaces() []test {
	return []test{
		{"the system's namespaces are there from the start", systemNamespaces},
		{"a namespace is Active, labelled with its name and held by its finalizer", newNamespace},
		{"a deleted namespace is emptied and ends", deletedNamespace},
		{"a namespace waits for what a finalizer holds", heldNamespace},
		{"nothing is made in a namespace that ends", endingNamespace},
		{"a namespace ends when its own finalizers are gone", finalizeNamespace},
		{"a namespace that is not right is turned away", refusedNamespaces},
	}
}

func systemNamespaces(e *env) {
	for _, name := range []string{"default", "kube-system", "kube-public", "kube-node-lease"} {
		if _, err := e.client.CoreV1().Namespaces().Get(e.Context(), name, metav1.GetOptions{}); err != nil {
			e.Error(err)
		}
	}
	service, err := e.client.CoreV1().Services("default").Get(e.Context(), "kubernetes", metav1.GetOptions{})
	e.check(err)
	if service.Spec.ClusterIP == "" || len(service.Spec.Ports) != 1 || service.Spec.Ports[0].Port != 443 {
		e.Errorf("the service default/kubernetes has the address %q and ports %v", service.Spec.ClusterIP, service.Spec.Ports)
	}
}

func newNamespace(e *env) {
	namespace, err := e.client.CoreV1().Namespaces().Get(e.Context(), e.ns, metav1.GetOptions{})
	e.check(err)
	if namespace.Status.Phase != corev1.NamespaceActive {
		e.Errorf("the phase is %q, want Active", namespace.Status.Phase)
	}
	if got := namespace.Labels[corev1.LabelMetadataName]; got != e.ns {
		e.Errorf("the label %s is %q, want %q", corev1.LabelMetadataName, got, e.ns)
	}
	if !slices.Equal(namespace.Spec.Finalizers, []corev1.FinalizerName{corev1.FinalizerKubernetes}) {
		e.Errorf("the finalizers are %q, want kubernetes", namespace.Spec.Finalizers)
	}
}

func deletedNamespace(e *env) {
	e.configMap("c", nil)
	e.secret("s")
	e.pod("p", "default")
	e.grant("r", "jane", rule("get", "", "pods"))
	e.deleteNamespace()
	e.gone(func() error {
		_, err := e.client.CoreV1().Namespaces().Get(e.Context(), e.ns, metav1.GetOptions{})
		return err
	})
	for _, sample := range Samples(e.ns, "x") {
		if !sample.Namespaced {
			continue
		}
		var list metav1.PartialObjectMetadataList
		e.get(sample.path(e.ns)).want(e, http.StatusOK).into(e, &list)
		if len(list.Items) > 0 {
			e.Errorf("%d %s are left", len(list.Items), sample.Resource.Resource)
		}
	}
}

func (e *env) deleteNamespace() {
	e.Helper()
	e.check(e.client.CoreV1().Namespaces().Delete(e.Context(), e.ns, metav1.DeleteOptions{}))
}

// hold makes a config map with a finalizer, which release takes away.
func (e *env) hold(name string) (release func()) {
	e.Helper()
	maps := e.client.CoreV1().ConfigMaps(e.ns)
	_, err := maps.Create(e.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name, Finalizers: []string{"conformance.example/hold"}}}, metav1.CreateOptions{})
	e.check(err)
	return func() {
		e.Helper()
		e.patch("configmaps/"+name, mergePatch, `{"metadata":{"finalizers":null}}`).want(e, http.StatusOK)
	}
}

func heldNamespace(e *env) {
	release := e.hold("held")
	e.deleteNamespace()
	e.eventually(func() error {
		namespace, err := e.client.CoreV1().Namespaces().Get(e.Context(), e.ns, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if namespace.Status.Phase != corev1.NamespaceTerminating {
			return errors.New("the namespace is not Terminating")
		}
		for _, condition := range namespace.Status.Conditions {
			if condition.Type == corev1.NamespaceFinalizersRemaining && condition.Status == corev1.ConditionTrue {
				return nil
			}
		}
		return errors.New("the namespace does not say that a finalizer remains")
	})
	release()
	e.gone(func() error {
		_, err := e.client.CoreV1().Namespaces().Get(e.Context(), e.ns, metav1.GetOptions{})
		return err
	})
}

func endingNamespace(e *env) {
	release := e.hold("held")
	e.deleteNamespace()
	e.pinRefusals("refusals/ending-namespace.txt", []refused{
		{"a config map", request{method: http.MethodPost, path: "/api/v1/namespaces/" + e.ns + "/configmaps", body: `{"metadata":{"name":"late"}}`}},
	})
	err := e.client.CoreV1().Namespaces().Delete(e.Context(), e.ns, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsConflict(err) {
		e.Errorf("deleting the namespace again: %v", err)
	}
	release()
}

func finalizeNamespace(e *env) {
	namespaces := e.client.CoreV1().Namespaces()
	namespace, err := namespaces.Get(e.Context(), e.ns, metav1.GetOptions{})
	e.check(err)
	namespace.Spec.Finalizers = append(namespace.Spec.Finalizers, "conformance.example/own")
	_, err = namespaces.Finalize(e.Context(), namespace, metav1.UpdateOptions{})
	e.check(err)
	e.deleteNamespace()
	e.eventually(func() error {
		namespace, err = namespaces.Get(e.Context(), e.ns, metav1.GetOptions{})
		if err == nil && !slices.Equal(namespace.Spec.Finalizers, []corev1.FinalizerName{"conformance.example/own"}) {
			err = errors.New("the namespace is not emptied yet")
		}
		return err
	})
	e.eventually(func() error {
		namespace, err = namespaces.Get(e.Context(), e.ns, metav1.GetOptions{})
		if err != nil {
			return err
		}
		namespace.Spec.Finalizers = nil
		_, err = namespaces.Finalize(e.Context(), namespace, metav1.UpdateOptions{})
		return err
	})
	e.gone(func() error {
		_, err := namespaces.Get(e.Context(), e.ns, metav1.GetOptions{})
		return err
	})
}

func refusedNamespaces(e *env) {
	post := func(what, body string) refused {
		return refused{what, request{method: http.MethodPost, path: "/api/v1/namespaces", body: body}}
	}
	e.pinRefusals("refusals/namespaces.txt", []refused{
		post("a name with a dot", `{"metadata":{"name":"a.b"}}`),
		post("a name that exists", `{"metadata":{"name":"default"}}`),
		post("a finalizer without a domain", `{"metadata":{"name":"a"},"spec":{"finalizers":["own"]}}`),
		{"the end of the namespace default", request{method: http.MethodDelete, path: "/api/v1/namespaces/default"}},
		{"the end of the namespace kube-system", request{method: http.MethodDelete, path: "/api/v1/namespaces/kube-system"}},
		{"the end of all namespaces", request{method: http.MethodDelete, path: "/api/v1/namespaces"}},
		{"an object in a namespace that is not there", request{method: http.MethodPost, path: "/api/v1/namespaces/no-such/configmaps", body: `{"metadata":{"name":"c"}}`}},
	})
}
